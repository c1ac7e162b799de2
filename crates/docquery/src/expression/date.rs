//! Dates: the calendar, time zones, and the operators on them.
//!
//! A date of BSON is a number of milliseconds since 1970, which reach 292 million years to both sides. Clocks
//! and calendars show it as a [`Moment`] in some [`Zone`].

mod arithmetic;
mod calendar;
mod fields;
mod format;
mod free_text;
mod from_parts;
mod from_string;
mod pattern;
mod scanner;
#[cfg(test)]
mod tests;
mod text;
mod timestamps;
mod truncate;
mod unit;
mod zone;

pub(crate) use arithmetic::add as add_to_date;
pub(crate) use calendar::Moment;
pub(crate) use format::iso;
pub(crate) use from_string::parse as parse_date;
pub(crate) use unit::Unit;
pub(crate) use zone::Zone;

use super::arguments::Arguments;
use super::operator::Table;
use crate::{Error, Result, Value};

/// The tables of the operators on dates.
pub(super) const OPERATORS: [Table; 7] = [
    arithmetic::OPERATORS,
    fields::OPERATORS,
    from_parts::OPERATORS,
    from_string::OPERATORS,
    text::OPERATORS,
    timestamps::OPERATORS,
    truncate::OPERATORS,
];

/// The zone that the argument at `index` names: UTC if it is not given, `None` if it is null.
///
/// # Errors
///
/// 40517 for what is no string, 40485 for what names no zone.
fn zone(arguments: &Arguments<'_, '_>, index: usize) -> Result<Option<Zone>> {
    match arguments.given(index)? {
        None => Ok(Some(Zone::Utc)),
        Some(Value::String(name)) => Zone::named(name).map(Some),
        Some(value) if value.is_nullish() => Ok(None),
        Some(value) => Err(Error::location(
            40517,
            format!("timezone must evaluate to a string, found {}", value.type_name()),
        )),
    }
}
