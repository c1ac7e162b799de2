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
    let (a, b) = arguments.two_backwards()?;
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
    let (a, b) = arguments.two_backwards()?;
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

#[cfg(test)]
mod tests {
    use bson::{Bson, DateTime, bson};

    use crate::expression::testing::{check, check_error};

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    fn date(milliseconds: i64) -> Bson {
        Bson::DateTime(DateTime::from_millis(milliseconds))
    }

    #[test]
    fn results_have_the_widest_type() {
        check(bson!({"$add": [1, 2]}), 3);
        check(bson!({"$add": [1, 2i64]}), 3i64);
        check(bson!({"$add": [i32::MAX, 1]}), 2_147_483_648i64);
        check(bson!({"$add": [i64::MAX, 1]}), 9_223_372_036_854_775_808.0);
        check(bson!({"$add": [1i64, 0.5]}), 1.5);
        check(
            bson!({"$add": [0.1, decimal("0.1")]}),
            decimal("0.2000000000000000055511151231257827"),
        );
        check(bson!({"$add": []}), 0);
        check(bson!({"$subtract": [i32::MIN, 1]}), -2_147_483_649i64);
        check(bson!({"$subtract": [i64::MIN, 1]}), -9_223_372_036_854_775_808.0);
        check(bson!({"$subtract": [1, decimal("0.5")]}), decimal("0.5"));
        check(bson!({"$multiply": [i32::MAX, 2]}), 4_294_967_294i64);
        check(bson!({"$multiply": [i64::MAX, 2]}), 18_446_744_073_709_551_614.0);
        check(bson!({"$multiply": [0.5, decimal("3")]}), decimal("1.500000000000000"));
        check(bson!({"$multiply": []}), 1);
        check(bson!({"$divide": [1, 4]}), 0.25);
        check(bson!({"$divide": [1, decimal("4")]}), decimal("0.25"));
        check(bson!({"$mod": [-7, 3]}), -1);
        check(bson!({"$mod": [7, 3.0]}), 1);
        check(bson!({"$mod": [7i64, 3.0]}), 1i64);
        check(bson!({"$mod": [7, 2.5]}), 2.0);
        check(bson!({"$mod": [7.5, 2]}), 1.5);
        check(bson!({"$mod": [i64::MIN, -1]}), 0i64);
        check(bson!({"$mod": [7, decimal("2.5")]}), decimal("2.0"));
    }

    #[test]
    fn dates_move_by_milliseconds() {
        check(bson!({"$add": [date(1000), 1, 2i64]}), date(1003));
        check(bson!({"$add": [1.6, date(1000)]}), date(1002));
        check(bson!({"$add": [date(1000), -0.5]}), date(999));
        check(bson!({"$add": [date(1000), decimal("1.5")]}), date(1002));
        check(bson!({"$subtract": [date(5), date(1000)]}), -995i64);
        check(bson!({"$subtract": [date(1000), 1.9]}), date(999));
        check(bson!({"$subtract": [date(1000), decimal("1.5")]}), date(998));
        check_error(bson!({"$add": [date(1), date(1)]}), 16612);
        check_error(bson!({"$add": [date(1), f64::INFINITY]}), 15);
        check_error(bson!({"$add": [date(i64::MAX), 1]}), 15);
        check_error(bson!({"$subtract": [date(i64::MIN), 1]}), 159);
        check_error(bson!({"$subtract": [date(0), f64::NAN]}), 31109);
        check_error(bson!({"$subtract": [1, date(1)]}), 14);
        check_error(bson!({"$multiply": [1, date(1)]}), 14);
    }

    #[test]
    fn null_gives_null_and_other_types_fail() {
        check(bson!({"$add": [1, null, 2]}), bson!(null));
        check(bson!({"$subtract": ["x", null]}), bson!(null));
        check(bson!({"$multiply": [1, "$nope"]}), bson!(null));
        check(bson!({"$divide": [null, 0]}), bson!(null));
        check(bson!({"$mod": ["x", null]}), bson!(null));
        check_error(bson!({"$add": [1, "x"]}), 16554);
        check_error(bson!({"$subtract": [1, "x"]}), 14);
        check_error(bson!({"$multiply": [1, "x"]}), 14);
        check_error(bson!({"$divide": [1, "x"]}), 14);
        check_error(bson!({"$mod": [1, "x"]}), 16611);
        check_error(bson!({"$divide": [1, -0.0]}), 2);
        check_error(bson!({"$mod": [1, 0]}), 16610);
        check_error(bson!({"$mod": [1, decimal("0.0")]}), 5_733_415);
    }
}
