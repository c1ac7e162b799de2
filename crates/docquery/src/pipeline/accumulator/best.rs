//! `$top`, `$bottom`, `$topN`, `$bottomN`: values of the documents that come first or last in an order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Accumulation;
use crate::expression::Scope;
use crate::sort::SortKey;
use crate::{Error, Expression, OwnedValue, Result, Sort, Value, Writer};

/// Which documents are taken: the first in the order, or the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Top,
    Bottom,
}

/// What is taken so far, in the order.
#[derive(Debug)]
pub(crate) struct Best {
    side: Side,
    /// How many are taken; `None` for one that is given by itself.
    count: Option<usize>,
    /// How many were taken before.
    arrivals: usize,
    values: BTreeMap<(SortKey, usize), OwnedValue>,
}

/// Reads `{sortBy: {...}, output: expression}`, and `n` where the name ends with `N`.
pub(super) fn parse(
    side: Side,
    name: &str,
    spec: Value<'_>,
    scope: &Scope<'_>,
) -> Result<Accumulation> {
    let Value::Document(spec) = spec else {
        let message = format!("{name} takes an object, not {}", spec.type_name());
        return Err(Error::location(5_788_001, message));
    };
    let counts = name.ends_with('N');
    let (mut n, mut sort_by, mut output) = (None, None, None);
    for (key, value) in spec {
        match (key, value) {
            ("n", value) if counts => n = Some(Expression::parse(value, scope)?),
            ("output", value) => output = Some(value),
            ("sortBy", Value::Document(pattern)) => sort_by = Some(pattern),
            ("sortBy", _) => {
                let message =
                    format!("'sortBy' of {name} takes an object, not {}", value.type_name());
                return Err(Error::location(5_788_604, message));
            }
            _ => {
                let message = format!(
                    "{name} has no argument '{key}'; it takes sortBy, output, and n with $topN and $bottomN"
                );
                return Err(Error::location(5_788_002, message));
            }
        }
    }
    let missing = |key: &str, code| Error::location(code, format!("{name} needs '{key}'"));
    if counts && n.is_none() {
        return Err(missing("n", 5_788_003));
    }
    let output = output.ok_or_else(|| missing("output", 5_788_004))?;
    let sort_by = sort_by.ok_or_else(|| missing("sortBy", 5_788_005))?;
    let sort = Box::new(Sort::parse(&sort_by.to_raw())?);
    Ok(Accumulation::Best { side, n, sort, output: Expression::parse(output, scope)? })
}

impl Best {
    pub(super) fn new(side: Side, count: Option<usize>) -> Self {
        Self { side, count, arrivals: 0, values: BTreeMap::new() }
    }

    /// Adds the value of a document. Gives how many bytes more it takes.
    pub(super) fn add(&mut self, key: SortKey, value: Value<'_>) -> usize {
        let full = self.values.len() >= self.count.unwrap_or(1);
        let worst = match self.side {
            Side::Top => self.values.last_key_value().map(|((worst, _), _)| key.cmp(worst)),
            Side::Bottom => self.values.first_key_value().map(|((worst, _), _)| worst.cmp(&key)),
        };
        // Of equal documents those stay that came first.
        if full && worst.is_some_and(Ordering::is_ge) {
            return 0;
        }
        if full {
            match self.side {
                Side::Top => self.values.pop_last(),
                Side::Bottom => self.values.pop_first(),
            };
        }
        let value = OwnedValue::from(if value.is_missing() { Value::Null } else { value });
        let bytes = value.bytes() + size_of::<((SortKey, usize), OwnedValue)>();
        self.values.insert((key, self.arrivals), value);
        self.arrivals += 1;
        if full { 0 } else { bytes }
    }

    pub(super) fn write(&self, name: &str, writer: &mut Writer) {
        if self.count.is_none() {
            let value = self.values.values().next().map_or(Value::Null, OwnedValue::get);
            writer.field(name, value);
        } else {
            super::array(name, self.values.values(), writer);
        }
    }
}
