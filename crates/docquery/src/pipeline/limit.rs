//! `$limit` and `$skip`.

use crate::number::Number;
use crate::{Error, Result, Value};

/// Reads how many documents `$limit` lets through.
pub(crate) fn parse_limit(spec: Value<'_>) -> Result<u64> {
    match whole_number(spec) {
        Some(0) => Err(Error::location(15958, "$limit must be greater than 0")),
        Some(limit) => Ok(limit),
        None => Err(Error::location(5_107_201, no_count("$limit", spec))),
    }
}

/// Reads how many documents `$skip` leaves out.
pub(crate) fn parse_skip(spec: Value<'_>) -> Result<u64> {
    whole_number(spec).ok_or_else(|| Error::location(5_107_200, no_count("$skip", spec)))
}

fn whole_number(spec: Value<'_>) -> Option<u64> {
    Number::of(spec)?.as_exact_i64()?.try_into().ok()
}

fn no_count(stage: &str, spec: Value<'_>) -> String {
    format!("{stage} takes a whole number from 0 up to 2^63 - 1, not {spec:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: Value<'_>, expected: Result<u64, i32>) {
        let result = parse_limit(spec).map_err(|error| error.code().value());
        assert_eq!(result, expected, "{spec:?}");
    }

    #[test]
    fn a_limit_is_a_whole_number_of_any_type() {
        check(Value::Int32(3), Ok(3));
        check(Value::Double(3.0), Ok(3));
        check(Value::Decimal("3.0".parse().unwrap()), Ok(3));
        check(Value::Int64(i64::MAX), Ok(i64::MAX.unsigned_abs()));
        check(Value::Double(-0.0), Err(15958));
        check(Value::Int32(0), Err(15958));
        check(Value::Int32(-1), Err(5_107_201));
        check(Value::Double(2.5), Err(5_107_201));
        check(Value::Double(f64::NAN), Err(5_107_201));
        check(Value::Decimal("9223372036854775808".parse().unwrap()), Err(5_107_201));
        check(Value::String("3"), Err(5_107_201));
    }
}
