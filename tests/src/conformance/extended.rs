//! Canonical Extended JSON v2 to BSON.
//!
//! An object is a BSON value of another type only when it has exactly the shape of a canonical wrapper:
//! `{"$numberInt": "1"}` is one, `{"$numberInt": 1}` and `{"$numberInt": "1", "a": "b"}` are documents, and so is what
//! looks like the relaxed or the older form (`{"$regex": ...}`, `{"$date": "2020-..."}`): these are MongoDB's operators.
//! A bare integer is an int32 if it fits and an int64 otherwise, a bare float a double. The cases have bare numbers
//! only where they are compared by value.

mod wrapped;

use bson::RawDocumentBuf;
use bson::spec::ElementType;

use super::json::Json;
use wrapped::Wrapped;

/// Why some Extended JSON is no BSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtendedError {
    /// The outermost value is an array or a scalar.
    #[error("a document is an object, and this is {0:?}")]
    NoDocument(Json),
    /// BSON ends a field's name, a regular expression and its options with a zero.
    #[error("{0:?} holds a zero character, where BSON cannot hold one")]
    Zero(String),
    /// More than a 32-bit length counts.
    #[error("{0} bytes are more than a BSON length counts")]
    Long(usize),
    /// The bytes written are not BSON.
    #[error("the document written cannot be read: {0}")]
    Bson(#[from] bson::error::Error),
}

/// The document that `json` describes.
///
/// # Errors
///
/// When it describes none.
pub fn document(json: &Json) -> Result<RawDocumentBuf, ExtendedError> {
    let fields = json.as_object().ok_or_else(|| ExtendedError::NoDocument(json.clone()))?;
    let mut bytes = Vec::new();
    write_fields(&mut bytes, fields.iter().map(|(name, value)| (name.as_str(), value)))?;
    Ok(RawDocumentBuf::from_bytes(bytes)?)
}

fn write_fields<'a>(
    out: &mut Vec<u8>,
    fields: impl Iterator<Item = (&'a str, &'a Json)>,
) -> Result<(), ExtendedError> {
    counted(out, |out| {
        for (name, value) in fields {
            let type_byte = out.len();
            out.push(0);
            write_cstring(out, name)?;
            out[type_byte] = write_value(out, value)? as u8;
        }
        out.push(0);
        Ok(())
    })
}

/// Writes a value without its type and name, and says its type.
fn write_value(out: &mut Vec<u8>, value: &Json) -> Result<ElementType, ExtendedError> {
    Ok(match value {
        Json::Null => ElementType::Null,
        Json::Bool(value) => {
            out.push(u8::from(*value));
            ElementType::Boolean
        }
        Json::Integer(value) => match i32::try_from(*value) {
            Ok(value) => write_wrapped(out, &Wrapped::Int32(value))?,
            Err(_) => write_wrapped(out, &Wrapped::Int64(*value))?,
        },
        Json::Float(value) => write_wrapped(out, &Wrapped::Double(*value))?,
        Json::String(text) => {
            write_string(out, text)?;
            ElementType::String
        }
        Json::Array(elements) => {
            let names: Vec<String> = (0..elements.len()).map(|index| index.to_string()).collect();
            write_fields(out, names.iter().map(String::as_str).zip(elements))?;
            ElementType::Array
        }
        Json::Object(fields) => {
            if let Some(wrapped) = Wrapped::of(fields) {
                return write_wrapped(out, &wrapped);
            }
            write_fields(out, fields.iter().map(|(name, value)| (name.as_str(), value)))?;
            ElementType::EmbeddedDocument
        }
    })
}

fn write_wrapped(out: &mut Vec<u8>, value: &Wrapped<'_>) -> Result<ElementType, ExtendedError> {
    Ok(match value {
        Wrapped::Int32(value) => {
            out.extend(value.to_le_bytes());
            ElementType::Int32
        }
        Wrapped::Int64(value) => {
            out.extend(value.to_le_bytes());
            ElementType::Int64
        }
        Wrapped::Double(value) => {
            out.extend(value.to_le_bytes());
            ElementType::Double
        }
        Wrapped::Decimal(value) => {
            out.extend(value.bytes());
            ElementType::Decimal128
        }
        Wrapped::ObjectId(id) => {
            out.extend(id.bytes());
            ElementType::ObjectId
        }
        Wrapped::DateTime(milliseconds) => {
            out.extend(milliseconds.to_le_bytes());
            ElementType::DateTime
        }
        Wrapped::Binary { subtype, bytes } => {
            write_binary(out, *subtype, bytes)?;
            ElementType::Binary
        }
        Wrapped::Timestamp { time, increment } => {
            out.extend(increment.to_le_bytes());
            out.extend(time.to_le_bytes());
            ElementType::Timestamp
        }
        Wrapped::Regex { pattern, options } => {
            write_cstring(out, pattern)?;
            write_cstring(out, options)?;
            ElementType::RegularExpression
        }
        Wrapped::MinKey => ElementType::MinKey,
        Wrapped::MaxKey => ElementType::MaxKey,
        Wrapped::Undefined => ElementType::Undefined,
        Wrapped::Code(code) => {
            write_string(out, code)?;
            ElementType::JavaScriptCode
        }
        Wrapped::CodeWithScope { code, scope } => {
            counted(out, |out| {
                write_string(out, code)?;
                out.extend(document(scope)?.as_bytes());
                Ok(())
            })?;
            ElementType::JavaScriptCodeWithScope
        }
        Wrapped::Symbol(text) => {
            write_string(out, text)?;
            ElementType::Symbol
        }
        Wrapped::DbPointer { namespace, id } => {
            write_string(out, namespace)?;
            out.extend(id.bytes());
            ElementType::DbPointer
        }
    })
}

/// Writes what `write` writes behind its length, which counts itself.
fn counted(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ExtendedError>,
) -> Result<(), ExtendedError> {
    let start = out.len();
    out.extend([0; 4]);
    write(out)?;
    let length = length(out.len() - start)?;
    out[start..start + 4].copy_from_slice(&length);
    Ok(())
}

fn write_string(out: &mut Vec<u8>, text: &str) -> Result<(), ExtendedError> {
    out.extend(length(text.len() + 1)?);
    out.extend(text.as_bytes());
    out.push(0);
    Ok(())
}

fn write_cstring(out: &mut Vec<u8>, text: &str) -> Result<(), ExtendedError> {
    if text.contains('\0') {
        return Err(ExtendedError::Zero(text.to_owned()));
    }
    out.extend(text.as_bytes());
    out.push(0);
    Ok(())
}

/// Subtype 2, the old one, repeats the length inside.
fn write_binary(out: &mut Vec<u8>, subtype: u8, bytes: &[u8]) -> Result<(), ExtendedError> {
    const OLD: u8 = 2;
    if subtype == OLD {
        out.extend(length(bytes.len() + 4)?);
        out.push(subtype);
    }
    out.extend(length(bytes.len())?);
    if subtype != OLD {
        out.push(subtype);
    }
    out.extend(bytes);
    Ok(())
}

fn length(bytes: usize) -> Result<[u8; 4], ExtendedError> {
    i32::try_from(bytes).map(i32::to_le_bytes).map_err(|_| ExtendedError::Long(bytes))
}

#[cfg(test)]
mod tests;
