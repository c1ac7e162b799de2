//! `$convert`, and `$toInt`, `$toString` and the like, which are `$convert` to one type.

use super::arguments::Arguments;
use super::coerce;
use super::date::{self, Moment, Zone};
use super::node::Node;
use super::number_text::{parse_decimal, parse_double, parse_integer};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::number::Number;
use crate::{Arena, Decimal, Error, ErrorCode, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$convert", Operator::Named { keys: &KEYS, errors: ERRORS, evaluate: convert }),
    ("$toBool", Operator::Parsed(|call, scope| shortcut(call, scope, "bool"))),
    ("$toDate", Operator::Parsed(|call, scope| shortcut(call, scope, "date"))),
    ("$toDecimal", Operator::Parsed(|call, scope| shortcut(call, scope, "decimal"))),
    ("$toDouble", Operator::Parsed(|call, scope| shortcut(call, scope, "double"))),
    ("$toInt", Operator::Parsed(|call, scope| shortcut(call, scope, "int"))),
    ("$toLong", Operator::Parsed(|call, scope| shortcut(call, scope, "long"))),
    ("$toObjectId", Operator::Parsed(|call, scope| shortcut(call, scope, "objectId"))),
    ("$toString", Operator::Parsed(|call, scope| shortcut(call, scope, "string"))),
];

const KEYS: [Key; 4] = [
    Key::required("input", FAILED_TO_PARSE),
    Key::required("to", FAILED_TO_PARSE),
    Key::optional("onError"),
    Key::optional("onNull"),
];
const ERRORS: NamedErrors =
    NamedErrors { not_an_object: FAILED_TO_PARSE, unknown_key: FAILED_TO_PARSE };
const FAILED_TO_PARSE: i32 = ErrorCode::FAILED_TO_PARSE.value();

/// The types that a value can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Double,
    String,
    ObjectId,
    Bool,
    Date,
    Int,
    Long,
    Decimal,
    /// A type to which nothing is converted.
    Other,
}

/// `{$toInt: value}`: `$convert` without what to give for null and failures.
fn shortcut(call: Call<'_>, scope: &Scope<'_>, to: &str) -> Result<Node> {
    let [input] = <[Node; 1]>::try_from(call.list(scope)?)
        .map_err(|list| call.wrong_count("exactly 1", list.len(), 50723))?;
    let to = Node::constant_of(Value::String(to));
    Ok(call.node(convert, [Some(input), Some(to), None, None]))
}

fn convert<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let to = arguments.get(1)?;
    let input = arguments.get(0)?;
    let target = if to.is_nullish() { None } else { Some(Target::of(to)?) };
    if input.is_nullish() {
        return Ok(arguments.given(3)?.unwrap_or(Value::Null));
    }
    let Some(target) = target else { return Ok(Value::Null) };
    match target.convert(input, arguments.arena()) {
        Err(error) if error.code() == ErrorCode::CONVERSION_FAILURE => {
            arguments.given(2)?.ok_or(error)
        }
        converted => converted,
    }
}

impl Target {
    /// The type that a name or a number stands for.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::BAD_VALUE`] for other names, [`ErrorCode::FAILED_TO_PARSE`] for other numbers and values.
    fn of(to: Value<'_>) -> Result<Self> {
        if let Value::String(name) = to {
            return Self::named(name).ok_or_else(|| {
                Error::bad_value(format!("'to' of $convert names no type: '{name}'"))
            });
        }
        if !to.is_number() {
            return Err(Error::failed_to_parse(format!(
                "'to' of $convert is the name or the number of a type, not {}",
                to.type_name()
            )));
        }
        coerce::int32(to)
            .and_then(Self::numbered)
            .ok_or_else(|| Error::failed_to_parse(format!("'to' of $convert is no type: {to:?}")))
    }

    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "double" => Self::Double,
            "string" => Self::String,
            "objectId" => Self::ObjectId,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "int" => Self::Int,
            "long" => Self::Long,
            "decimal" => Self::Decimal,
            "missing"
            | "object"
            | "array"
            | "binData"
            | "undefined"
            | "null"
            | "regex"
            | "dbPointer"
            | "javascript"
            | "symbol"
            | "javascriptWithScope"
            | "timestamp"
            | "minKey"
            | "maxKey" => Self::Other,
            _ => return None,
        })
    }

    fn numbered(number: i32) -> Option<Self> {
        Some(match number {
            1 => Self::Double,
            2 => Self::String,
            7 => Self::ObjectId,
            8 => Self::Bool,
            9 => Self::Date,
            16 => Self::Int,
            18 => Self::Long,
            19 => Self::Decimal,
            -1..=19 | 127 => Self::Other,
            _ => return None,
        })
    }

    /// Converts a value that is not null.
    fn convert<'a>(self, input: Value<'a>, arena: &'a Arena) -> Result<Value<'a>> {
        Ok(match self {
            Self::Double => Value::Double(to_double(input)?),
            Self::String => Value::String(to_text(input, arena)?),
            Self::ObjectId => to_object_id(input, arena)?,
            Self::Bool => Value::Bool(input.is_truthy()),
            Self::Date => Value::DateTime(to_date(input)?),
            Self::Int => Value::Int32(to_int(input)?),
            Self::Long => Value::Int64(to_long(input)?),
            Self::Decimal => Value::Decimal(to_decimal(input)?),
            Self::Other => return Err(unsupported(input, "this type")),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
fn to_double(input: Value<'_>) -> Result<f64> {
    match input {
        Value::Double(number) => Ok(number),
        Value::String(text) => parse_double(text),
        Value::Bool(truth) => Ok(f64::from(u8::from(truth))),
        Value::DateTime(milliseconds) => Ok(milliseconds as f64),
        Value::Int32(number) => Ok(number.into()),
        Value::Int64(number) => Ok(number as f64),
        Value::Decimal(number) => number.to_double_in_range().ok_or_else(|| too_large(input)),
        _ => Err(unsupported(input, "double")),
    }
}

fn to_text<'a>(input: Value<'a>, arena: &'a Arena) -> Result<&'a str> {
    match input {
        Value::String(text) => Ok(text),
        Value::ObjectId(id) => Ok(arena.text(&bson::oid::ObjectId::from_bytes(*id).to_hex())),
        Value::Bool(truth) => Ok(if truth { "true" } else { "false" }),
        Value::DateTime(milliseconds) => Ok(arena.text(&date::iso(Moment::utc(milliseconds))?)),
        Value::Double(number) if number.is_nan() => Ok("NaN"),
        Value::Double(number) if number.is_infinite() => {
            Ok(if number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Value::Double(_) | Value::Int32(_) | Value::Int64(_) | Value::Decimal(_) => {
            coerce::text(input, arena)
        }
        _ => Err(unsupported(input, "string")),
    }
}

fn to_object_id<'a>(input: Value<'a>, arena: &'a Arena) -> Result<Value<'a>> {
    match input {
        Value::ObjectId(_) => Ok(input),
        Value::String(text) => {
            let id = object_id(text).ok_or_else(|| {
                failure(format!("'{text}' is no object id of 24 hexadecimal digits"))
            })?;
            Ok(arena.object_id(id))
        }
        _ => Err(unsupported(input, "objectId")),
    }
}

fn object_id(text: &str) -> Option<[u8; 12]> {
    bson::oid::ObjectId::parse_str(text).ok().map(|id| id.bytes())
}

fn to_date(input: Value<'_>) -> Result<i64> {
    match input {
        Value::DateTime(_) | Value::Timestamp(_) | Value::ObjectId(_) => {
            coerce::required_date(input)
        }
        Value::String(text) => date::parse_date(text, &Zone::Utc),
        Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => to_long(input),
        _ => Err(unsupported(input, "date")),
    }
}

fn to_int(input: Value<'_>) -> Result<i32> {
    match input {
        Value::Int32(number) => Ok(number),
        Value::String(text) => parse_integer(text),
        Value::Bool(truth) => Ok(truth.into()),
        Value::Double(number) if number > i32::MAX.into() || number < i32::MIN.into() => {
            Err(too_large(input))
        }
        Value::Double(_) | Value::Int64(_) | Value::Decimal(_) => {
            i32::try_from(to_long(input)?).map_err(|_| too_large(input))
        }
        _ => Err(unsupported(input, "int")),
    }
}

fn to_long(input: Value<'_>) -> Result<i64> {
    match input {
        Value::String(text) => parse_integer(text),
        Value::Bool(truth) => Ok(truth.into()),
        Value::DateTime(milliseconds) => Ok(milliseconds),
        Value::Int32(_) | Value::Int64(_) | Value::Double(_) | Value::Decimal(_) => {
            let number = Number::of(input).and_then(Number::to_whole);
            number.ok_or_else(|| too_large(input))
        }
        _ => Err(unsupported(input, "long")),
    }
}

fn to_decimal(input: Value<'_>) -> Result<Decimal> {
    match input {
        Value::String(text) => parse_decimal(text),
        Value::Bool(truth) => Ok(Decimal::from(i32::from(truth))),
        Value::DateTime(milliseconds) => Ok(Decimal::from(milliseconds)),
        _ => match Number::of(input) {
            Some(number) => Ok(number.to_decimal()),
            None => Err(unsupported(input, "decimal")),
        },
    }
}

pub(super) fn failure(message: String) -> Error {
    Error::new(ErrorCode::CONVERSION_FAILURE, message)
}

fn unsupported(input: Value<'_>, to: &str) -> Error {
    failure(format!("$convert does not convert {} to {to}", input.type_name()))
}

fn too_large(input: Value<'_>) -> Error {
    failure(format!("$convert: the type to convert to does not hold {input:?}"))
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;
    use bson::{Bson, DateTime, bson};

    use crate::expression::testing::{check, check_error};

    fn decimal(text: &str) -> Bson {
        Bson::Decimal128(text.parse().unwrap())
    }

    const HOUR: DateTime = DateTime::from_millis(3_600_000);

    #[test]
    fn values_are_converted() {
        check(bson!({"$toInt": -1.9}), -1);
        check(bson!({"$toInt": decimal("2147483647.9")}), i32::MAX);
        check(bson!({"$toLong": HOUR}), 3_600_000i64);
        check(bson!({"$toLong": "-5"}), -5i64);
        check(bson!({"$toDouble": true}), 1.0);
        check(bson!({"$toDouble": decimal("0.1")}), 0.1);
        check(bson!({"$toDecimal": 0.1}), decimal("0.100000000000000"));
        check(bson!({"$toDecimal": -0.0}), decimal("-0"));
        check(bson!({"$toDecimal": "1.50"}), decimal("1.50"));
        check(bson!({"$toBool": ""}), true);
        check(bson!({"$toBool": 0.0}), false);
        check(bson!({"$toBool": [[]]}), true);
        check(bson!({"$toDate": "1970-01-01T01:00:00Z"}), HOUR);
        check(bson!({"$toDate": 3_600_000i64}), HOUR);
        check(
            bson!({"$toDate": ObjectId::from_bytes([0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 0, 0])}),
            HOUR,
        );
        check(
            bson!({"$toObjectId": "507F1f77bcf86cd799439011"}),
            ObjectId::parse_str("507f1f77bcf86cd799439011").unwrap(),
        );
    }

    #[test]
    fn values_have_texts() {
        check(bson!({"$toString": 2.5}), "2.5");
        check(bson!({"$toString": 3.0}), "3");
        check(bson!({"$toString": -0.0}), "-0");
        check(bson!({"$toString": 1e16}), "1e+16");
        check(bson!({"$toString": -9e-5}), "-9e-05");
        check(bson!({"$toString": f64::NEG_INFINITY}), "-Infinity");
        check(bson!({"$toString": f64::NAN}), "NaN");
        check(bson!({"$toString": decimal("1E+10")}), "1E+10");
        check(bson!({"$toString": false}), "false");
        check(bson!({"$toString": HOUR}), "1970-01-01T01:00:00.000Z");
        check(bson!({"$toString": ObjectId::from_bytes([171; 12])}), "abababababababababababab");
    }

    #[test]
    fn what_cannot_be_converted_fails() {
        for (operator, value) in [
            ("$toInt", bson!(2_147_483_648i64)),
            ("$toInt", bson!(2_147_483_647.5)),
            ("$toInt", bson!("1.5")),
            ("$toInt", bson!(HOUR)),
            ("$toLong", bson!(f64::NAN)),
            ("$toLong", bson!(1e300)),
            ("$toLong", decimal("Infinity")),
            ("$toDouble", decimal("1E+400")),
            ("$toDouble", decimal("1E-400")),
            ("$toDouble", bson!({})),
            ("$toDate", bson!(1)),
            ("$toDate", bson!(true)),
            ("$toDate", bson!("today")),
            ("$toObjectId", bson!("507f")),
            ("$toString", bson!({"a": 1})),
        ] {
            check_error(bson!({operator: value}), 241);
        }
        check_error(bson!({"$toInt": [1, 2]}), 50723);
    }

    #[test]
    fn failures_and_null_have_other_values() {
        let convert = |input, to| bson!({"$convert": {"input": input, "to": to, "onError": "error", "onNull": "null"}});
        check(convert(bson!("x"), bson!("int")), "error");
        check(convert(bson!("5"), bson!(16)), 5);
        check(convert(bson!(null), bson!("int")), "null");
        check(convert(bson!("$nope"), bson!(null)), "null");
        check(convert(bson!(1), bson!(null)), bson!(null));
        check(convert(bson!(1), bson!("array")), "error");
        check_error(convert(bson!(1), bson!("number")), 2);
        check_error(convert(bson!(null), bson!("number")), 2);
        check_error(convert(bson!(1), bson!(20)), 9);
        check_error(convert(bson!(1), bson!(1.5)), 9);
        check_error(convert(bson!(1), bson!(true)), 9);
        check_error(bson!({"$convert": 1}), 9);
        check_error(bson!({"$convert": {"input": 1}}), 9);
        check_error(bson!({"$convert": {"to": "int"}}), 9);
        check_error(bson!({"$convert": {"input": 1, "to": "int", "other": 1}}), 9);
    }
}
