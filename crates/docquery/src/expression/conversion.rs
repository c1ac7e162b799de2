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
        Value::ObjectId(id) => {
            let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(arena.text(&digits))
        }
        Value::Bool(truth) => Ok(if truth { "true" } else { "false" }),
        Value::DateTime(milliseconds) => {
            Ok(arena.text(&date::iso(Moment::utc(milliseconds), "Z")?))
        }
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
    let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
    let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16)?).ok();
    let mut id = [0; 12];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
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
