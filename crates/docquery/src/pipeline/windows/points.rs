//! What functions ask of documents that are points of a line: a place, and a number there.

use std::ops::Range;

use super::interpolation::{Formula, Points};
use super::partition::Partition;
use crate::number::Number;
use crate::{Error, Expression, OwnedValue, Result, Value, order};

/// The slope between the first and the last document of the window.
pub(super) fn derivative(
    input: &Expression,
    unit_ms: Option<i64>,
    slope: &Formula,
    window: Range<usize>,
    partition: &Partition,
) -> Result<OwnedValue> {
    if window.is_empty() {
        return Ok(Value::Null.into());
    }
    let (first, last) = (window.start, window.end - 1);
    for place in [first, last] {
        let (kind, code) = match (partition.sorted_by(place)?.get(), unit_ms) {
            (Value::DateTime(_), Some(_)) => continue,
            (Value::DateTime(_), None) => ("needs a unit where sortBy is a date", 5_624_901),
            (_, Some(_)) => ("with a unit needs a sortBy that is a date", 5_624_900),
            (value, None) if Number::of(value).is_some() => continue,
            (_, None) => ("without a unit needs a sortBy that is a number", 5_624_902),
        };
        return Err(Error::location(code, format!("$derivative {kind}")));
    }
    let (y1, y2) = (partition.value(input, first)?, partition.value(input, last)?);
    if y1.get().is_nullish() || y2.get().is_nullish() {
        return Err(Error::location(5_624_903, "the input of $derivative must not be missing"));
    }
    if first == last {
        return Ok(Value::Null.into());
    }
    let (x1, x2) = (partition.sorted_by(first)?, partition.sorted_by(last)?);
    slope.value(Points { from: (x1.get(), y1.get()), to: (x2.get(), y2.get()), at: Value::Missing })
}

/// A point of an integral.
pub(super) fn point(
    partition: &Partition,
    input: &Expression,
    index: usize,
    unit_ms: Option<i64>,
) -> Result<(OwnedValue, OwnedValue)> {
    let (x, y) = (partition.sorted_by(index)?, partition.value(input, index)?);
    let x_is_date = matches!(x.get(), Value::DateTime(_));
    if Number::of(y.get()).is_none() || !(x_is_date || Number::of(x.get()).is_some()) {
        let message = "$integral takes numbers, in the order of numbers or dates";
        return Err(Error::location(5_423_900, message));
    }
    match (x_is_date, unit_ms) {
        (true, None) => {
            Err(Error::location(5_423_902, "$integral needs a unit where sortBy is a date"))
        }
        (false, Some(_)) => {
            Err(Error::location(5_423_901, "$integral with a unit needs a sortBy that is a date"))
        }
        _ => Ok((x, y)),
    }
}

/// Checks what a document is sorted by, for a line between neighbours.
pub(super) fn check_place(partition: &Partition, index: usize) -> Result<()> {
    let place = partition.sorted_by(index)?;
    let place = place.get();
    if Number::of(place).is_none() && !matches!(place, Value::DateTime(_)) {
        return Err(Error::type_mismatch(format!(
            "$linearFill needs a sortBy that is a number or a date, not {}",
            place.type_name()
        )));
    }
    if index > 0 && order::equal(partition.sorted_by(index - 1)?.get(), place) {
        let message = "$linearFill needs a sortBy that no two documents share";
        return Err(Error::location(6_050_106, message));
    }
    Ok(())
}
