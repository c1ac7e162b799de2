//! Numbers across types: comparisons that are exact.

use std::cmp::Ordering;

use crate::{Decimal, Value};

/// A number of any of the four types.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A 32-bit integer.
    Int32(i32),
    /// A 64-bit integer.
    Int64(i64),
    /// A binary floating-point number.
    Double(f64),
    /// A decimal floating-point number.
    Decimal(Decimal),
}

impl Number {
    /// The number that `value` is, if it is one.
    pub fn of(value: Value<'_>) -> Option<Self> {
        Some(match value {
            Value::Int32(number) => Self::Int32(number),
            Value::Int64(number) => Self::Int64(number),
            Value::Double(number) => Self::Double(number),
            Value::Decimal(number) => Self::Decimal(number),
            _ => return None,
        })
    }

    /// The order of numbers, exact across types: 2^53 + 1 is not the double 2^53, and the double 0.1 is not the
    /// decimal 0.1. NaN is equal to NaN and less than all others; -0 is equal to 0.
    pub fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Double(a), Self::Double(b)) => compare_doubles(a, b),
            (Self::Decimal(a), Self::Decimal(b)) => a.compare(b),
            (Self::Double(a), Self::Decimal(b)) => compare_double_decimal(a, b),
            (Self::Decimal(a), Self::Double(b)) => compare_double_decimal(b, a).reverse(),
            (Self::Double(a), b) => compare_double_int(a, b.int()),
            (a, Self::Double(b)) => compare_double_int(b, a.int()).reverse(),
            (Self::Decimal(a), b) => a.compare(Decimal::from(b.int())),
            (a, Self::Decimal(b)) => Decimal::from(a.int()).compare(b),
            (a, b) => a.int().cmp(&b.int()),
        }
    }

    /// Whether its type is that of decimals.
    pub fn is_decimal(self) -> bool {
        matches!(self, Self::Decimal(_))
    }

    /// Whether it is a NaN.
    pub fn is_nan(self) -> bool {
        match self {
            Self::Double(number) => number.is_nan(),
            Self::Decimal(number) => number.is_nan(),
            Self::Int32(_) | Self::Int64(_) => false,
        }
    }

    /// The whole number it is exactly, of any type: 2, 2.0, 2.00. `None` for fractions, NaN and what no `i64` holds.
    pub fn as_exact_i64(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number) => exact_i64(number),
            Self::Decimal(number) => {
                let (double, exact) = number.truncate_to_double();
                if exact {
                    return exact_i64(double);
                }
                // A whole number beyond 2^53 is not always a double: it shows by its text.
                let whole = number.to_whole()?;
                (Decimal::from(whole).compare(number) == Ordering::Equal).then_some(whole)
            }
        }
    }

    /// The whole number towards zero. `None` for NaN, infinity and what no `i64` holds.
    pub fn truncate_to_i64(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number) => exact_i64(number.trunc()),
            Self::Decimal(number) => number.to_whole(),
        }
    }

    /// The whole number towards zero, within the range of an `i64`; 0 for NaN.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "`as` saturates, which is what is asked for"
    )]
    pub fn saturating_i64(self) -> i64 {
        match self {
            Self::Int32(number) => i64::from(number),
            Self::Int64(number) => number,
            Self::Double(number) => number as i64,
            Self::Decimal(number) if number.is_nan() => 0,
            Self::Decimal(number) => {
                let limit = if number.is_sign_negative() { i64::MIN } else { i64::MAX };
                number.to_whole().unwrap_or(limit)
            }
        }
    }

    /// The whole number towards zero, if an `i64` holds it.
    #[expect(clippy::cast_possible_truncation, reason = "the double is in range")]
    pub fn to_whole(self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(number)),
            Self::Int64(number) => Some(number),
            Self::Double(number) => {
                (-TWO_TO_63..TWO_TO_63).contains(&number).then_some(number as i64)
            }
            Self::Decimal(number) => number.to_whole(),
        }
    }

    /// The double nearest to it.
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is asked for")]
    pub fn to_double(self) -> f64 {
        match self {
            Self::Int32(number) => f64::from(number),
            Self::Int64(number) => number as f64,
            Self::Double(number) => number,
            Self::Decimal(number) => number.to_double(),
        }
    }

    /// The decimal for arithmetic, see [`Decimal::from_double`].
    pub fn to_decimal(self) -> Decimal {
        match self {
            Self::Int32(number) => Decimal::from(number),
            Self::Int64(number) => Decimal::from(number),
            Self::Double(number) => Decimal::from_double(number),
            Self::Decimal(number) => number,
        }
    }

    /// The integer, for a number that is one by its type.
    fn int(self) -> i64 {
        match self {
            Self::Int32(number) => i64::from(number),
            Self::Int64(number) => number,
            Self::Double(_) | Self::Decimal(_) => {
                unreachable!("the caller has seen to other types")
            }
        }
    }
}

impl From<Number> for Value<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::Int32(number) => Self::Int32(number),
            Number::Int64(number) => Self::Int64(number),
            Number::Double(number) => Self::Double(number),
            Number::Decimal(number) => Self::Decimal(number),
        }
    }
}

fn compare_doubles(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

#[expect(clippy::cast_possible_truncation, reason = "the double is in range and whole")]
fn compare_double_int(double: f64, int: i64) -> Ordering {
    if double.is_nan() || double < -TWO_TO_63 {
        return Ordering::Less;
    }
    if double >= TWO_TO_63 {
        return Ordering::Greater;
    }
    let whole = double.trunc();
    (whole as i64).cmp(&int).then_with(|| compare_doubles(double, whole))
}

fn compare_double_decimal(double: f64, decimal: Decimal) -> Ordering {
    if double.is_nan() || decimal.is_nan() {
        return decimal.is_nan().cmp(&double.is_nan());
    }
    let (truncated, exact) = decimal.truncate_to_double();
    compare_doubles(double, truncated).then(match (exact, decimal.is_sign_negative()) {
        (true, _) => Ordering::Equal,
        // The decimal lies further from zero than what it was truncated to.
        (false, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "the double is in range and whole")]
fn exact_i64(double: f64) -> Option<i64> {
    let whole = compare_doubles(double.trunc(), double).is_eq()
        && (-TWO_TO_63..TWO_TO_63).contains(&double);
    whole.then_some(double as i64)
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;
    use Ordering::{Equal, Greater, Less};

    #[track_caller]
    fn check(a: Number, b: Number, expected: Ordering) {
        assert_eq!(a.compare(b), expected, "{a:?} beside {b:?}");
        assert_eq!(b.compare(a), expected.reverse(), "{b:?} beside {a:?}");
    }

    fn decimal(text: &str) -> Number {
        Number::Decimal(text.parse().unwrap())
    }

    #[test]
    fn numbers_of_different_types_are_compared_exactly() {
        let two_to_53 = 9_007_199_254_740_992;
        check(Number::Int64(two_to_53 + 1), Number::Double(9_007_199_254_740_992.0), Greater);
        check(Number::Int64(two_to_53), Number::Double(9_007_199_254_740_992.0), Equal);
        check(Number::Int64(i64::MAX), Number::Double(TWO_TO_63), Less);
        check(Number::Int64(i64::MIN), Number::Double(-TWO_TO_63), Equal);
        check(Number::Int32(1), decimal("1.00"), Equal);
        check(Number::Double(0.1), decimal("0.1"), Greater);
        check(Number::Double(-0.1), decimal("-0.1"), Less);
        check(Number::Double(0.5), decimal("0.50"), Equal);
        check(Number::Double(f64::MAX), decimal("1E+400"), Less);
        check(Number::Double(0.0), decimal("1E-6000"), Less);
        check(Number::Double(-0.0), decimal("0E+3"), Equal);
        check(Number::Double(f64::NAN), decimal("NaN"), Equal);
        check(Number::Double(f64::NAN), Number::Int32(i32::MIN), Less);
        check(decimal("NaN"), Number::Double(f64::NEG_INFINITY), Less);
        check(Number::Double(2.5), Number::Int32(2), Greater);
        check(Number::Double(-2.5), Number::Int32(-2), Less);
    }

    #[test]
    fn a_whole_number_is_one_in_any_type() {
        assert_eq!(Number::Double(2.0).as_exact_i64(), Some(2));
        assert_eq!(Number::Double(2.5).as_exact_i64(), None);
        assert_eq!(Number::Double(f64::NAN).as_exact_i64(), None);
        assert_eq!(decimal("2.00").as_exact_i64(), Some(2));
        assert_eq!(decimal("9223372036854775807").as_exact_i64(), Some(i64::MAX));
        assert_eq!(decimal("9223372036854775808").as_exact_i64(), None);
        assert_eq!(decimal("0.1").as_exact_i64(), None);
    }
}
