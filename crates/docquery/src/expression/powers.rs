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
fn two_numbers(arguments: &Arguments<'_, '_>, codes: [i32; 2]) -> Result<Option<(Number, Number)>> {
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

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use crate::expression::testing::{check, check_error};

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn powers() {
        check(bson!({"$pow": [2, 10]}), 1024);
        check(bson!({"$pow": [2, 40]}), 1i64 << 40);
        check(bson!({"$pow": [2i64, 3]}), 8i64);
        check(bson!({"$pow": [10, 20]}), 1e20);
        check(bson!({"$pow": [2, -1]}), 0.5);
        check(bson!({"$pow": [-1, i64::MAX]}), -1i64);
        check(bson!({"$pow": [0, 0]}), 1);
        check(bson!({"$pow": [4, 0.5]}), 2.0);
        check(bson!({"$pow": [decimal("3"), 2]}), decimal("9.000000000000000000000000000000000"));
        check(bson!({"$pow": [null, "x"]}), bson!(null));
        check_error(bson!({"$pow": ["x", 1]}), 28762);
        check_error(bson!({"$pow": [1, "x"]}), 28763);
        check_error(bson!({"$pow": [0, -1]}), 28764);
        check_error(bson!({"$pow": [decimal("0"), -1]}), 28764);
    }

    #[test]
    fn roots_and_logarithms() {
        check(bson!({"$sqrt": 16}), 4.0);
        check(bson!({"$sqrt": decimal("16")}), decimal("4"));
        check(bson!({"$sqrt": -0.0}), -0.0);
        check(bson!({"$exp": 0}), 1.0);
        check(bson!({"$exp": decimal("0")}), decimal("1"));
        check(bson!({"$ln": 1}), 0.0);
        check(bson!({"$ln": f64::NAN}), Bson::Double(f64::NAN));
        check(bson!({"$log10": 1000}), 3.0);
        check(bson!({"$log10": decimal("1000")}), decimal("3"));
        check(bson!({"$log": [8, 2]}), 3.0);
        check(bson!({"$log": [null, 2]}), bson!(null));
        check_error(bson!({"$sqrt": -1}), 28714);
        check_error(bson!({"$sqrt": "x"}), 28765);
        check_error(bson!({"$ln": 0}), 28766);
        check_error(bson!({"$log10": decimal("-1")}), 28761);
        check_error(bson!({"$log": ["x", 2]}), 28756);
        check_error(bson!({"$log": [2, "x"]}), 28757);
        check_error(bson!({"$log": [0, 2]}), 28758);
        check_error(bson!({"$log": [2, 1]}), 28759);
    }
}
