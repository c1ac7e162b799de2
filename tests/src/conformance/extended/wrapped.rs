//! The wrappers of canonical Extended JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bson::Decimal128;
use bson::oid::ObjectId;

use super::Json;

/// A value that a wrapper stands for.
pub(super) enum Wrapped<'a> {
    Int32(i32),
    Int64(i64),
    Double(f64),
    Decimal(Decimal128),
    ObjectId(ObjectId),
    DateTime(i64),
    Binary { subtype: u8, bytes: Vec<u8> },
    Timestamp { time: u32, increment: u32 },
    Regex { pattern: &'a str, options: &'a str },
    MinKey,
    MaxKey,
    Undefined,
    Code(&'a str),
    CodeWithScope { code: &'a str, scope: &'a Json },
    Symbol(&'a str),
    DbPointer { namespace: &'a str, id: ObjectId },
}

impl<'a> Wrapped<'a> {
    /// The value that an object with these fields stands for, if it is a wrapper.
    pub(super) fn of(fields: &'a [(String, Json)]) -> Option<Self> {
        match fields {
            [(name, value)] => unwrap(name, value),
            [(code, text), (scope, document)] if code == "$code" && scope == "$scope" => {
                document.as_object()?;
                Some(Self::CodeWithScope { code: text.as_str()?, scope: document })
            }
            _ => None,
        }
    }
}

fn unwrap<'a>(name: &str, value: &'a Json) -> Option<Wrapped<'a>> {
    Some(match name {
        "$numberInt" => Wrapped::Int32(value.as_str()?.parse().ok()?),
        "$numberLong" => Wrapped::Int64(value.as_str()?.parse().ok()?),
        "$numberDouble" => Wrapped::Double(value.as_str()?.parse().ok()?),
        "$numberDecimal" => Wrapped::Decimal(value.as_str()?.parse().ok()?),
        "$oid" => Wrapped::ObjectId(ObjectId::parse_str(value.as_str()?).ok()?),
        "$symbol" => Wrapped::Symbol(value.as_str()?),
        "$code" => Wrapped::Code(value.as_str()?),
        "$date" => match Wrapped::of(value.as_object()?)? {
            Wrapped::Int64(milliseconds) => Wrapped::DateTime(milliseconds),
            _ => return None,
        },
        "$binary" => {
            let [base64, subtype] = two_fields(value, ["base64", "subType"])?;
            let subtype = u8::from_str_radix(subtype.as_str()?, 16).ok()?;
            Wrapped::Binary { subtype, bytes: BASE64.decode(base64.as_str()?).ok()? }
        }
        "$timestamp" => {
            let [time, increment] = two_fields(value, ["t", "i"])?;
            Wrapped::Timestamp { time: unsigned(time)?, increment: unsigned(increment)? }
        }
        "$regularExpression" => {
            let [pattern, options] = two_fields(value, ["pattern", "options"])?;
            Wrapped::Regex { pattern: pattern.as_str()?, options: options.as_str()? }
        }
        "$dbPointer" => {
            let [namespace, id] = two_fields(value, ["$ref", "$id"])?;
            match Wrapped::of(id.as_object()?)? {
                Wrapped::ObjectId(id) => Wrapped::DbPointer { namespace: namespace.as_str()?, id },
                _ => return None,
            }
        }
        "$minKey" if *value == Json::Integer(1) => Wrapped::MinKey,
        "$maxKey" if *value == Json::Integer(1) => Wrapped::MaxKey,
        "$undefined" if *value == Json::Bool(true) => Wrapped::Undefined,
        _ => return None,
    })
}

/// The values of an object that has exactly these two fields.
fn two_fields<'a>(value: &'a Json, names: [&str; 2]) -> Option<[&'a Json; 2]> {
    let fields = value.as_object()?;
    if fields.len() != 2 {
        return None;
    }
    Some([value.get(names[0])?, value.get(names[1])?])
}

fn unsigned(value: &Json) -> Option<u32> {
    match value {
        Json::Integer(number) => u32::try_from(*number).ok(),
        _ => None,
    }
}
