//! Which parts of a compound index hold the keys inside the bounds of its fields.

use super::bounds::Bounds;
use super::interval::Interval;
use super::pattern::KeyPattern;
use super::split::KeyValues;

/// The keys of an index inside bounds, one for each of its fields.
///
/// As long as bounds are single values, each gives a range of its own, one behind the other as they stand in the
/// index; the bounds of the first field that are more end the ranges, and those of the fields behind it are
/// checked key by key.
#[derive(Clone, Debug)]
pub struct KeyRanges {
    ranges: Vec<Interval>,
    /// One for each field, up to the last that is to be checked: the intervals that its value must lie in.
    checks: Vec<Option<Vec<Interval>>>,
}

impl KeyRanges {
    /// How many ranges there are at most. What would give more is checked key by key.
    pub const RANGES_MAX: usize = 100_000;

    /// The keys inside `bounds`; fields without are open.
    pub fn new(pattern: &KeyPattern, bounds: &[Bounds]) -> Self {
        if let ([field], [bounds]) = (pattern.fields(), bounds)
            && bounds.intervals().len() <= Self::RANGES_MAX
        {
            let ranges = bounds.in_direction(field.direction()).into_owned();
            return Self { ranges, checks: Vec::new() };
        }
        let mut prefixes = vec![Vec::new()];
        let mut ranges = None;
        let mut checks = Vec::new();
        for (field, bounds) in pattern.fields().iter().zip(bounds) {
            let intervals = bounds.in_direction(field.direction());
            let few = intervals.len().saturating_mul(prefixes.len()) <= Self::RANGES_MAX;
            if ranges.is_some() || !few {
                ranges.get_or_insert_with(|| whole(std::mem::take(&mut prefixes)));
                checks.push((!bounds.is_all()).then(|| intervals.into_owned()));
            } else if bounds.is_points() {
                prefixes = product(&prefixes, &intervals, |prefix, interval| {
                    [prefix, interval.low().bytes()].concat()
                });
                checks.push(None);
            } else {
                ranges = Some(product(&prefixes, &intervals, |prefix, interval| {
                    interval.within(prefix)
                }));
                checks.push(None);
            }
        }
        while checks.last().is_some_and(Option::is_none) {
            checks.pop();
        }
        Self { ranges: ranges.unwrap_or_else(|| whole(prefixes)), checks }
    }

    /// The keys inside one range.
    pub fn between(range: Interval) -> Self {
        Self { ranges: vec![range], checks: Vec::new() }
    }

    /// The ranges in the order of the index, apart from each other.
    pub fn ranges(&self) -> &[Interval] {
        &self.ranges
    }

    /// Whether a key inside a range is inside the bounds of all fields.
    pub fn admit(&self, pattern: &KeyPattern, key: &[u8]) -> bool {
        self.checks.iter().zip(KeyValues::new(pattern, key)).all(|(intervals, value)| {
            intervals.as_ref().is_none_or(|intervals| {
                let place = intervals.partition_point(|interval| interval.high().is_below(value));
                intervals.get(place).is_some_and(|interval| interval.contains(value))
            })
        })
    }

    /// Whether every key inside a range is inside the bounds of all fields.
    pub fn admit_all(&self) -> bool {
        self.checks.is_empty()
    }
}

fn whole(prefixes: Vec<Vec<u8>>) -> Vec<Interval> {
    prefixes.into_iter().map(Interval::beginning_with).collect()
}

fn product<T>(
    prefixes: &[Vec<u8>],
    intervals: &[Interval],
    combine: impl Fn(&[u8], &Interval) -> T,
) -> Vec<T> {
    let pairs =
        prefixes.iter().flat_map(|prefix| intervals.iter().map(move |interval| (prefix, interval)));
    pairs.map(|(prefix, interval)| combine(prefix, interval)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;
    use crate::key::{Comparison, encode};
    use bson::{RawDocumentBuf, doc};

    fn pattern(pattern: &bson::Document) -> KeyPattern {
        KeyPattern::parse(&RawDocumentBuf::try_from(pattern).unwrap()).unwrap()
    }

    fn key(pattern: &KeyPattern, values: &[i32]) -> Vec<u8> {
        let mut key = Vec::new();
        for (value, field) in values.iter().zip(pattern.fields()) {
            let start = key.len();
            encode(Value::Int32(*value), &mut key);
            field.direction().turn(&mut key[start..]);
        }
        key
    }

    /// Checks that the keys inside are those that `holds` says, and how many ranges they are in.
    #[track_caller]
    fn check(
        directions: &bson::Document,
        bounds: &[Bounds],
        ranges: usize,
        holds: impl Fn(i32, i32, i32) -> bool,
    ) {
        let pattern = pattern(directions);
        let found = KeyRanges::new(&pattern, bounds);
        assert_eq!(found.ranges().len(), ranges, "{found:?}");
        assert!(found.ranges().is_sorted_by(|a, b| a.high() <= b.low()), "{found:?}");
        for place in 0..125 {
            let (a, b, c) = (place / 25, place / 5 % 5, place % 5);
            let key = key(&pattern, &[a, b, c]);
            let inside = found.ranges().iter().any(|range| range.contains(&key));
            assert_eq!(inside && found.admit(&pattern, &key), holds(a, b, c), "{a} {b} {c}");
        }
    }

    fn equal(values: &[i32]) -> Bounds {
        Bounds::any(values.iter().map(|value| Bounds::equal(Value::Int32(*value))))
    }

    fn above(value: i32) -> Bounds {
        Bounds::compared(Comparison::Gt, Value::Int32(value))
    }

    #[test]
    fn values_then_a_range_then_checks() {
        for descending in [1, -1] {
            let abc = doc! { "a": 1, "b": descending, "c": 1 };
            check(&abc, &[], 1, |_, _, _| true);
            check(&abc, &[equal(&[1])], 1, |a, _, _| a == 1);
            check(&abc, &[equal(&[1, 3]), equal(&[0, 2])], 4, |a, b, _| {
                [1, 3].contains(&a) && [0, 2].contains(&b)
            });
            check(&abc, &[equal(&[1, 3]), above(2)], 2, |a, b, _| [1, 3].contains(&a) && b > 2);
            check(&abc, &[above(1), above(2), equal(&[4])], 1, |a, b, c| a > 1 && b > 2 && c == 4);
            check(&abc, &[Bounds::all(), above(2)], 1, |_, b, _| b > 2);
            check(&abc, &[equal(&[2]).complement(), above(2)], 2, |a, b, _| a != 2 && b > 2);
            check(&abc, &[Bounds::none()], 0, |_, _, _| false);
            check(&abc, &[Bounds::all(), Bounds::none()], 1, |_, _, _| false);
        }
    }

    #[test]
    fn too_many_ranges_become_checks() {
        let many = equal(&(0..20_000).collect::<Vec<_>>());
        check(
            &doc! { "a": 1, "b": 1, "c": 1 },
            &[equal(&[0, 1, 2, 3, 4, 5]), many],
            6,
            |_, _, _| true,
        );
    }
}
