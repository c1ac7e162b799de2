//! Units of time and the days that weeks begin with, by their names.

use crate::{Error, ErrorCode, Result, Value};

/// A unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// So many months of the calendar: 1, 3 or 12.
    Months(i64),
    /// So many days of the calendar: 1 or 7.
    Days(i64),
    /// So many milliseconds.
    Milliseconds(i64),
}

impl Unit {
    /// The unit that `value` names.
    ///
    /// # Errors
    ///
    /// 5166404 for what is no string, [`FAILED_TO_PARSE`](crate::ErrorCode::FAILED_TO_PARSE) for what names none.
    pub(super) fn of_duration(value: Value<'_>, operator: &str) -> Result<Self> {
        Self::of(value, operator, 5_166_404, ErrorCode::FAILED_TO_PARSE)
    }

    /// The same, where boundaries between units matter.
    ///
    /// # Errors
    ///
    /// 5439013 for what is no string, 5439014 for what names none.
    pub(super) fn of_calendar(value: Value<'_>, operator: &str) -> Result<Self> {
        Self::of(value, operator, 5_439_013, ErrorCode::new(5_439_014))
    }

    fn of(value: Value<'_>, operator: &str, no_string: i32, unknown: ErrorCode) -> Result<Self> {
        let Value::String(name) = value else {
            let found = value.type_name();
            return Err(Error::location(
                no_string,
                format!("{operator} requires 'unit' to be a string, but got {found}"),
            ));
        };
        Ok(match name {
            "year" => Self::Months(12),
            "quarter" => Self::Months(3),
            "month" => Self::Months(1),
            "week" => Self::Days(7),
            "day" => Self::Days(1),
            "hour" => Self::Milliseconds(3_600_000),
            "minute" => Self::Milliseconds(60_000),
            "second" => Self::Milliseconds(1000),
            "millisecond" => Self::Milliseconds(1),
            _ => {
                return Err(Error::new(
                    unknown,
                    format!(
                        "{operator}: unknown time unit '{name}'; allowed are year, quarter, month, week, day, hour, \
                     minute, second and millisecond"
                    ),
                ));
            }
        })
    }

    /// The unit that `value` names.
    ///
    /// # Errors
    ///
    /// [`FAILED_TO_PARSE`](crate::ErrorCode::FAILED_TO_PARSE) for what names none.
    pub(crate) fn named(value: Value<'_>, operator: &str) -> Result<Self> {
        let failed = ErrorCode::FAILED_TO_PARSE;
        Self::of(value, operator, failed.value(), failed)
    }

    /// How many milliseconds it has, if that is always as many.
    pub(crate) fn milliseconds(self) -> Option<i64> {
        match self {
            Self::Months(_) => None,
            Self::Days(days) => Some(days * 86_400_000),
            Self::Milliseconds(milliseconds) => Some(milliseconds),
        }
    }

    /// Whether days of the week matter to it.
    pub(super) fn is_week(self) -> bool {
        self == Self::Days(7)
    }
}

/// The day of the week, 0 for Monday, that `value` names, in any case.
///
/// # Errors
///
/// 5439015 for what is no string, 5439016 for what names none.
pub(super) fn weekday(value: Value<'_>, operator: &str) -> Result<i64> {
    let Value::String(name) = value else {
        let found = value.type_name();
        return Err(Error::location(
            5_439_015,
            format!("{operator} requires 'startOfWeek' to be a string, but got {found}"),
        ));
    };
    Ok(match name.to_ascii_lowercase().as_str() {
        "monday" | "mon" => 0,
        "tuesday" | "tue" => 1,
        "wednesday" | "wed" => 2,
        "thursday" | "thu" => 3,
        "friday" | "fri" => 4,
        "saturday" | "sat" => 5,
        "sunday" | "sun" => 6,
        _ => {
            return Err(Error::location(
                5_439_016,
                format!("{operator}: 'startOfWeek' is no day of the week: {name}"),
            ));
        }
    })
}
