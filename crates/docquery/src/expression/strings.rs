//! `$concat`, `$toLower`, `$toUpper`, `$strLenBytes`, `$strLenCP`, `$strcasecmp`, `$split`, `$replaceOne`, `$replaceAll`.

use super::arguments::Arguments;
use super::coerce;
use super::fold::Regrouping;
use super::operator::{Arity, Key, NamedErrors, Operator, Table, listed, regrouped};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$concat", regrouped(Regrouping::Neighbours, concat)),
    ("$toLower", listed(Arity::Exactly(1), to_lower)),
    ("$toUpper", listed(Arity::Exactly(1), to_upper)),
    ("$strLenBytes", listed(Arity::Exactly(1), length_in_bytes)),
    ("$strLenCP", listed(Arity::Exactly(1), length_in_code_points)),
    ("$strcasecmp", listed(Arity::Exactly(2), compare_without_case)),
    ("$split", listed(Arity::Exactly(2), split)),
    (
        "$replaceOne",
        Operator::Named { keys: REPLACE, errors: REPLACE_ERRORS, evaluate: replace_one },
    ),
    (
        "$replaceAll",
        Operator::Named { keys: REPLACE, errors: REPLACE_ERRORS, evaluate: replace_all },
    ),
];

const REPLACE: &[Key] = &[
    Key::required("input", 51749),
    Key::required("find", 51748),
    Key::required("replacement", 51747),
];
const REPLACE_ERRORS: NamedErrors = NamedErrors { not_an_object: 51751, unknown_key: 51750 };

/// How long a computed string may be, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// Checks how long a string would be, before it is built.
fn check_length(arguments: &Arguments<'_, '_>, bytes: usize) -> Result<()> {
    arguments.arena().check_room(bytes)?;
    if bytes > BYTES_MAX {
        return Err(Error::location(
            13548,
            format!("a computed string has {bytes} bytes; at most {BYTES_MAX} are allowed"),
        ));
    }
    Ok(())
}

/// How many bytes, code points or items there are.
pub(super) fn count(number: usize) -> Value<'static> {
    i32::try_from(number).map_or(Value::Int64(i64::MAX), Value::Int32)
}

fn concat<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let mut text = String::new();
    for value in arguments.iter() {
        match value? {
            Value::String(part) => {
                check_length(&arguments, text.len() + part.len())?;
                text.push_str(part);
            }
            value if value.is_nullish() => return Ok(Value::Null),
            value => {
                return Err(Error::location(
                    16702,
                    format!("$concat only supports strings, not {}", value.type_name()),
                ));
            }
        }
    }
    Ok(arguments.arena().string(&text))
}

fn to_lower<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let text = coerce::text(arguments.get(0)?, arguments.arena())?;
    check_length(&arguments, text.len())?;
    Ok(arguments.arena().string(&text.to_ascii_lowercase()))
}

fn to_upper<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let text = coerce::text(arguments.get(0)?, arguments.arena())?;
    check_length(&arguments, text.len())?;
    Ok(arguments.arena().string(&text.to_ascii_uppercase()))
}

fn length_in_bytes<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let text = string(&arguments, arguments.get(0)?, 34473)?;
    Ok(count(text.len()))
}

fn length_in_code_points<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let text = string(&arguments, arguments.get(0)?, 34471)?;
    Ok(count(text.chars().count()))
}

fn compare_without_case<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (a, b) = arguments.two()?;
    let a = coerce::text(a, arguments.arena())?.to_ascii_uppercase();
    let b = coerce::text(b, arguments.arena())?.to_ascii_uppercase();
    Ok(Value::Int32(a.cmp(&b) as i32))
}

fn split<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (input, separator) = arguments.two()?;
    if input.is_nullish() || separator.is_nullish() {
        return Ok(Value::Null);
    }
    let input = string(&arguments, input, 40085)?;
    let separator = string(&arguments, separator, 40086)?;
    if separator.is_empty() {
        return Err(Error::location(40087, "$split requires a separator that is not empty"));
    }
    let parts: Vec<_> = input.split(separator).map(Value::String).collect();
    arguments.arena().array(&parts)
}

/// The string that an argument has to be.
pub(super) fn string<'a>(
    arguments: &Arguments<'_, 'a>,
    value: Value<'a>,
    otherwise: i32,
) -> Result<&'a str> {
    value.as_str().ok_or_else(|| {
        let (operator, found) = (arguments.operator(), value.type_name());
        Error::location(otherwise, format!("{operator} requires a string, found: {found}"))
    })
}

fn replace_one<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some([input, find, replacement]) = texts_to_replace(&arguments)? else {
        return Ok(Value::Null);
    };
    check_length(&arguments, input.len() + replacement.len())?;
    Ok(arguments.arena().string(&input.replacen(find, replacement, 1)))
}

fn replace_all<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let Some([input, find, replacement]) = texts_to_replace(&arguments)? else {
        return Ok(Value::Null);
    };
    let times = input.matches(find).count();
    let longest = input.len().saturating_add(times.saturating_mul(replacement.len()));
    check_length(&arguments, longest)?;
    Ok(arguments.arena().string(&input.replace(find, replacement)))
}

/// The input, what to look for and its replacement; `None` if one of them is null.
fn texts_to_replace<'a>(arguments: &Arguments<'_, 'a>) -> Result<Option<[&'a str; 3]>> {
    let parts = [("input", 51746), ("find", 51745), ("replacement", 51744)];
    let values = [arguments.get(0)?, arguments.get(1)?, arguments.get(2)?];
    let mut texts = [""; 3];
    let mut complete = true;
    for ((value, text), (name, code)) in values.into_iter().zip(&mut texts).zip(parts) {
        match value {
            Value::String(found) => *text = found,
            value if value.is_nullish() => complete = false,
            value => {
                let (operator, found) = (arguments.operator(), value.type_name());
                return Err(Error::location(
                    code,
                    format!("{operator} requires '{name}' to be a string or null, found: {found}"),
                ));
            }
        }
    }
    Ok(complete.then_some(texts))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::bson;

    #[test]
    fn concat() {
        check(bson!({"$concat": []}), "");
        check(bson!({"$concat": ["é", "", "b"]}), "éb");
        check(bson!({"$concat": ["a", null, 5]}), bson!(null));
        check_error(bson!({"$concat": ["a", 5, null]}), 16702);
    }

    #[test]
    fn only_ascii_has_cases() {
        check(bson!({"$toUpper": "café ß"}), "CAFé ß");
        check(bson!({"$toLower": "ÀB"}), "Àb");
        check(bson!({"$toUpper": null}), "");
        check(bson!({"$toUpper": 1e20}), "1E+20");
        check_error(bson!({"$toLower": true}), 16007);
        check(bson!({"$strcasecmp": ["a", "B"]}), -1);
        check(bson!({"$strcasecmp": ["É", "é"]}), -1);
        check(bson!({"$strcasecmp": [5, "5"]}), 0);
    }

    #[test]
    fn lengths() {
        check(bson!({"$strLenBytes": "é€"}), 5);
        check(bson!({"$strLenCP": "é€"}), 2);
        check_error(bson!({"$strLenBytes": null}), 34473);
        check_error(bson!({"$strLenCP": null}), 34471);
    }

    #[test]
    fn split() {
        check(bson!({"$split": ["a-b--", "-"]}), bson!(["a", "b", "", ""]));
        check(bson!({"$split": ["", "-"]}), bson!([""]));
        check(bson!({"$split": [5, null]}), bson!(null));
        check_error(bson!({"$split": [5, "-"]}), 40085);
        check_error(bson!({"$split": ["a", 5]}), 40086);
        check_error(bson!({"$split": ["a", ""]}), 40087);
    }

    #[test]
    fn replace() {
        let replace = |operator: &str, input: &str, find: &str| bson!({operator: {"input": input, "find": find, "replacement": "-"}});
        check(replace("$replaceOne", "abab", "b"), "a-ab");
        check(replace("$replaceAll", "abab", "b"), "a-a-");
        check(replace("$replaceAll", "éa", ""), "-é-a-");
        check(replace("$replaceOne", "a", ""), "-a");
        check(
            bson!({"$replaceOne": {"input": "a", "find": null, "replacement": "x"}}),
            bson!(null),
        );
        check_error(bson!({"$replaceOne": {"input": null, "find": 1, "replacement": "x"}}), 51745);
        check_error(bson!({"$replaceOne": {"input": 1, "find": "", "replacement": ""}}), 51746);
        check_error(bson!({"$replaceOne": {"input": "", "find": "", "replacement": 1}}), 51744);
        check_error(bson!({"$replaceOne": {"find": "", "replacement": ""}}), 51749);
        check_error(bson!({"$replaceOne": {"input": "", "replacement": ""}}), 51748);
        check_error(bson!({"$replaceOne": {"input": "", "find": ""}}), 51747);
        check_error(bson!({"$replaceOne": {"x": 1}}), 51750);
        check_error(bson!({"$replaceOne": 1}), 51751);
    }

    #[test]
    fn strings_do_not_grow_without_end() {
        let mut text = bson!("0123456789");
        for _ in 0..30 {
            text = bson!({"$let": {"vars": {"t": text}, "in": {"$concat": ["$$t", "$$t"]}}});
        }
        check_error(text, 13548);
    }
}
