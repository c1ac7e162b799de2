//! `$firstN`, `$lastN`, `$minN`, `$maxN`: a few values of a group.

use std::collections::{BTreeSet, VecDeque};

use super::super::distinct::Distinct;
use super::Accumulation;
use crate::expression::Scope;
use crate::{Error, Expression, OwnedValue, Result, Value, Writer};

/// Which values are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    First,
    Last,
    Min,
    Max,
}

/// The values that are taken so far.
#[derive(Debug)]
pub(crate) enum Few {
    /// `$firstN`
    First { count: usize, values: Vec<OwnedValue> },
    /// `$lastN`
    Last { count: usize, values: VecDeque<OwnedValue> },
    /// `$minN`
    Least { count: usize, kept: Kept },
    /// `$maxN`
    Greatest { count: usize, kept: Kept },
}

/// Values in order, equal ones in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    values: BTreeSet<Entry>,
    arrivals: usize,
}

type Entry = (Distinct, usize);

/// Reads `{input: expression, n: expression}`.
pub(super) fn parse(
    end: End,
    name: &str,
    spec: Value<'_>,
    scope: &Scope<'_>,
) -> Result<Accumulation> {
    let Value::Document(spec) = spec else {
        let message = format!("{name} takes an object, not {}", spec.type_name());
        return Err(Error::location(5_787_900, message));
    };
    let (mut input, mut n) = (None, None);
    for (key, value) in spec {
        match key {
            "input" => input = Some(Expression::parse(value, scope)?),
            "n" => n = Some(Expression::parse(value, scope)?),
            _ => {
                let message = format!("{name} has no argument '{key}'; it takes input, n");
                return Err(Error::location(5_787_901, message));
            }
        }
    }
    let n = n.ok_or_else(|| Error::location(5_787_906, format!("{name} needs 'n'")))?;
    let input = input.ok_or_else(|| Error::location(5_787_907, format!("{name} needs 'input'")))?;
    Ok(Accumulation::Few { end, n, input })
}

impl Few {
    pub(super) fn new(end: End, count: usize) -> Self {
        match end {
            End::First => Self::First { count, values: Vec::new() },
            End::Last => Self::Last { count, values: VecDeque::new() },
            End::Min => Self::Least { count, kept: Kept::default() },
            End::Max => Self::Greatest { count, kept: Kept::default() },
        }
    }

    /// Adds a value. Gives how many bytes more it takes.
    pub(super) fn add(&mut self, value: Value<'_>) -> usize {
        match self {
            Self::First { count, values } => {
                if values.len() >= *count {
                    return 0;
                }
                let (value, bytes) = owned(value);
                values.push(value);
                bytes
            }
            Self::Last { count, values } => {
                let (value, bytes) = owned(value);
                values.push_back(value);
                let gone = if values.len() > *count { values.pop_front() } else { None };
                bytes.saturating_sub(gone.map_or(0, |gone| bytes_of(&gone)))
            }
            Self::Least { .. } | Self::Greatest { .. } if value.is_nullish() => 0,
            Self::Least { count, kept } => kept.add(value, *count, BTreeSet::pop_last),
            Self::Greatest { count, kept } => kept.add(value, *count, BTreeSet::pop_first),
        }
    }

    /// Writes the values as the array `name`: of `$minN` and `$maxN` the best in front.
    pub(super) fn write(&self, name: &str, writer: &mut Writer) {
        match self {
            Self::First { values, .. } => super::array(name, values.iter(), writer),
            Self::Last { values, .. } => super::array(name, values.iter(), writer),
            Self::Least { kept, .. } => {
                super::array(name, kept.values.iter().map(|(value, _)| &value.0), writer);
            }
            Self::Greatest { kept, .. } => {
                super::array(name, kept.values.iter().rev().map(|(value, _)| &value.0), writer);
            }
        }
    }
}

impl Kept {
    fn add(
        &mut self,
        value: Value<'_>,
        count: usize,
        pop: fn(&mut BTreeSet<Entry>) -> Option<Entry>,
    ) -> usize {
        let (value, bytes) = owned(value);
        self.values.insert((Distinct(value), self.arrivals));
        self.arrivals += 1;
        let gone = if self.values.len() > count { pop(&mut self.values) } else { None };
        bytes.saturating_sub(gone.map_or(0, |(gone, _)| bytes_of(&gone.0)))
    }
}

fn owned(value: Value<'_>) -> (OwnedValue, usize) {
    let value = OwnedValue::from(if value.is_missing() { Value::Null } else { value });
    let bytes = bytes_of(&value);
    (value, bytes)
}

fn bytes_of(value: &OwnedValue) -> usize {
    value.bytes() + size_of::<Entry>()
}
