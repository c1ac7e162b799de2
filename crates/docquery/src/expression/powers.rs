//! `$pow`, `$sqrt`, `$exp`, `$ln`, `$log`, `$log10`.

use super::arguments::Arguments;
use super::arithmetic::int_or_long;
use super::operator::{Arity, Table, listed};
use super::rounding::number;
use crate::number::Number;
use crate::{Decimal, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$pow", listed(Arity::Exactly(2), pow)),
    ("$sqrt", listed(Arity::Exactly(1), sqrt)),
    ("$exp", listed(Arity::Exactly(1), exp)),
    (
        "$ln",
        listed(Arity::Exactly(1), |arguments| logarithm(arguments, 28766, f64::ln, Decimal::ln)),
    ),
    (
        "$log10",
        listed(Arity::Exactly(1), |arguments| {
            logarithm(arguments, 28761, f64::log10, Decimal::log10)
        }),
    ),
    ("$log", listed(Arity::Exactly(2), log)),
];

/// The two arguments as numbers; `None` if one is null. `codes` are those of the errors for others.
pub(super) fn two_numbers(
    arguments: &Arguments<'_, '_>,
    codes: [i32; 2],
) -> Result<Option<(Number, Number)>> {
    let (a, b) = arguments.two()?;
    if a.is_nullish() || b.is_nullish() {
        return Ok(None);
    }
    let number = |value: Value<'_>, code| {
        Number::of(value).ok_or_else(|| {
            Error::location(
                code,
                format!("{} takes numbers, not {}", arguments.operator(), value.type_name()),
            )
        })
    };
    Ok(Some((number(a, codes[0])?, number(b, codes[1])?)))
}

fn pow<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some((base, exponent)) = two_numbers(&arguments, [28762, 28763])? else {
        return Ok(Value::Null);
    };
    let zero = !Value::from(base).is_truthy();
    let negative = exponent.compare(Number::Int32(0)).is_lt() && !exponent.is_nan();
    if zero && negative {
        return Err(Error::location(28764, "$pow cannot raise 0 to a negative exponent"));
    }
    Ok(match (base, exponent) {
        _ if base.is_decimal() || exponent.is_decimal() => {
            Value::Decimal(base.to_decimal().pow(exponent.to_decimal()))
        }
        (Number::Double(_), _) | (_, Number::Double(_)) => {
            Value::Double(base.to_double().powf(exponent.to_double()))
        }
        _ => match integer_power(base.saturating_i64(), exponent.saturating_i64()) {
            None => Value::Double(base.to_double().powf(exponent.to_double())),
            Some(power) => match (base, exponent) {
                (Number::Int32(_), Number::Int32(_)) => int_or_long(power),
                _ => Value::Int64(power),
            },
        },
    })
}

/// The power, if an `i64` holds it.
fn integer_power(base: i64, exponent: i64) -> Option<i64> {
    match (base, exponent) {
        (0, 0) | (1, _) => Some(1),
        (0, _) => Some(0),
        (-1, exponent) => Some(if exponent % 2 == 0 { 1 } else { -1 }),
        (base, exponent) => base.checked_pow(u32::try_from(exponent).ok()?),
    }
}

fn sqrt<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some(number) = number(&arguments)? else { return Ok(Value::Null) };
    if number.compare(Number::Int32(0)).is_lt() && !number.is_nan() {
        return Err(Error::location(28714, "$sqrt takes a number that is not negative"));
    }
    Ok(match number {
        Number::Decimal(number) => Value::Decimal(number.sqrt()),
        number => Value::Double(number.to_double().sqrt()),
    })
}

fn exp<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(match number(&arguments)? {
        None => Value::Null,
        Some(Number::Decimal(number)) => Value::Decimal(number.exp()),
        Some(number) => Value::Double(number.to_double().exp()),
    })
}

/// `$ln` and `$log10`. Of a decimal NaN they are a NaN that is a double.
fn logarithm<'a>(
    arguments: Arguments<'_, 'a>,
    not_positive: i32,
    of_double: fn(f64) -> f64,
    of_decimal: fn(Decimal) -> Decimal,
) -> Result<Value<'a>> {
    let Some(number) = number(&arguments)? else { return Ok(Value::Null) };
    match number {
        number if number.is_nan() => Ok(Value::Double(f64::NAN)),
        number if number.compare(Number::Int32(0)).is_le() => Err(Error::location(
            not_positive,
            format!("{} takes a number greater than 0", arguments.operator()),
        )),
        Number::Decimal(number) => Ok(Value::Decimal(of_decimal(number))),
        number => Ok(Value::Double(of_double(number.to_double()))),
    }
}

fn log<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some((number, base)) = two_numbers(&arguments, [28756, 28757])? else {
        return Ok(Value::Null);
    };
    let positive = |number: Number| number.compare(Number::Int32(0)).is_gt();
    if !positive(number) && !number.is_nan() {
        return Err(Error::location(28758, "$log takes a number greater than 0"));
    }
    let one = base.compare(Number::Int32(1)).is_eq();
    if (!positive(base) || one) && !base.is_nan() {
        return Err(Error::location(28759, "the base of $log is greater than 0 and not 1"));
    }
    if (number.is_decimal() || base.is_decimal()) && !number.is_nan() && !base.is_nan() {
        let (number, base) = (number.to_decimal(), base.to_decimal());
        return Ok(Value::Decimal(number.ln().divide(base.ln())));
    }
    Ok(Value::Double(number.to_double().ln() / base.to_double().ln()))
}
