//! Specifications of indexes as `createIndexes` gets them: checked, and brought into the form in which they are listed.

use bson::RawDocumentBuf;
use docquery::number::Number;
use docquery::{Document, Environment, Error, ErrorCode, Filter, Result, Value, Writer};

use super::raw;

/// A specification that was checked.
#[derive(Clone, Debug)]
pub(crate) struct IndexSpec {
    /// The specification as it is listed: `v`, `key`, `name`, and the options in the order in which they were given.
    pub(crate) listed: RawDocumentBuf,
}

impl IndexSpec {
    /// Checks a specification.
    pub(crate) fn parse(spec: Document<'_>) -> Result<Self> {
        Self::checked(spec).map_err(|error| match error.code() {
            ErrorCode::INVALID_INDEX_SPECIFICATION_OPTION => error,
            _ => error.within(&format!("Error in specification {spec:?}: ")),
        })
    }

    /// The name under which it is listed.
    pub(crate) fn name(&self) -> &str {
        self.listed.get_str("name").expect("it was checked")
    }

    fn checked(spec: Document<'_>) -> Result<Self> {
        let key = match spec.get("key") {
            Value::Document(key) => key,
            Value::Missing => return Err(required("key")),
            other => return Err(wrong_type("key", "an object", other)),
        };
        docquery::key::KeyPattern::parse(raw(key))?;
        let of_id = is_id_key(key);
        let name = match spec.get("name") {
            Value::String("") => return Err(cannot_create("the name of an index cannot be empty")),
            Value::String(name) => name,
            Value::Missing => return Err(required("name")),
            other => return Err(wrong_type("name", "a string", other)),
        };
        if name.contains('\0') {
            return Err(cannot_create("the name of an index cannot contain a null byte"));
        }
        if name == "*" {
            return Err(Error::bad_value("The index name '*' is not valid."));
        }
        let name = if of_id { "_id_" } else { name };
        let mut writer = Writer::new();
        writer.field("v", Value::Int32(2));
        writer.field("key", Value::Document(key));
        writer.field("name", Value::String(name));
        for (option, value) in spec {
            if of_id && !matches!(option, "v" | "key" | "name" | "ns" | "collation") {
                return Err(invalid_option(format!(
                    "The field '{option}' is not valid for an _id index specification"
                )));
            }
            write_option(option, value, key, &mut writer)?;
        }
        if of_id && direction(key) != Some(("_id", 1)) {
            return Err(Error::bad_value(format!(
                "The field 'key' for an _id index must be {{_id: 1}}, but got {key:?}"
            )));
        }
        let listed =
            RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document");
        if truthy(spec.get("sparse")) && spec.get("partialFilterExpression").as_document().is_some()
        {
            return Err(cannot_create(
                "cannot mix \"partialFilterExpression\" and \"sparse\" options",
            ));
        }
        Ok(Self { listed })
    }
}

fn write_option(
    option: &str,
    value: Value<'_>,
    key: Document<'_>,
    writer: &mut Writer,
) -> Result<()> {
    match option {
        "v" => check_version(value),
        // A build is always in the background here; the namespace is where the index is made.
        "key" | "name" | "ns" | "background" | "dropDups" => Ok(()),
        "hidden" if value.as_bool().is_none() => Err(wrong_type(option, "a bool", value)),
        "unique" | "sparse" | "hidden" | "prepareUnique" => {
            if !value.is_number() && value.as_bool().is_none() {
                return Err(wrong_type(option, "a bool, or a number", value));
            }
            if truthy(value) {
                writer.field(option, Value::Bool(true));
            }
            Ok(())
        }
        "expireAfterSeconds" => {
            let seconds = Value::Int32(expire_after_seconds(value)?);
            if key.len() > 1 {
                return Err(cannot_create(
                    "TTL indexes are single-field indexes, compound indexes do not support TTL",
                ));
            }
            writer.field(option, seconds);
            Ok(())
        }
        "partialFilterExpression" => {
            let Value::Document(expression) = value else {
                return Err(wrong_type(option, "an object", value));
            };
            check_partial(expression)?;
            writer.field(option, value);
            Ok(())
        }
        "collation" => match value {
            Value::Document(collation) => check_collation(collation),
            other => Err(wrong_type(option, "an object", other)),
        },
        "storageEngine" => match value {
            Value::Document(_) => Ok(()),
            other => Err(wrong_type(option, "an object", other)),
        },
        _ => Err(invalid_option(format!(
            "The field '{option}' is not valid for an index specification"
        ))),
    }
}

fn check_version(value: Value<'_>) -> Result<()> {
    match Number::of(value) {
        None => Err(wrong_type("v", "a number", value)),
        Some(number) => match number.as_exact_i64() {
            Some(1 | 2) => Ok(()),
            _ => Err(cannot_create("an index has version 2")),
        },
    }
}

/// Checks the `expireAfterSeconds` of an index.
pub(crate) fn expire_after_seconds(value: Value<'_>) -> Result<i32> {
    let Some(number) = Number::of(value) else {
        return Err(cannot_create(format!(
            "TTL index 'expireAfterSeconds' option must be numeric, but received a type of '{}'",
            value.type_name()
        )));
    };
    if number.is_nan() {
        return Ok(i32::MAX);
    }
    let seconds = number.saturating_i64();
    if seconds < 0 {
        return Err(cannot_create("TTL index 'expireAfterSeconds' option cannot be less than 0"));
    }
    i32::try_from(seconds).map_err(|_| {
        cannot_create(format!(
            "TTL index 'expireAfterSeconds' option must be within an acceptable range, at most {}",
            i32::MAX
        ))
    })
}

/// A partial index takes filters that can be told from others without looking at documents.
fn check_partial(expression: Document<'_>) -> Result<()> {
    Filter::parse(raw(expression), &Environment::new(0))?;
    check_partial_operators(expression)
}

fn check_partial_operators(expression: Document<'_>) -> Result<()> {
    for (name, value) in expression {
        match (name, value) {
            ("$expr", _) => {
                return Err(Error::new(
                    ErrorCode::QUERY_FEATURE_NOT_ALLOWED,
                    "$expr is not allowed in a partialFilterExpression",
                ));
            }
            ("$and" | "$or", Value::Array(branches)) => {
                for branch in branches.iter().filter_map(|branch| branch.as_document()) {
                    check_partial_operators(branch)?;
                }
            }
            (name, _) if name.starts_with('$') => return Err(unsupported_in_partial(name)),
            (_, Value::Document(predicate)) => {
                for (operator, operand) in
                    predicate.iter().filter(|(name, _)| name.starts_with('$'))
                {
                    let allowed = match operator {
                        "$eq" | "$lt" | "$lte" | "$gt" | "$gte" | "$in" | "$type" | "$all" => true,
                        "$exists" => operand.is_truthy(),
                        _ => false,
                    };
                    if !allowed {
                        return Err(unsupported_in_partial(operator));
                    }
                }
            }
            (_, Value::Regex { .. }) => return Err(unsupported_in_partial("$regex")),
            _ => {}
        }
    }
    Ok(())
}

/// No order of strings but that of their bytes is known here.
pub(crate) fn check_collation(collation: Document<'_>) -> Result<()> {
    match collation.get("locale") {
        _ if collation.is_empty() => Ok(()),
        Value::String("simple") => Ok(()),
        Value::Missing => Err(Error::location(
            40414,
            "BSON field 'collation.locale' is missing but a required field",
        )),
        Value::String(locale) => Err(Error::bad_value(format!(
            "the collation '{locale}' is not supported: strings are compared by their bytes, as with {{locale: \"simple\"}}"
        ))),
        other => Err(wrong_type("collation.locale", "a string", other)),
    }
}

/// Whether a key is that of the index on `_id`, be it in the wrong direction.
fn is_id_key(key: Document<'_>) -> bool {
    key.len() == 1 && matches!(direction(key), Some(("_id", 1 | -1)))
}

/// The first field of a key, and its direction if that is a whole number.
fn direction(key: Document<'_>) -> Option<(&str, i64)> {
    let (name, value) = key.first()?;
    Some((name, Number::of(value)?.as_exact_i64()?))
}

fn truthy(value: Value<'_>) -> bool {
    value.is_truthy()
}

fn required(name: &str) -> Error {
    Error::failed_to_parse(format!(
        "The '{name}' field is a required property of an index specification"
    ))
}

fn wrong_type(name: &str, expected: &str, found: Value<'_>) -> Error {
    Error::type_mismatch(format!(
        "The field '{name}' must be {expected}, but got {}",
        found.type_name()
    ))
}

fn cannot_create(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::CANNOT_CREATE_INDEX, message)
}

fn invalid_option(message: String) -> Error {
    Error::new(ErrorCode::INVALID_INDEX_SPECIFICATION_OPTION, message)
}

fn unsupported_in_partial(operator: &str) -> Error {
    cannot_create(format!(
        "unsupported expression in partial index: {operator}; \
         allowed are $eq, $lt, $lte, $gt, $gte, $in, $type, $exists: true, $and and $or"
    ))
}
