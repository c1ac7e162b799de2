//! Sets of values: 1 and 1.0 are the same in them, documents with their fields in another order are not.

use crate::Value;
use crate::order::{compare, equal};

/// Values to be looked up. Few are looked through, many are sorted first.
#[derive(Clone, Debug)]
pub(super) enum ValueSet<'a> {
    Few(Vec<Value<'a>>),
    Sorted(Vec<Value<'a>>),
}

/// So many values are looked through as fast as they are sorted.
const FEW: usize = 8;

impl<'a> ValueSet<'a> {
    /// The set of `values`.
    pub(super) fn new(mut values: Vec<Value<'a>>) -> Self {
        if values.len() <= FEW {
            return Self::Few(values);
        }
        values.sort_by(|a, b| compare(*a, *b));
        Self::Sorted(values)
    }

    /// Whether `value` is in it.
    pub(super) fn contains(&self, value: Value<'_>) -> bool {
        match self {
            Self::Few(values) => values.iter().any(|other| equal(*other, value)),
            Self::Sorted(values) => values.binary_search_by(|other| compare(*other, value)).is_ok(),
        }
    }

    /// The `values` in their order, each once: the first of those that are equal.
    pub(super) fn distinct(values: &[Value<'a>]) -> Vec<Value<'a>> {
        let mut by_value: Vec<_> = values.iter().copied().enumerate().collect();
        by_value.sort_by(|(_, a), (_, b)| compare(*a, *b));
        by_value.dedup_by(|(_, later), (_, earlier)| equal(*later, *earlier));
        by_value.sort_by_key(|(place, _)| *place);
        by_value.into_iter().map(|(_, value)| value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_values_are_found_alike() {
        for count in [1, FEW, FEW + 1, 100] {
            let numbers = || (0..).map(|number| number * 7 % 101).take(count);
            let values: Vec<_> = numbers().map(Value::Int32).collect();
            let set = ValueSet::new(values);
            for number in 0..101 {
                let found = set.contains(Value::Double(number.into()));
                assert_eq!(found, numbers().any(|other| other == number), "{number} of {count}");
            }
        }
    }

    #[test]
    fn the_first_of_equal_values_stays() {
        let values = [Value::Int32(3), Value::Int64(1), Value::Double(3.0), Value::Double(1.0)];
        let distinct = ValueSet::distinct(&values);
        assert_eq!(format!("{distinct:?}"), "[Int32(3), Int64(1)]");
    }
}
