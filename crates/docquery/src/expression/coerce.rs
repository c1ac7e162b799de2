//! Values taken for something else: numbers for indices, anything with a text for a string, anything with a time for a
//! date.

use std::fmt::Write;

use super::date::{self, Moment};
use crate::number::Number;
use crate::{Arena, Error, Result, Value};

/// The text of a value, as the string operators take it: strings, symbols, code, numbers, dates and timestamps have one,
/// and no value has the empty text.
///
/// # Errors
///
/// 16007 for the other types; 18537 for dates outside the years 0 to 9999.
pub(crate) fn text<'a>(value: Value<'a>, arena: &'a Arena) -> Result<&'a str> {
    let text = match value {
        Value::Missing | Value::Null | Value::Undefined => "",
        Value::String(text) | Value::Symbol(text) | Value::JavaScript(text) => text,
        Value::Int32(number) => arena.text(&number.to_string()),
        Value::Int64(number) => arena.text(&number.to_string()),
        Value::Double(number) => arena.text(&six_digits(number)),
        Value::Decimal(number) => arena.text(&number.to_string()),
        Value::DateTime(ms) => arena.text(&date::iso(Moment::utc(ms))?),
        Value::Timestamp(stamp) => arena.text(&timestamp_text(stamp)),
        other => {
            return Err(Error::location(
                16007,
                format!("can't convert from BSON type {} to String", other.type_name()),
            ));
        }
    };
    Ok(text)
}

/// The number, if it is one that an `i32` holds exactly: 2, 2.0, 2.00.
pub(crate) fn int32(value: Value<'_>) -> Option<i32> {
    int64(value).and_then(|number| i32::try_from(number).ok())
}

/// The number, if it is one that an `i64` holds exactly.
pub(crate) fn int64(value: Value<'_>) -> Option<i64> {
    Number::of(value)?.as_exact_i64()
}

/// The integer that stands for a number: towards zero, for a decimal the nearest, and `i64::MIN` for one that is out of
/// range.
///
/// # Errors
///
/// 16004 for what is no number, 31109 for a double that is out of range.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
pub(crate) fn long(value: Value<'_>) -> Result<i64> {
    let number = Number::of(value).ok_or_else(|| {
        Error::location(
            16004,
            format!("can't convert from BSON type {} to long", value.type_name()),
        )
    })?;
    match number {
        Number::Int32(number) => Ok(number.into()),
        Number::Int64(number) => Ok(number),
        Number::Decimal(decimal) => Ok(decimal.to_nearest_whole().unwrap_or(i64::MIN)),
        Number::Double(double) if (-TWO_TO_63..TWO_TO_63).contains(&double) => Ok(double as i64),
        Number::Double(double) => {
            Err(Error::location(31109, format!("can't take {double} for a 64-bit integer")))
        }
    }
}

/// The milliseconds since the epoch that a date, a timestamp or an object id stands for.
pub(crate) fn date(value: Value<'_>) -> Option<i64> {
    match value {
        Value::DateTime(ms) => Some(ms),
        Value::Timestamp(stamp) => Some(seconds_of(stamp) * 1000),
        Value::ObjectId([a, b, c, d, ..]) => {
            Some(i64::from(i32::from_be_bytes([*a, *b, *c, *d])) * 1000)
        }
        _ => None,
    }
}

/// The date of [`date`].
///
/// # Errors
///
/// 16006 for the other types.
pub(crate) fn required_date(value: Value<'_>) -> Result<i64> {
    date(value).ok_or_else(|| {
        Error::location(
            16006,
            format!("can't convert from BSON type {} to Date", value.type_name()),
        )
    })
}

/// A double with six significant digits, as `%g` of C writes it.
fn six_digits(number: f64) -> String {
    if !number.is_finite() {
        return number.to_string().to_lowercase();
    }
    let scientific = format!("{number:.5e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        small @ -4..6 => {
            let decimals = usize::try_from(5 - small).unwrap_or(0);
            without_zeros(&format!("{number:.decimals$}")).to_owned()
        }
        large => {
            let sign = if large < 0 { '-' } else { '+' };
            format!("{}e{sign}{:02}", without_zeros(mantissa), large.unsigned_abs())
        }
    }
}

/// A number without the zeros at the end of its fraction.
fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits }
}

/// A timestamp for people: `Jan  1 00:00:01:1`, the last its counter.
fn timestamp_text(stamp: u64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let moment = Moment::utc(seconds_of(stamp) * 1000);
    let mut text = String::new();
    let month = MONTHS[usize::from(moment.date.month) - 1];
    write!(text, "{month} {:2} ", moment.date.day).expect("a string takes any text");
    let (hour, minute, second) = (moment.hour(), moment.minute(), moment.second());
    write!(text, "{hour:02}:{minute:02}:{second:02}:{}", stamp & 0xFFFF_FFFF)
        .expect("a string takes any text");
    text
}

fn seconds_of(stamp: u64) -> i64 {
    i64::try_from(stamp >> 32).expect("32 bits fit")
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Value<'_>, expected: &str) {
        assert_eq!(text(value, &Arena::new()).unwrap(), expected);
    }

    #[test]
    fn values_have_a_text() {
        check(Value::Missing, "");
        check(Value::JavaScript("x"), "x");
        check(Value::Int64(i64::MIN), "-9223372036854775808");
        check(Value::Double(3.0), "3");
        check(Value::Double(-0.0), "-0");
        check(Value::Double(999_999.0), "999999");
        check(Value::Double(1_000_000.0), "1e+06");
        check(Value::Double(999_999.5), "1e+06");
        check(Value::Double(1.234_567_89), "1.23457");
        check(Value::Double(0.0001), "0.0001");
        check(Value::Double(1e-5), "1e-05");
        check(Value::Double(f64::MAX), "1.79769e+308");
        check(Value::Double(f64::NEG_INFINITY), "-inf");
        check(Value::Double(f64::NAN), "nan");
        check(Value::DateTime(-1000), "1969-12-31T23:59:59.000Z");
        check(Value::Timestamp(1 << 32 | 1), "Jan  1 00:00:01:1");
        check(Value::Timestamp(u64::MAX), "Feb  7 06:28:15:4294967295");
    }

    #[test]
    fn others_have_none() {
        let arena = Arena::new();
        for value in [Value::Bool(true), Value::MaxKey, Value::ObjectId(&[0; 12])] {
            assert_eq!(text(value, &arena).unwrap_err().code().value(), 16007);
        }
        let year_10000 = Value::DateTime(253_402_300_800_000);
        assert_eq!(text(year_10000, &arena).unwrap_err().code().value(), 18537);
    }

    #[test]
    fn whole_numbers_of_any_type() {
        assert_eq!(int32(Value::Double(2.0)), Some(2));
        assert_eq!(int32(Value::Int64(1 << 31)), None);
        assert_eq!(int64(Value::Double(2.5)), None);
        assert_eq!(long(Value::Double(-2.5)), Ok(-2));
        for out_of_range in [f64::NAN, 1e30] {
            assert_eq!(long(Value::Double(out_of_range)).unwrap_err().code().value(), 31109);
        }
    }
}
