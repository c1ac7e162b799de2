//! `$substr`, `$substrBytes`, `$substrCP`, `$indexOfBytes`, `$indexOfCP`.

use super::arguments::Arguments;
use super::coerce;
use super::operator::{Arity, Table, listed};
use super::strings::{count, string};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$substr", listed(Arity::Exactly(3), by_bytes)),
    ("$substrBytes", listed(Arity::Exactly(3), by_bytes)),
    ("$substrCP", listed(Arity::Exactly(3), by_code_points)),
    ("$indexOfBytes", listed(Arity::Between(2, 4), index_in_bytes)),
    ("$indexOfCP", listed(Arity::Between(2, 4), index_in_code_points)),
];

fn by_bytes<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (input, start, length) = (arguments.get(0)?, arguments.get(1)?, arguments.get(2)?);
    let text = coerce::text(input, arguments.arena())?;
    check_number(&arguments, start, "starting index", 16034)?;
    check_number(&arguments, length, "length", 16035)?;
    let (start, length) = (coerce::long(start)?, coerce::long(length)?);
    let Ok(start) = usize::try_from(start) else {
        return Err(Error::location(
            50752,
            format!("{}: the starting index {start} is negative", arguments.operator()),
        ));
    };
    // A negative length takes all that is left.
    let length = usize::try_from(length).unwrap_or(text.len());
    let end = start.saturating_add(length).min(text.len());
    if start >= text.len() {
        return Ok(Value::String(""));
    }
    for (place, code, what) in [(start, 28656, "starts"), (end, 28657, "ends")] {
        if !text.is_char_boundary(place) {
            let operator = arguments.operator();
            return Err(Error::location(
                code,
                format!("{operator}: the range {what} inside a character, at byte {place}"),
            ));
        }
    }
    Ok(Value::String(&text[start..end]))
}

fn by_code_points<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let (input, start, length) = (arguments.get(0)?, arguments.get(1)?, arguments.get(2)?);
    let text = coerce::text(input, arguments.arena())?;
    let start = int32(&arguments, start, "starting index", [34450, 34451])?;
    let length = int32(&arguments, length, "length", [34452, 34453])?;
    let not_negative = |number: i32, what, code| {
        usize::try_from(number).map_err(|_| {
            let operator = arguments.operator();
            Error::location(code, format!("{operator}: the {what} {number} is negative"))
        })
    };
    let length = not_negative(length, "length", 34454)?;
    let start = not_negative(start, "starting index", 34455)?;
    let rest = &text[place_of(text, start)..];
    Ok(Value::String(&rest[..place_of(rest, length)]))
}

/// Where in `text` the code point at `index` begins, or its end.
fn place_of(text: &str, index: usize) -> usize {
    text.char_indices().nth(index).map_or(text.len(), |(place, _)| place)
}

fn index_in_bytes<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let input = arguments.get(0)?;
    if input.is_nullish() {
        return Ok(Value::Null);
    }
    let input = string(&arguments, input, 40091)?.as_bytes();
    let token = string(&arguments, arguments.get(1)?, 40092)?.as_bytes();
    let start = bound(&arguments, 2, "starting index")?.unwrap_or(0);
    let end = bound(&arguments, 3, "ending index")?.unwrap_or(input.len()).min(input.len());
    let found = input.get(start..end).and_then(|part| find(part, token));
    Ok(found.map_or(Value::Int32(-1), |place| count(start + place)))
}

/// Where `token` stands in `bytes`.
fn find(bytes: &[u8], token: &[u8]) -> Option<usize> {
    // The bytes are cut from text, perhaps inside a character; a token of whole characters is found all the same.
    let text = String::from_utf8_lossy(bytes);
    match (text, std::str::from_utf8(token)) {
        (std::borrow::Cow::Borrowed(text), Ok(token)) => text.find(token),
        _ if token.is_empty() => Some(0),
        _ => bytes.windows(token.len()).position(|window| window == token),
    }
}

/// The search of the server: it begins inside the bounds, but what is found may reach beyond the end.
fn index_in_code_points<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let input = arguments.get(0)?;
    if input.is_nullish() {
        return Ok(Value::Null);
    }
    let input = string(&arguments, input, 40093)?;
    let token = string(&arguments, arguments.get(1)?, 40094)?;
    let start = bound(&arguments, 2, "starting index")?.unwrap_or(0);
    let end = bound(&arguments, 3, "ending index")?.unwrap_or(usize::MAX);
    if input.is_empty() && token.is_empty() && start == 0 {
        return Ok(Value::Int32(0));
    }
    let place = place_of(input, start);
    let Some(distance) = input[place..].find(token) else {
        return Ok(Value::Int32(-1));
    };
    let found = place + distance;
    let index = start + input[place..found].chars().count();
    // The empty token also stands behind the last code point, where nothing is looked for.
    let outside = index >= end || found == input.len();
    Ok(if outside { Value::Int32(-1) } else { count(index) })
}

/// The argument at `index` as a place in a string or an array, if it was given.
pub(super) fn bound(
    arguments: &Arguments<'_, '_>,
    index: usize,
    what: &str,
) -> Result<Option<usize>> {
    let Some(value) = arguments.given(index)? else {
        return Ok(None);
    };
    let operator = arguments.operator();
    let Some(number) = coerce::int32(value) else {
        let found = value.type_name();
        return Err(Error::location(
            40096,
            format!("{operator} requires an integral {what}, found a value of type: {found}"),
        ));
    };
    let place = usize::try_from(number).map_err(|_| {
        Error::location(
            40097,
            format!("{operator} requires a {what} of at least 0, found: {number}"),
        )
    })?;
    Ok(Some(place))
}

/// Checks that an argument is a number.
fn check_number(
    arguments: &Arguments<'_, '_>,
    value: Value<'_>,
    what: &str,
    otherwise: i32,
) -> Result<()> {
    if value.is_number() {
        return Ok(());
    }
    let (operator, found) = (arguments.operator(), value.type_name());
    Err(Error::location(otherwise, format!("{operator}: the {what} must be a number, not {found}")))
}

/// The 32-bit integer that an argument has to be. The codes are of what is no number, and of what is no such integer.
pub(super) fn int32(
    arguments: &Arguments<'_, '_>,
    value: Value<'_>,
    what: &str,
    [no_number, no_integer]: [i32; 2],
) -> Result<i32> {
    check_number(arguments, value, what, no_number)?;
    coerce::int32(value).ok_or_else(|| {
        let operator = arguments.operator();
        Error::location(
            no_integer,
            format!("{operator}: the {what} is no 32-bit integer: {value:?}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::{Bson, bson};

    #[test]
    fn substrings_by_bytes() {
        let part = |start: Bson, length: Bson| bson!({"$substrBytes": ["aé€b", start, length]});
        check(part(bson!(0), bson!(3)), "aé");
        check(part(bson!(1), bson!(-1)), "é€b");
        check(part(bson!(6), bson!(100)), "b");
        check(part(bson!(7), bson!(1)), "");
        check(part(bson!(100), bson!(1)), "");
        check(part(bson!(0), bson!(1.9)), "a");
        check(bson!({"$substr": [12345, 1, 2]}), "23");
        check_error(part(bson!(2), bson!(1)), 28656);
        check_error(part(bson!(0), bson!(2)), 28657);
        check_error(part(bson!(-1), bson!(1)), 50752);
        check_error(part(bson!(0), bson!(1e30)), 31109);
        check_error(part(bson!("x"), bson!(1)), 16034);
        check_error(part(bson!(0), bson!(null)), 16035);
    }

    #[test]
    fn substrings_by_code_points() {
        let part = |start: Bson, length: Bson| bson!({"$substrCP": ["aé€b", start, length]});
        check(part(bson!(1), bson!(2)), "é€");
        check(part(bson!(4), bson!(2)), "");
        check(part(bson!(0), bson!(i32::MAX)), "aé€b");
        check(bson!({"$substrCP": [null, 0, 2]}), "");
        check_error(part(bson!("x"), bson!(1)), 34450);
        check_error(part(bson!(1.5), bson!(1)), 34451);
        check_error(part(bson!(-1), bson!("x")), 34452);
        check_error(part(bson!(-1), bson!(1.5)), 34453);
        check_error(part(bson!(-1), bson!(-1)), 34454);
        check_error(part(bson!(-1), bson!(1)), 34455);
    }

    #[test]
    fn indices_in_bytes() {
        let index = |arguments: Bson| bson!({"$indexOfBytes": arguments});
        check(index(bson!(["aéb", "b"])), 3);
        check(index(bson!(["aéb", "é", 1])), 1);
        check(index(bson!(["aéb", "b", 2])), 3);
        check(index(bson!(["aéb", "é", 2])), -1);
        check(index(bson!(["abc", "bc", 0, 2])), -1);
        check(index(bson!(["abc", "", 3])), 3);
        check(index(bson!(["abc", "", 4])), -1);
        check(index(bson!(["abc", "c", 2, 1])), -1);
        check(index(bson!([null, 5])), bson!(null));
        check_error(index(bson!([5, "a"])), 40091);
        check_error(index(bson!(["a", null])), 40092);
        check_error(index(bson!(["a", "a", 1.5])), 40096);
        check_error(index(bson!(["a", "a", 0, -1])), 40097);
        check_error(index(bson!(["a"])), 28667);
    }

    #[test]
    fn indices_in_code_points() {
        let index = |arguments: Bson| bson!({"$indexOfCP": arguments});
        check(index(bson!(["aéb", "b"])), 2);
        check(index(bson!(["aéb", "b", 2])), 2);
        check(index(bson!(["aéb", "b", 3])), -1);
        check(index(bson!(["abc", "bc", 0, 2])), 1);
        check(index(bson!(["abc", "c", 0, 2])), -1);
        check(index(bson!(["", ""])), 0);
        check(index(bson!(["abc", ""])), 0);
        check(index(bson!(["abc", "", 3])), -1);
        check(index(bson!(["abc", "c", 2, 1])), -1);
        check(index(bson!([null, "a"])), bson!(null));
        check_error(index(bson!([5, "a"])), 40093);
        check_error(index(bson!(["a", 5])), 40094);
    }
}
