//! `$fill`: values for fields that have none.

use crate::{Arena, Array, Error, ErrorCode, OwnedValue, Result, Value};

/// `$setWindowFields` for what is filled from neighbours, and `$addFields` for what is computed.
pub(super) fn stages(spec: Value<'_>) -> Result<Vec<OwnedValue>> {
    let Value::Document(spec) = spec else {
        let message = format!("$fill takes an object, not {}", spec.type_name());
        return Err(Error::new(ErrorCode::FAILED_TO_PARSE, message));
    };
    let arena = Arena::new();
    let (mut windows, mut output, mut partitioned) = (Vec::new(), None, false);
    for (name, value) in spec {
        match (name, value) {
            ("sortBy", Value::Document(_)) => windows.push(("sortBy", value)),
            ("output", Value::Document(fields)) => output = Some(fields),
            ("partitionBy", Value::Document(_)) | ("partitionByFields", Value::Array(_)) => {
                if std::mem::replace(&mut partitioned, true) {
                    let message = "$fill takes either partitionBy or partitionByFields";
                    return Err(Error::location(6_050_204, message));
                }
                let by = match value {
                    Value::Array(fields) => partition_of(fields, &arena)?,
                    by => Some(by),
                };
                windows.extend(by.map(|by| ("partitionBy", by)));
            }
            ("sortBy" | "output" | "partitionBy", _) => {
                return Err(wrong_type(name, "an object", value));
            }
            ("partitionByFields", _) => return Err(wrong_type(name, "an array", value)),
            _ => return Err(unknown(name)),
        }
    }
    let output = output.ok_or_else(|| Error::location(40414, "$fill needs the option output"))?;
    if output.is_empty() {
        return Err(Error::location(6_050_203, "the output of $fill names at least one field"));
    }
    let (mut filled, mut computed) = (Vec::new(), Vec::new());
    for (name, spec) in output {
        let path = arena.string(&format!("${name}"));
        match Filling::parse(spec)? {
            Filling::Nothing => {}
            Filling::Value(value) => {
                let operands = arena.array(&[path, value])?;
                computed.push((name, arena.document(&[("$ifNull", operands)])?));
            }
            Filling::From(function) => filled.push((name, arena.document(&[(function, path)])?)),
        }
    }
    let mut stages = Vec::new();
    if !filled.is_empty() {
        windows.push(("output", arena.document(&filled)?));
        stages.push(arena.document(&[("$setWindowFields", arena.document(&windows)?)])?.into());
    }
    if !computed.is_empty() {
        stages.push(arena.document(&[("$addFields", arena.document(&computed)?)])?.into());
    }
    Ok(stages)
}

/// How a field is filled.
enum Filling<'v> {
    Nothing,
    Value(Value<'v>),
    /// By a window function.
    From(&'static str),
}

impl<'v> Filling<'v> {
    fn parse(spec: Value<'v>) -> Result<Self> {
        let Value::Document(spec) = spec else {
            let message = "an output of $fill is an object with either value or method";
            return Err(Error::location(6_050_200, message));
        };
        let mut filling = Self::Nothing;
        for (name, value) in spec {
            if !matches!(name, "value" | "method") {
                return Err(unknown(name));
            }
            if !matches!(filling, Self::Nothing) {
                let message = "an output of $fill has either value or method, not both";
                return Err(Error::location(6_050_201, message));
            }
            filling = match (name, value) {
                ("value", value) => Self::Value(value),
                (_, Value::String("locf")) => Self::From("$locf"),
                (_, Value::String("linear")) => Self::From("$linearFill"),
                (_, Value::String(other)) => {
                    let message = format!("the method of $fill is locf or linear, not '{other}'");
                    return Err(Error::location(6_050_202, message));
                }
                (_, other) => return Err(wrong_type("method", "a string", other)),
            };
        }
        Ok(filling)
    }
}

/// An object of the fields that tell the partition.
fn partition_of<'a>(fields: Array<'a>, arena: &'a Arena) -> Result<Option<Value<'a>>> {
    let mut parts = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let Value::String(field) = field else {
            return Err(wrong_type("partitionByFields", "an array of strings", field));
        };
        let name = if field.contains('.') { arena.text(&index.to_string()) } else { field };
        parts.push((name, arena.string(&format!("${field}"))));
    }
    if parts.is_empty() { Ok(None) } else { arena.document(&parts).map(Some) }
}

fn wrong_type(name: &str, expected: &str, value: Value<'_>) -> Error {
    Error::type_mismatch(format!("'{name}' of $fill is {expected}, not {}", value.type_name()))
}

fn unknown(name: &str) -> Error {
    let message = format!(
        "$fill has no option '{name}'; it takes sortBy, partitionBy, partitionByFields, output"
    );
    Error::location(40415, message)
}
