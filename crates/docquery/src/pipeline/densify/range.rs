//! Which values a field is to have.

use crate::expression::date::{Unit, Zone, add_to_date};
use crate::number::Number;
use crate::{Document, Error, OwnedValue, Result, Value, order};

/// Which values a field is to have: each so far from the one before.
#[derive(Clone, Debug)]
pub(super) struct Range {
    step: Number,
    unit: Option<Unit>,
    pub(super) bounds: Bounds,
}

/// Between which values.
#[derive(Clone, Debug)]
pub(super) enum Bounds {
    /// The least and the greatest of all documents.
    Full,
    /// The least and the greatest of each partition.
    Partition,
    /// Two values, of which the second does not count.
    Between(OwnedValue, OwnedValue),
}

impl Range {
    pub(super) fn parse(spec: Document<'_>, is_partitioned: bool) -> Result<Self> {
        let (mut step, mut unit, mut bounds) = (None, None, None);
        for (name, value) in spec {
            match name {
                "step" => {
                    let number = Number::of(value).ok_or_else(|| {
                        let message =
                            format!("the step of $densify is a number, not {}", value.type_name());
                        Error::type_mismatch(message)
                    })?;
                    step = Some((number, value));
                }
                "unit" => {
                    let Value::String(_) = value else {
                        let message =
                            format!("the unit of $densify is a string, not {}", value.type_name());
                        return Err(Error::type_mismatch(message));
                    };
                    unit = Some(Unit::named(value, "$densify")?);
                }
                "bounds" => bounds = Some(value),
                _ => {
                    let message = format!(
                        "the range of $densify has no option '{name}'; it takes step, unit, bounds"
                    );
                    return Err(Error::location(40415, message));
                }
            }
        }
        let missing =
            |name| Error::location(40414, format!("the range of $densify needs the option {name}"));
        let (step, written) = step.ok_or_else(|| missing("step"))?;
        let bounds = bounds.ok_or_else(|| missing("bounds"))?;
        if step.is_nan() || step.to_double() <= 0.0 {
            let message = "the step of $densify must be greater than 0";
            return Err(Error::location(5_733_401, message));
        }
        let bounds = match bounds {
            Value::String("full") => Bounds::Full,
            Value::String("partition") if is_partitioned => Bounds::Partition,
            Value::String("partition") => {
                let message = "the bounds 'partition' of $densify need partitionByFields";
                return Err(Error::location(5_733_408, message));
            }
            Value::String(_) => {
                let message = "the bounds of $densify are 'full', 'partition' or two values";
                return Err(Error::location(5_946_802, message));
            }
            Value::Array(values) => {
                let values: Vec<_> = values.iter().collect();
                let [lower, upper] = *values else {
                    let message = "the bounds of $densify are an array of two";
                    return Err(Error::location(5_733_403, message));
                };
                check_bounds(lower, upper, written, unit)?;
                Bounds::Between(lower.into(), upper.into())
            }
            _ => {
                let message = "the bounds of $densify are 'full', 'partition' or two values";
                return Err(Error::location(5_733_404, message));
            }
        };
        if unit.is_some() && step.as_exact_i64().is_none() {
            let message = "with a unit the step of $densify is a whole number";
            return Err(Error::location(6_586_400, message));
        }
        Ok(Self { step, unit, bounds })
    }

    /// Checks the value of a document.
    pub(super) fn check(&self, value: Value<'_>) -> Result<()> {
        match (value, self.unit) {
            (Value::DateTime(_), Some(_)) => Ok(()),
            (Value::DateTime(_), None) => {
                Err(Error::location(6_053_600, "a date in $densify, whose step has no unit"))
            }
            (value, _) if !value.is_number() => {
                let message =
                    format!("$densify is about numbers or dates, not {}", value.type_name());
                Err(Error::location(5_733_201, message))
            }
            (_, Some(_)) => {
                Err(Error::location(6_053_600, "a number in $densify, whose step has a unit"))
            }
            (_, None) => Ok(()),
        }
    }

    /// The first value from a lower bound on: as the server finds it, one step back and one forward.
    pub(super) fn start(&self, lower: Value<'_>) -> Result<OwnedValue> {
        match (lower, self.unit) {
            (Value::DateTime(ms), Some(unit)) => {
                let step = self.step.saturating_i64();
                let before = add_to_date(ms, unit, step.saturating_neg(), &ZONE)?;
                add_to_date(before, unit, step, &ZONE).map(|ms| Value::DateTime(ms).into())
            }
            (value, _) => Ok(value.into()),
        }
    }

    /// The value behind `value`.
    pub(super) fn next(&self, value: Value<'_>) -> Result<OwnedValue> {
        Ok(match (value, self.unit, Number::of(value)) {
            (Value::DateTime(ms), Some(unit), _) => {
                Value::DateTime(add_to_date(ms, unit, self.step.saturating_i64(), &ZONE)?)
            }
            (_, _, Some(number)) => self.add(number),
            (value, ..) => value,
        }
        .into())
    }

    /// A number and the step, in the larger type of both.
    fn add(&self, number: Number) -> Value<'static> {
        if number.is_decimal() || self.step.is_decimal() {
            return Value::Decimal(number.to_decimal().add(self.step.to_decimal()));
        }
        match (number, self.step) {
            (Number::Int32(number), Number::Int32(step)) => match number.checked_add(step) {
                Some(sum) => Value::Int32(sum),
                None => Value::Int64(i64::from(number) + i64::from(step)),
            },
            (Number::Double(_), _) | (_, Number::Double(_)) => {
                Value::Double(number.to_double() + self.step.to_double())
            }
            _ => match number.saturating_i64().checked_add(self.step.saturating_i64()) {
                Some(sum) => Value::Int64(sum),
                None => Value::Double(number.to_double() + self.step.to_double()),
            },
        }
    }
}

const ZONE: Zone = Zone::Utc;

fn check_bounds(
    lower: Value<'_>,
    upper: Value<'_>,
    step: Value<'_>,
    unit: Option<Unit>,
) -> Result<()> {
    let problem = match (lower, upper) {
        (Value::DateTime(_), Value::DateTime(_)) => {
            unit.is_none().then_some((5_733_410, "bounds of dates need a unit"))
        }
        (lower, upper) if lower.is_number() && upper.is_number() => match unit {
            Some(_) => Some((5_733_409, "bounds of numbers have no unit")),
            None if lower.type_name() != upper.type_name()
                || lower.type_name() != step.type_name() =>
            {
                Some((5_876_900, "the bounds and the step of $densify must have one type"))
            }
            None => None,
        },
        (Value::DateTime(_), other) | (other, Value::DateTime(_)) if other.is_number() => {
            Some((5_733_406, "the bounds of $densify are two dates or two numbers"))
        }
        _ => Some((5_946_800, "the bounds of $densify are dates or numbers")),
    };
    if let Some((code, message)) = problem {
        return Err(Error::location(code, message));
    }
    if order::compare(lower, upper).is_gt() {
        return Err(Error::location(5_733_402, "the bounds of $densify must rise"));
    }
    Ok(())
}
