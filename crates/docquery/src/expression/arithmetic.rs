//! `$add`, `$subtract`, `$multiply`, `$divide`, `$mod`: on numbers of all types, and on dates.

use super::arguments::Arguments;
use super::coerce;
use super::fold::Regrouping;
use super::operator::{Arity, Table, listed, regrouped};
use super::summation::Total;
use crate::number::Number;
use crate::{Decimal, Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$add", regrouped(Regrouping::Any, add)),
    ("$subtract", listed(Arity::Exactly(2), subtract)),
    ("$multiply", regrouped(Regrouping::Any, multiply)),
    ("$divide", listed(Arity::Exactly(2), divide)),
    ("$mod", listed(Arity::Exactly(2), modulo)),
];

/// Two numbers as the wider of their types.
enum Pair {
    Int32(i32, i32),
    Int64(i64, i64),
    Double(f64, f64),
    Decimal(Decimal, Decimal),
}

impl Pair {
    fn of(a: Number, b: Number) -> Self {
        match (a, b) {
            (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
                Self::Decimal(a.to_decimal(), b.to_decimal())
            }
            (Number::Double(_), _) | (_, Number::Double(_)) => {
                Self::Double(a.to_double(), b.to_double())
            }
            (Number::Int32(a), Number::Int32(b)) => Self::Int32(a, b),
            (a, b) => Self::Int64(a.saturating_i64(), b.saturating_i64()),
        }
    }
}

/// An `i32` if it is one, otherwise an `i64`.
pub(super) fn int_or_long<'a>(number: i64) -> Value<'a> {
    i32::try_from(number).map_or(Value::Int64(number), Value::Int32)
}

fn add<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut total = Total::default();
    let mut dated = false;
    for value in arguments.iter() {
        match value? {
            Value::DateTime(_) if dated => {
                return Err(Error::location(16612, "$add takes only one date"));
            }
            Value::DateTime(milliseconds) => {
                dated = true;
                total.add_milliseconds(milliseconds);
            }
            value if value.is_nullish() => return Ok(Value::Null),
            value => match Number::of(value) {
                Some(number) => total.add(number),
                None => {
                    return Err(Error::location(
                        16554,
                        format!("$add takes numbers and dates, not {}", value.type_name()),
                    ));
                }
            },
        }
    }
    if !dated {
        return Ok(total.value().into());
    }
    total.milliseconds().map(Value::DateTime).ok_or_else(date_overflow)
}

fn subtract<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (a, b) = arguments.two()?;
    if let (Some(a), Some(b)) = (Number::of(a), Number::of(b)) {
        return Ok(subtract_numbers(a, b));
    }
    if a.is_nullish() || b.is_nullish() {
        return Ok(Value::Null);
    }
    match (a, b) {
        (Value::DateTime(a), Value::DateTime(b)) => {
            a.checked_sub(b).map(Value::Int64).ok_or_else(too_long)
        }
        (Value::DateTime(date), b) if b.is_number() => {
            date.checked_sub(coerce::long(b)?).map(Value::DateTime).ok_or_else(too_long)
        }
        _ => Err(Error::type_mismatch(format!(
            "$subtract takes numbers, or a date and what is subtracted from it, not {} from {}",
            b.type_name(),
            a.type_name()
        ))),
    }
}

#[expect(clippy::cast_precision_loss, reason = "what no integer holds becomes a double")]
fn subtract_numbers<'a>(a: Number, b: Number) -> Value<'a> {
    match Pair::of(a, b) {
        Pair::Int32(a, b) => int_or_long(i64::from(a) - i64::from(b)),
        Pair::Int64(a, b) => {
            a.checked_sub(b).map_or_else(|| Value::Double(a as f64 - b as f64), Value::Int64)
        }
        Pair::Double(a, b) => Value::Double(a - b),
        Pair::Decimal(a, b) => Value::Decimal(a.subtract(b)),
    }
}

fn multiply<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut product = Product { value: Number::Int32(1), double: 1.0 };
    for value in arguments.iter() {
        let value = value?;
        if value.is_nullish() {
            return Ok(Value::Null);
        }
        match Number::of(value) {
            Some(number) => product.multiply(number),
            None => {
                return Err(Error::type_mismatch(format!(
                    "$multiply takes numbers, not {}",
                    value.type_name()
                )));
            }
        }
    }
    Ok(product.value.into())
}

/// A product of numbers.
struct Product {
    value: Number,
    /// The same as a double, rounded with each factor: what counts when integers overflow.
    double: f64,
}

impl Product {
    fn multiply(&mut self, factor: Number) {
        self.double *= factor.to_double();
        self.value = match Pair::of(self.value, factor) {
            Pair::Int32(a, b) => {
                let product = i64::from(a) * i64::from(b);
                i32::try_from(product).map_or(Number::Int64(product), Number::Int32)
            }
            Pair::Int64(a, b) => {
                a.checked_mul(b).map_or(Number::Double(self.double), Number::Int64)
            }
            Pair::Double(..) => Number::Double(self.double),
            Pair::Decimal(a, b) => Number::Decimal(a.multiply(b)),
        };
    }
}

fn divide<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (a, b) = arguments.two()?;
    let (Some(dividend), Some(divisor)) = (Number::of(a), Number::of(b)) else {
        if a.is_nullish() || b.is_nullish() {
            return Ok(Value::Null);
        }
        return Err(Error::type_mismatch(format!(
            "$divide takes numbers, not {} and {}",
            a.type_name(),
            b.type_name()
        )));
    };
    if is_zero(divisor) {
        return Err(division_by_zero());
    }
    Ok(match Pair::of(dividend, divisor) {
        Pair::Decimal(a, b) => Value::Decimal(a.divide(b)),
        _ => Value::Double(dividend.to_double() / divisor.to_double()),
    })
}

/// The error of a division by zero.
pub(crate) fn division_by_zero() -> Error {
    Error::bad_value("$divide cannot divide by zero")
}

fn modulo<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (a, b) = arguments.two()?;
    let (Some(dividend), Some(divisor)) = (Number::of(a), Number::of(b)) else {
        if a.is_nullish() || b.is_nullish() {
            return Ok(Value::Null);
        }
        return Err(Error::location(
            16611,
            format!("$mod takes numbers, not {} and {}", a.type_name(), b.type_name()),
        ));
    };
    if is_zero(divisor) {
        let code = if dividend.is_decimal() || divisor.is_decimal() { 5_733_415 } else { 16610 };
        return Err(Error::location(code, "$mod cannot divide by zero"));
    }
    // A double that is a whole number of 32 bits divides integers as an integer.
    let divisor = match (dividend, divisor, divisor.as_exact_i64().map(i32::try_from)) {
        (Number::Int32(_) | Number::Int64(_), Number::Double(_), Some(Ok(whole))) => {
            Number::Int32(whole)
        }
        _ => divisor,
    };
    Ok(match Pair::of(dividend, divisor) {
        Pair::Int32(a, b) => Value::Int32(a.wrapping_rem(b)),
        Pair::Int64(a, b) => Value::Int64(a.wrapping_rem(b)),
        Pair::Double(a, b) => Value::Double(a % b),
        Pair::Decimal(a, b) => Value::Decimal(a.modulo(b)),
    })
}

fn is_zero(number: Number) -> bool {
    !Value::from(number).is_truthy()
}

fn date_overflow() -> Error {
    Error::new(ErrorCode::OVERFLOW, "the result of $add is no date")
}

fn too_long() -> Error {
    Error::new(
        ErrorCode::DURATION_OVERFLOW,
        "the result of $subtract is no 64-bit number of milliseconds",
    )
}
