//! `$trim`, `$ltrim`, `$rtrim`.

use super::arguments::Arguments;
use super::operator::{Evaluate, Key, NamedErrors, Operator, Table};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$trim", trimming(|arguments| trim(&arguments, Side::Both))),
    ("$ltrim", trimming(|arguments| trim(&arguments, Side::Left))),
    ("$rtrim", trimming(|arguments| trim(&arguments, Side::Right))),
];

/// Where characters are cut off.
#[derive(Clone, Copy)]
enum Side {
    Both,
    Left,
    Right,
}

const fn trimming(evaluate: Evaluate) -> Operator {
    Operator::Named {
        keys: KEYS,
        errors: NamedErrors { not_an_object: 50696, unknown_key: 50694 },
        evaluate,
    }
}

const KEYS: &[Key] = &[Key::required("input", 50695), Key::optional("chars")];

/// What is trimmed where no characters are given, sorted.
const WHITESPACE: &[char] = &[
    '\0', '\t', '\n', '\u{B}', '\u{C}', '\r', ' ', '\u{A0}', '\u{1680}', '\u{2000}', '\u{2001}',
    '\u{2002}', '\u{2003}', '\u{2004}', '\u{2005}', '\u{2006}', '\u{2007}', '\u{2008}', '\u{2009}',
    '\u{200A}',
];

fn trim<'a>(arguments: &Arguments<'_, 'a>, side: Side) -> Result<Value<'a>> {
    let Some(input) = text(arguments, arguments.get(0)?, "input", 50699)? else {
        return Ok(Value::Null);
    };
    let Some(characters) = arguments.given(1)? else {
        return Ok(Value::String(cut(input, side, WHITESPACE)));
    };
    let Some(characters) = text(arguments, characters, "chars", 50700)? else {
        return Ok(Value::Null);
    };
    let mut characters: Vec<char> = characters.chars().collect();
    characters.sort_unstable();
    Ok(Value::String(cut(input, side, &characters)))
}

/// `input` without `characters`, which are sorted, at its ends.
fn cut<'a>(input: &'a str, side: Side, characters: &[char]) -> &'a str {
    let unwanted = |character: char| characters.binary_search(&character).is_ok();
    match side {
        Side::Both => input.trim_matches(unwanted),
        Side::Left => input.trim_start_matches(unwanted),
        Side::Right => input.trim_end_matches(unwanted),
    }
}

/// The string that an argument has to be; `None` for null.
fn text<'a>(
    arguments: &Arguments<'_, 'a>,
    value: Value<'a>,
    name: &str,
    otherwise: i32,
) -> Result<Option<&'a str>> {
    match value {
        Value::String(text) => Ok(Some(text)),
        value if value.is_nullish() => Ok(None),
        value => {
            let (operator, found) = (arguments.operator(), value.type_name());
            Err(Error::location(
                otherwise,
                format!("{operator} requires '{name}' to be a string, found: {found}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::bson;

    #[test]
    fn whitespace() {
        check(bson!({"$trim": {"input": " \t\u{2003}a b\0\u{a0} "}}), "a b");
        check(bson!({"$ltrim": {"input": " a "}}), "a ");
        check(bson!({"$rtrim": {"input": " a "}}), " a");
        check(bson!({"$trim": {"input": "\u{3000}a\u{feff}"}}), "\u{3000}a\u{feff}");
    }

    #[test]
    fn characters() {
        check(bson!({"$trim": {"input": "éaxbé", "chars": "béa"}}), "x");
        check(bson!({"$trim": {"input": " a ", "chars": ""}}), " a ");
        check(bson!({"$trim": {"input": "a", "chars": null}}), bson!(null));
        check(bson!({"$trim": {"input": null, "chars": 5}}), bson!(null));
        check_error(bson!({"$trim": {"input": 5, "chars": 5}}), 50699);
        check_error(bson!({"$trim": {"input": "a", "chars": 5}}), 50700);
        check_error(bson!({"$trim": "a"}), 50696);
        check_error(bson!({"$trim": {"x": "a"}}), 50694);
        check_error(bson!({"$trim": {"chars": "a"}}), 50695);
    }
}
