//! `$sin`, `$cos`, ..., `$atan2`, `$degreesToRadians`, `$radiansToDegrees`.

use super::arguments::Arguments;
use super::operator::{Arity, Table, listed};
use super::rounding::number;
use crate::number::Number;
use crate::{Decimal, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$sin", listed(Arity::Exactly(1), |arguments| SIN.evaluate(arguments))),
    ("$cos", listed(Arity::Exactly(1), |arguments| COS.evaluate(arguments))),
    ("$tan", listed(Arity::Exactly(1), |arguments| TAN.evaluate(arguments))),
    ("$asin", listed(Arity::Exactly(1), |arguments| ASIN.evaluate(arguments))),
    ("$acos", listed(Arity::Exactly(1), |arguments| ACOS.evaluate(arguments))),
    ("$atan", listed(Arity::Exactly(1), |arguments| ATAN.evaluate(arguments))),
    ("$atan2", listed(Arity::Exactly(2), atan2)),
    ("$sinh", listed(Arity::Exactly(1), |arguments| SINH.evaluate(arguments))),
    ("$cosh", listed(Arity::Exactly(1), |arguments| COSH.evaluate(arguments))),
    ("$tanh", listed(Arity::Exactly(1), |arguments| TANH.evaluate(arguments))),
    ("$asinh", listed(Arity::Exactly(1), |arguments| ASINH.evaluate(arguments))),
    ("$acosh", listed(Arity::Exactly(1), |arguments| ACOSH.evaluate(arguments))),
    ("$atanh", listed(Arity::Exactly(1), |arguments| ATANH.evaluate(arguments))),
    ("$degreesToRadians", listed(Arity::Exactly(1), |arguments| RADIANS.evaluate(arguments))),
    ("$radiansToDegrees", listed(Arity::Exactly(1), |arguments| DEGREES.evaluate(arguments))),
];

const SIN: Function = Function(Domain::Finite, f64::sin, Decimal::sin);
const COS: Function = Function(Domain::Finite, f64::cos, Decimal::cos);
const TAN: Function = Function(Domain::Finite, f64::tan, Decimal::tan);
const ASIN: Function = Function(Domain::UpToOne, f64::asin, Decimal::asin);
const ACOS: Function = Function(Domain::UpToOne, f64::acos, Decimal::acos);
const ATAN: Function = Function(Domain::All, f64::atan, Decimal::atan);
const SINH: Function = Function(Domain::All, f64::sinh, Decimal::sinh);
const COSH: Function = Function(Domain::All, f64::cosh, Decimal::cosh);
const TANH: Function = Function(Domain::All, f64::tanh, Decimal::tanh);
const ASINH: Function = Function(Domain::All, f64::asinh, Decimal::asinh);
const ACOSH: Function = Function(Domain::FromOne, f64::acosh, Decimal::acosh);
const ATANH: Function = Function(Domain::UpToOne, f64::atanh, Decimal::atanh);
const RADIANS: Function = Function(Domain::All, f64::to_radians, Decimal::to_radians);
const DEGREES: Function = Function(Domain::All, f64::to_degrees, Decimal::to_degrees);

/// A function of one number: where it is defined, and how it is computed.
struct Function(Domain, fn(f64) -> f64, fn(Decimal) -> Decimal);

/// Which numbers a function takes, beside NaN.
#[derive(Clone, Copy)]
enum Domain {
    All,
    Finite,
    UpToOne,
    FromOne,
}

impl Domain {
    fn contains(self, number: Number) -> bool {
        let one = Number::Int32(1);
        match self {
            Self::All => true,
            Self::Finite => number.to_double().is_finite() || is_finite_decimal(number),
            Self::UpToOne => {
                number.compare(one).is_le() && number.compare(Number::Int32(-1)).is_ge()
            }
            Self::FromOne => number.compare(one).is_ge(),
        }
    }

    /// The allowed numbers, in words.
    fn allowed(self) -> &'static str {
        match self {
            Self::All => "any number",
            Self::Finite => "a finite number",
            Self::UpToOne => "a number from -1 to 1",
            Self::FromOne => "a number from 1",
        }
    }
}

fn is_finite_decimal(number: Number) -> bool {
    matches!(number, Number::Decimal(number) if number.is_finite())
}

impl Function {
    fn evaluate<'a>(&self, arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
        let Self(domain, of_double, of_decimal) = self;
        let Some(number) = number(&arguments)? else { return Ok(Value::Null) };
        if number.is_nan() {
            return Ok(number.into());
        }
        if !domain.contains(number) {
            return Err(Error::location(
                50989,
                format!(
                    "{} takes {}, not {:?}",
                    arguments.operator(),
                    domain.allowed(),
                    Value::from(number)
                ),
            ));
        }
        Ok(match number {
            Number::Decimal(number) => Value::Decimal(of_decimal(number)),
            number => Value::Double(of_double(number.to_double())),
        })
    }
}

/// The argument at `index` as a number; `None` for null.
fn coordinate(
    arguments: &Arguments<'_, '_>,
    index: usize,
    no_number: i32,
) -> Result<Option<Number>> {
    let value = arguments.get(index)?;
    match Number::of(value) {
        None if !value.is_nullish() => Err(Error::location(
            no_number,
            format!("$atan2 takes numbers, not {}", value.type_name()),
        )),
        number => Ok(number),
    }
}

fn atan2<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some(y) = coordinate(&arguments, 0, 51044)? else { return Ok(Value::Null) };
    Ok(match coordinate(&arguments, 1, 51045)?.map(|x| (y, x)) {
        None => Value::Null,
        Some((y, x)) if y.is_decimal() || x.is_decimal() => {
            Value::Decimal(y.to_decimal().atan2(x.to_decimal()))
        }
        Some((y, x)) => Value::Double(y.to_double().atan2(x.to_double())),
    })
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use crate::expression::testing::{check, check_error};

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    #[test]
    fn functions_have_values() {
        check(bson!({"$sin": 0}), 0.0);
        check(bson!({"$cos": decimal("0")}), decimal("1.000000000000000000000000000000000"));
        check(bson!({"$atan2": [0, 1i64]}), 0.0);
        check(bson!({"$atan2": [null, "x"]}), bson!(null));
        check(bson!({"$acosh": 1}), 0.0);
        check(bson!({"$atanh": 1}), f64::INFINITY);
        check(bson!({"$tanh": f64::INFINITY}), 1.0);
        check(bson!({"$degreesToRadians": 180}), std::f64::consts::PI);
        check(
            bson!({"$degreesToRadians": decimal("180")}),
            decimal("3.141592653589793238462643383279503"),
        );
        check(bson!({"$sin": f64::NAN}), Bson::Double(f64::NAN));
        check(bson!({"$sin": null}), bson!(null));
    }

    #[test]
    fn functions_have_domains() {
        check_error(bson!({"$sin": "x"}), 28765);
        check_error(bson!({"$sin": f64::INFINITY}), 50989);
        check_error(bson!({"$tan": decimal("-Infinity")}), 50989);
        check_error(bson!({"$asin": 1.5}), 50989);
        check_error(bson!({"$acosh": decimal("0.5")}), 50989);
        check_error(bson!({"$atanh": -2}), 50989);
        check_error(bson!({"$atan2": ["x", null]}), 51044);
        check_error(bson!({"$atan2": [1, "x"]}), 51045);
    }
}
