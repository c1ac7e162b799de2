//! Sums, products and bits of stored numbers, as `$inc`, `$mul` and `$bit` make them.

use std::cmp::Ordering;

use crate::number::Number;

/// What `$inc` and `$mul` do with two numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Arithmetic {
    Add,
    Multiply,
}

impl Arithmetic {
    /// The operator's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "$inc",
            Self::Multiply => "$mul",
        }
    }

    /// The result in the wider of the two types; 32 bits become 64 where they do not hold it. `None` where 64 bits do not.
    pub(super) fn apply(self, a: Number, b: Number) -> Option<Number> {
        match (a, b) {
            (Number::Decimal(_), _) | (_, Number::Decimal(_)) => {
                let (a, b) = (a.to_decimal(), b.to_decimal());
                Some(Number::Decimal(match self {
                    Self::Add => a.add(b),
                    Self::Multiply => a.multiply(b),
                }))
            }
            (Number::Double(_), _) | (_, Number::Double(_)) => {
                let (a, b) = (a.to_double(), b.to_double());
                Some(Number::Double(match self {
                    Self::Add => a + b,
                    Self::Multiply => a * b,
                }))
            }
            (Number::Int32(a), Number::Int32(b)) => Some(self.apply_int32(a, b)),
            (Number::Int32(a), Number::Int64(b)) => self.apply_int64(a.into(), b),
            (Number::Int64(a), Number::Int32(b)) => self.apply_int64(a, b.into()),
            (Number::Int64(a), Number::Int64(b)) => self.apply_int64(a, b),
        }
    }

    fn apply_int32(self, a: i32, b: i32) -> Number {
        let (a, b) = (i64::from(a), i64::from(b));
        let exact = match self {
            Self::Add => a + b,
            Self::Multiply => a * b,
        };
        i32::try_from(exact).map_or(Number::Int64(exact), Number::Int32)
    }

    fn apply_int64(self, a: i64, b: i64) -> Option<Number> {
        let exact = match self {
            Self::Add => a.checked_add(b),
            Self::Multiply => a.checked_mul(b),
        };
        exact.map(Number::Int64)
    }
}

/// What `$bit` does with two integers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bitwise {
    And,
    Or,
    Xor,
}

impl Bitwise {
    /// The operation with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "xor" => Self::Xor,
            _ => return None,
        })
    }

    /// The result, of 64 bits where one of the two has them.
    pub(super) fn apply(self, a: Integer, b: Integer) -> Integer {
        match (a, b) {
            (Integer::Int32(a), Integer::Int32(b)) => Integer::Int32(match self {
                Self::And => a & b,
                Self::Or => a | b,
                Self::Xor => a ^ b,
            }),
            (a, b) => {
                let (a, b) = (a.wide(), b.wide());
                Integer::Int64(match self {
                    Self::And => a & b,
                    Self::Or => a | b,
                    Self::Xor => a ^ b,
                })
            }
        }
    }
}

/// An integer of one of the two types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    Int32(i32),
    Int64(i64),
}

impl Integer {
    /// The integer that `number` is by its type.
    pub(super) fn of(number: Option<Number>) -> Option<Self> {
        match number? {
            Number::Int32(number) => Some(Self::Int32(number)),
            Number::Int64(number) => Some(Self::Int64(number)),
            Number::Double(_) | Number::Decimal(_) => None,
        }
    }

    fn wide(self) -> i64 {
        match self {
            Self::Int32(number) => number.into(),
            Self::Int64(number) => number,
        }
    }
}

impl From<Integer> for Number {
    fn from(integer: Integer) -> Self {
        match integer {
            Integer::Int32(number) => Self::Int32(number),
            Integer::Int64(number) => Self::Int64(number),
        }
    }
}

/// Whether two numbers have the same type and the same value: then nothing is modified. NaN is not itself here.
pub(super) fn identical(a: Number, b: Number) -> bool {
    match (a, b) {
        (Number::Int32(a), Number::Int32(b)) => a == b,
        (Number::Int64(a), Number::Int64(b)) => a == b,
        #[expect(clippy::float_cmp, reason = "a change of the last bit is a change")]
        (Number::Double(a), Number::Double(b)) => a == b,
        (Number::Decimal(a), Number::Decimal(b)) => !a.is_nan() && a.compare(b) == Ordering::Equal,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Value;

    #[track_caller]
    fn check(arithmetic: Arithmetic, a: Number, b: Number, expected: Option<Number>) {
        let result = arithmetic.apply(a, b);
        assert_eq!(format!("{result:?}"), format!("{expected:?}"), "{a:?} {arithmetic:?} {b:?}");
    }

    fn decimal(text: &str) -> Number {
        Number::Decimal(text.parse().unwrap())
    }

    #[test]
    fn the_result_has_the_wider_type() {
        use Arithmetic::{Add, Multiply};
        use Number::{Double, Int32, Int64};
        check(Add, Int32(i32::MAX), Int32(1), Some(Int64(2_147_483_648)));
        check(Add, Int64(2), Int32(-1), Some(Int64(1)));
        check(Add, Int64(i64::MAX), Int32(1), None);
        check(Add, Int32(1), Double(0.5), Some(Double(1.5)));
        check(Add, Double(0.1), decimal("1"), Some(decimal("1.100000000000000")));
        check(Multiply, Int32(65536), Int32(65536), Some(Int64(1 << 32)));
        check(Multiply, Int64(i64::MIN), Int64(-1), None);
        check(Multiply, decimal("1.5"), Int32(0), Some(decimal("0.0")));
    }

    #[test]
    fn bits_widen_with_the_operand() {
        let (narrow, wide) = (Integer::Int32(0b1100), Integer::Int64(0b1010));
        assert_eq!(Bitwise::And.apply(narrow, wide), Integer::Int64(0b1000));
        assert_eq!(Bitwise::Xor.apply(narrow, narrow), Integer::Int32(0));
        assert_eq!(Integer::of(Number::of(Value::Double(1.0))), None);
    }

    #[test]
    fn identity_is_of_type_and_value() {
        assert!(identical(Number::Double(-0.0), Number::Double(0.0)));
        assert!(identical(decimal("1.0"), decimal("1.00")));
        assert!(!identical(Number::Double(f64::NAN), Number::Double(f64::NAN)));
        assert!(!identical(Number::Int32(1), Number::Int64(1)));
    }
}
