//! Windows: which neighbours of a document count.

use std::cmp::Ordering;
use std::ops::Range;

use super::function::Order;
use super::partition::Partition;
use crate::expression::date::{Unit, Zone, add_to_date};
use crate::number::Number;
use crate::{Array, Document, Error, Result, Value, order};

/// Which neighbours of a document count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Window {
    /// All from one document to another, by their distance.
    Documents(Option<i64>, Option<i64>),
    /// All whose value lies between two.
    Values(Bound, Bound, Option<Unit>),
}

/// Where a window begins or ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// With the partition.
    Unbounded,
    /// With the document itself, whatever others have the same value.
    Current,
    /// So far from the value of the document.
    Away(Number),
}

impl Bound {
    fn parse(bound: Value<'_>) -> Result<Self> {
        match bound {
            Value::String("unbounded") => Ok(Self::Unbounded),
            Value::String("current") => Ok(Self::Current),
            bound => Number::of(bound).map(Self::Away).ok_or_else(|| {
                Error::failed_to_parse("a bound of a window is 'unbounded', 'current' or a number")
            }),
        }
    }

    /// How far it is away; `None` without a bound.
    fn distance(self) -> Option<Number> {
        match self {
            Self::Unbounded => None,
            Self::Current => Some(Number::Int32(0)),
            Self::Away(distance) => Some(distance),
        }
    }
}

impl Window {
    /// All documents of the partition.
    pub(super) const ALL: Self = Self::Documents(None, None);

    pub(super) fn parse(value: Value<'_>, order: Order) -> Result<Self> {
        let Value::Document(spec) = value else {
            return Err(Error::failed_to_parse("'window' is an object"));
        };
        let (mut documents, mut range, mut unit) = (None, None, None);
        for (name, value) in spec {
            match (name, value) {
                ("documents", value) => documents = Some(value),
                ("range", value) => range = Some(value),
                ("unit", value) => unit = Some(value),
                _ => {
                    let message =
                        format!("'window' has no option '{name}'; it takes documents, range, unit");
                    return Err(Error::failed_to_parse(message));
                }
            }
        }
        let unit = unit.map(|unit| Unit::named(unit, "window")).transpose()?;
        match (documents, range) {
            (Some(_), Some(_)) => {
                Err(Error::failed_to_parse("'window' takes either documents or range, not both"))
            }
            (None, None) if unit.is_none() => Ok(Self::ALL),
            (Some(bounds), None) if unit.is_none() => Self::of_documents(pair(bounds)?, order),
            (None, Some(bounds)) => Self::of_values(pair(bounds)?, unit, order),
            _ => Err(Error::failed_to_parse("'unit' of a window goes with range only")),
        }
    }

    fn of_documents(bounds: [Value<'_>; 2], order: Order) -> Result<Self> {
        let [lower, upper] =
            [Bound::parse(bounds[0])?.distance(), Bound::parse(bounds[1])?.distance()];
        let whole = |bound: Option<Number>| match bound.map(Number::as_exact_i64) {
            None => Ok(None),
            Some(Some(distance)) => Ok(Some(distance)),
            Some(None) => Err(Error::failed_to_parse("a distance in documents is a whole number")),
        };
        let (lower, upper) = (whole(lower)?, whole(upper)?);
        if let (Some(lower), Some(upper)) = (lower, upper)
            && lower > upper
        {
            return Err(reversed());
        }
        if order.fields == 0 && (lower.is_some() || upper.is_some()) {
            let message = "a window of documents needs a sortBy";
            return Err(Error::location(5_339_901, message));
        }
        Ok(Self::Documents(lower, upper))
    }

    fn of_values(bounds: [Value<'_>; 2], unit: Option<Unit>, order: Order) -> Result<Self> {
        let [from, to] = [Bound::parse(bounds[0])?, Bound::parse(bounds[1])?];
        let [lower, upper] = [from.distance(), to.distance()];
        if unit.is_some()
            && [lower, upper].into_iter().flatten().any(|bound| bound.as_exact_i64().is_none())
        {
            return Err(Error::failed_to_parse("with a unit the range is of whole numbers"));
        }
        if let (Some(lower), Some(upper)) = (lower, upper)
            && lower.compare(upper).is_gt()
        {
            return Err(reversed());
        }
        if order.fields != 1 {
            return Err(Error::location(5_339_902, "a range needs a sortBy of one field"));
        }
        if !order.ascending {
            return Err(Error::location(5_429_404, "a range needs a sortBy that rises"));
        }
        Ok(Self::Values(from, to, unit))
    }

    /// Whether it begins with the first document for all.
    pub(super) fn begins_at_first(self) -> bool {
        matches!(self, Self::Documents(None, _) | Self::Values(Bound::Unbounded, ..))
    }

    /// The documents that count for the one at `index`, where `before` counted for the one before it.
    pub(super) fn at(
        self,
        index: usize,
        before: &Range<usize>,
        partition: &Partition,
    ) -> Result<Range<usize>> {
        let count = partition.len();
        let (start, end) = match self {
            Self::Documents(lower, upper) => {
                let start = lower.map_or(0, |lower| moved(index, lower, count));
                let end = upper.map_or(count, |upper| moved(index, upper.saturating_add(1), count));
                (start, end)
            }
            Self::Values(lower, upper, unit) => {
                let current = partition.sorted_by(index)?;
                let current = current.get();
                // The first place from `from` on whose value does not compare so with `bound`.
                let first_beyond = |from: usize, bound: Value<'_>, within: fn(Ordering) -> bool| {
                    for place in from..count {
                        if !within(order::compare(partition.sorted_by(place)?.get(), bound)) {
                            return Ok(place);
                        }
                    }
                    Ok(count.max(from))
                };
                let start = match lower {
                    Bound::Unbounded => 0,
                    Bound::Current => index,
                    Bound::Away(lower) => {
                        first_beyond(before.start, far(current, lower, unit)?, Ordering::is_lt)?
                    }
                };
                let end = match upper {
                    Bound::Unbounded => count,
                    Bound::Current => index + 1,
                    Bound::Away(upper) => {
                        first_beyond(before.end, far(current, upper, unit)?, Ordering::is_le)?
                    }
                };
                (start, end)
            }
        };
        Ok(start..end.max(start))
    }
}

/// `index` and a distance, within a partition of `count` documents.
fn moved(index: usize, by: i64, count: usize) -> usize {
    let place = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(by);
    usize::try_from(place.max(0)).unwrap_or(usize::MAX).min(count)
}

/// The value that lies so far from `value`.
fn far(value: Value<'_>, distance: Number, unit: Option<Unit>) -> Result<Value<'static>> {
    match (value, unit) {
        (Value::DateTime(ms), Some(unit)) => {
            let amount = distance.saturating_i64();
            add_to_date(ms, unit, amount, &Zone::Utc).map(Value::DateTime)
        }
        (Value::DateTime(_), None) => {
            Err(Error::location(5_429_413, "a range of dates needs a unit"))
        }
        (value, Some(_)) => {
            let message = format!("a range with a unit is of dates, not {}", value.type_name());
            Err(Error::location(5_429_513, message))
        }
        (value, None) => match Number::of(value) {
            Some(number) if number.is_decimal() || distance.is_decimal() => {
                Ok(Value::Decimal(number.to_decimal().add(distance.to_decimal())))
            }
            Some(number) => match (number.as_exact_i64(), distance.as_exact_i64()) {
                (Some(number), Some(distance)) => Ok(Value::Int64(number.saturating_add(distance))),
                _ => Ok(Value::Double(number.to_double() + distance.to_double())),
            },
            None => {
                let message = format!("a range is of numbers, not {}", value.type_name());
                Err(Error::location(5_429_414, message))
            }
        },
    }
}

fn pair(bounds: Value<'_>) -> Result<[Value<'_>; 2]> {
    match bounds.as_array().map(|bounds: Array<'_>| bounds.iter().collect::<Vec<_>>()).as_deref() {
        Some([lower, upper]) => Ok([*lower, *upper]),
        _ => Err(Error::failed_to_parse("the bounds of a window are an array of two")),
    }
}

fn reversed() -> Error {
    Error::location(5_339_900, "the lower bound of a window must not exceed the upper")
}

/// The window of a function, if it is given one.
pub(super) fn window_of(spec: Document<'_>, order: Order) -> Result<Option<Window>> {
    match spec.get("window") {
        Value::Missing => Ok(None),
        window => Window::parse(window, order).map(Some),
    }
}
