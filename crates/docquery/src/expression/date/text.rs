//! `$dateToString`.

use super::format::{Format, iso};
use super::zone;
use crate::expression::arguments::Arguments;
use crate::expression::coerce;
use crate::expression::operator::{Key, NamedErrors, Operator, Table};
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table =
    &[("$dateToString", Operator::Named { keys: KEYS, errors: ERRORS, evaluate: to_string })];

const KEYS: &[Key] = &[
    Key::required("date", 18628),
    Key::optional("format"),
    Key::optional("timezone"),
    Key::optional("onNull"),
];
const ERRORS: NamedErrors = NamedErrors { not_an_object: 18629, unknown_key: 18534 };

fn to_string<'a>(arguments: Arguments<'_, 'a>) -> Result<Value<'a>> {
    let date = arguments.get(0)?;
    // A wrong format or zone is an error even where there is no date.
    let format = match arguments.given(1)? {
        None => None,
        Some(Value::String(format)) => Some(Some(Format::of(format)?)),
        Some(value) if value.is_nullish() => Some(None),
        Some(value) => {
            return Err(Error::location(
                18533,
                format!(
                    "$dateToString requires 'format' to be a string, found: {}",
                    value.type_name()
                ),
            ));
        }
    };
    let zone = zone(&arguments, 2)?;
    if date.is_nullish() {
        return Ok(arguments.given(3)?.unwrap_or(Value::Null));
    }
    let (Some(zone), None | Some(Some(_))) = (zone, format) else {
        return Ok(Value::Null);
    };
    let moment = zone.moment(coerce::required_date(date)?);
    let text = match format.flatten() {
        Some(format) => format.text(moment)?,
        // In every zone with a Z, as the server does.
        None => iso(moment)?,
    };
    Ok(arguments.arena().string(&text))
}
