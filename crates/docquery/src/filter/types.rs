//! The argument of `$type`.

use crate::number::Number;
use crate::raw::Kind;
use crate::write::kind_of;
use crate::{Error, Result, Value};

/// A set of BSON types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeSet(
    /// A bit for each type, see [`bit`].
    u32,
);

impl TypeSet {
    /// Parses the argument of `$type`: a type, or a list of types, by name or number.
    pub(super) fn parse(argument: Value<'_>) -> Result<Self> {
        let bits = match argument {
            Value::Array(list) => {
                list.iter().try_fold(0, |bits, item| Ok::<_, Error>(bits | parse_type(item)?))?
            }
            argument => parse_type(argument)?,
        };
        if bits == 0 {
            return Err(Error::failed_to_parse("$type must list at least one type"));
        }
        Ok(Self(bits))
    }

    /// Whether `value` is of one of the types. `Missing` is of none.
    pub fn contains(self, value: Value<'_>) -> bool {
        kind_of(value).is_some_and(|kind| self.has(kind))
    }

    /// Whether `kind` is one of them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 & bit(kind) != 0
    }
}

fn parse_type(argument: Value<'_>) -> Result<u32> {
    match argument {
        Value::String("number") => Ok(NUMBERS.into_iter().fold(0, |bits, kind| bits | bit(kind))),
        Value::String(name) => {
            let known = ALIASES.iter().find(|(alias, _)| *alias == name);
            known.map(|(_, kind)| bit(*kind)).ok_or_else(|| {
                Error::bad_value(format!(
                    "unknown type name '{name}' in $type; it is one like \"int\" or \"string\""
                ))
            })
        }
        argument => {
            let number = Number::of(argument).ok_or_else(|| {
                Error::type_mismatch(format!(
                    "$type takes a number or a string, not {}",
                    argument.type_name()
                ))
            })?;
            let kind = number.as_exact_i64().and_then(kind_of_number);
            kind.map(bit).ok_or_else(|| {
                Error::bad_value(format!("invalid numerical type code in $type: {argument:?}"))
            })
        }
    }
}

fn kind_of_number(number: i64) -> Option<Kind> {
    ALIASES.iter().map(|(_, kind)| *kind).find(|kind| number_of(*kind) == number)
}

/// The number by which `$type` calls a type: that of BSON, but -1 for `MinKey`.
fn number_of(kind: Kind) -> i64 {
    match kind {
        Kind::MinKey => -1,
        kind => i64::from(kind as u8),
    }
}

fn bit(kind: Kind) -> u32 {
    match kind {
        Kind::MinKey => 1 << 30,
        Kind::MaxKey => 1 << 31,
        kind => 1 << kind as u8,
    }
}

const NUMBERS: [Kind; 4] = [Kind::Int32, Kind::Int64, Kind::Double, Kind::Decimal];

const ALIASES: [(&str, Kind); 21] = [
    ("double", Kind::Double),
    ("string", Kind::String),
    ("object", Kind::Document),
    ("array", Kind::Array),
    ("binData", Kind::Binary),
    ("undefined", Kind::Undefined),
    ("objectId", Kind::ObjectId),
    ("bool", Kind::Bool),
    ("date", Kind::DateTime),
    ("null", Kind::Null),
    ("regex", Kind::Regex),
    ("dbPointer", Kind::DbPointer),
    ("javascript", Kind::JavaScript),
    ("symbol", Kind::Symbol),
    ("javascriptWithScope", Kind::JavaScriptWithScope),
    ("int", Kind::Int32),
    ("timestamp", Kind::Timestamp),
    ("long", Kind::Int64),
    ("decimal", Kind::Decimal),
    ("minKey", Kind::MinKey),
    ("maxKey", Kind::MaxKey),
];
