//! `$abs`, `$ceil`, `$floor`, `$round`, `$trunc`.

use super::arguments::Arguments;
use super::arithmetic::int_or_long;
use super::coerce;
use super::operator::{Arity, Table, listed};
use crate::decimal::Rounding;
use crate::number::Number;
use crate::{Decimal, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$abs", listed(Arity::Exactly(1), abs)),
    ("$ceil", listed(Arity::Exactly(1), |arguments| whole(arguments, f64::ceil, Rounding::Up))),
    ("$floor", listed(Arity::Exactly(1), |arguments| whole(arguments, f64::floor, Rounding::Down))),
    (
        "$round",
        listed(Arity::Between(1, 2), |arguments| {
            to_place(arguments, f64::round_ties_even, Rounding::TiesToEven)
        }),
    ),
    (
        "$trunc",
        listed(Arity::Between(1, 2), |arguments| {
            to_place(arguments, f64::trunc, Rounding::TowardZero)
        }),
    ),
];

/// The one argument as a number; `None` for null.
pub(super) fn number(arguments: &Arguments<'_, '_>) -> Result<Option<Number>> {
    let value = arguments.get(0)?;
    match Number::of(value) {
        Some(number) => Ok(Some(number)),
        None if value.is_nullish() => Ok(None),
        None => Err(Error::location(
            28765,
            format!("{} takes a number, not {}", arguments.operator(), value.type_name()),
        )),
    }
}

fn abs<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    Ok(match number(&arguments)? {
        None => Value::Null,
        Some(Number::Int32(number)) => int_or_long(i64::from(number).abs()),
        Some(Number::Int64(number)) => {
            let absolute = number.checked_abs().ok_or_else(|| {
                Error::location(28680, "$abs cannot be taken of the least 64-bit integer")
            })?;
            Value::Int64(absolute)
        }
        Some(Number::Double(number)) => Value::Double(number.abs()),
        Some(Number::Decimal(number)) => Value::Decimal(number.abs()),
    })
}

fn whole<'a>(
    arguments: Arguments<'_, 'a>,
    round: fn(f64) -> f64,
    rounding: Rounding,
) -> Result<Value<'a>> {
    Ok(match number(&arguments)? {
        None => Value::Null,
        Some(Number::Double(number)) => Value::Double(round(number)),
        Some(Number::Decimal(number)) => Value::Decimal(number.round_to_whole(rounding)),
        Some(integer) => integer.into(),
    })
}

/// `$round`, `$trunc`: to as many places behind the point as the second argument says, or before it.
fn to_place<'a>(
    arguments: Arguments<'_, 'a>,
    round: fn(f64) -> f64,
    rounding: Rounding,
) -> Result<Value<'a>> {
    let operator = arguments.operator();
    let value = arguments.get(0)?;
    if value.is_nullish() {
        return Ok(Value::Null);
    }
    let Some(number) = Number::of(value) else {
        return Err(Error::location(
            51081,
            format!("{operator} takes a number, not {}", value.type_name()),
        ));
    };
    let place = match arguments.given(1)? {
        None => 0,
        Some(place) if place.is_nullish() => return Ok(Value::Null),
        Some(place) => place_of(operator, place)?,
    };
    match number {
        Number::Int32(_) | Number::Int64(_) if place >= 0 => Ok(value),
        Number::Int32(_) | Number::Int64(_) => {
            let rounded = number.to_decimal().round_to_place(place, rounding).to_whole();
            match (number, rounded) {
                (Number::Int32(_), Some(rounded)) => Ok(int_or_long(rounded)),
                (_, Some(rounded)) => Ok(Value::Int64(rounded)),
                (_, None) => Err(Error::location(
                    51080,
                    format!("{operator} of {value:?} to the place {place} is no 64-bit integer"),
                )),
            }
        }
        Number::Double(number) if place == 0 => Ok(Value::Double(round(number))),
        Number::Double(number) if !number.is_finite() => Ok(Value::Double(number)),
        Number::Double(number) => {
            let decimal = Decimal::from_double_exactly(number);
            Ok(Value::Double(decimal.round_to_place(place, rounding).to_double()))
        }
        Number::Decimal(number) if number.is_infinite() => Ok(Value::Decimal(number)),
        Number::Decimal(number) => Ok(Value::Decimal(number.round_to_place(place, rounding))),
    }
}

/// The place to which is rounded: -20 to 100.
fn place_of(operator: &str, place: Value<'_>) -> Result<i32> {
    coerce::long(place)?;
    let Some(whole) = coerce::int32(place) else {
        return Err(Error::location(
            51082,
            format!("the place to which {operator} rounds is a 32-bit integer, not {place:?}"),
        ));
    };
    if !(-20..=100).contains(&whole) {
        return Err(Error::location(
            51083,
            format!("the place to which {operator} rounds is from -20 to 100, not {whole}"),
        ));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use crate::expression::testing::{check, check_error};

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn numbers_become_whole() {
        check(bson!({"$abs": i32::MIN}), 2_147_483_648i64);
        check(bson!({"$abs": decimal("-0.0")}), decimal("0.0"));
        check_error(bson!({"$abs": i64::MIN}), 28680);
        check_error(bson!({"$abs": "x"}), 28765);
        check(bson!({"$abs": null}), bson!(null));
        check(bson!({"$ceil": -1.5}), -1.0);
        check(bson!({"$ceil": decimal("1.10")}), decimal("2"));
        check(bson!({"$floor": -1.5}), -2.0);
        check(bson!({"$floor": 5i64}), 5i64);
        check(bson!({"$floor": decimal("-0.5")}), decimal("-1"));
    }

    #[test]
    fn numbers_are_rounded_to_a_place() {
        check(bson!({"$round": 2.5}), 2.0);
        check(bson!({"$round": [-3.5]}), -4.0);
        check(bson!({"$round": [1.005, 2]}), 1.0);
        check(bson!({"$round": [15, -1]}), 20);
        check(bson!({"$round": [25, -1]}), 20);
        check(bson!({"$round": [i32::MAX, -1]}), 2_147_483_650i64);
        check(bson!({"$round": [decimal("1.25"), 1]}), decimal("1.2"));
        check(bson!({"$round": [decimal("1"), 3]}), decimal("1.000"));
        check(bson!({"$round": [f64::INFINITY, 3]}), f64::INFINITY);
        check(bson!({"$trunc": [-19, -1]}), -10);
        check(bson!({"$trunc": [1.99, 1]}), 1.9);
        check(bson!({"$trunc": [decimal("-1.99"), 1]}), decimal("-1.9"));
        check(bson!({"$trunc": [1.5, null]}), bson!(null));
        check(bson!({"$trunc": [null, "x"]}), bson!(null));
    }

    #[test]
    fn a_place_is_a_small_integer() {
        check_error(bson!({"$round": []}), 28667);
        check_error(bson!({"$round": "x"}), 51081);
        check_error(bson!({"$round": [1, "x"]}), 16004);
        check_error(bson!({"$round": [1, f64::NAN]}), 31109);
        check_error(bson!({"$round": [1, 1.5]}), 51082);
        check_error(bson!({"$round": [1, decimal("NaN")]}), 51082);
        check_error(bson!({"$round": [1, 101]}), 51083);
        check_error(bson!({"$trunc": [1, -21]}), 51083);
        check_error(bson!({"$round": [i64::MAX, -1]}), 51080);
    }
}
