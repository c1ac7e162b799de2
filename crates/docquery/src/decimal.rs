//! Decimal128: the arithmetic of the same library that MongoDB uses (Intel's), so that every digit is the same.

mod functions;
mod text;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use dfp_number_sys::bid128_000 as bid;
use dfp_number_sys::{
    BID128, EXE_CLEAR, EXE_INEXACT, EXE_INVALID, RND_NEAREST_EVEN, RND_TOWARD_ZERO,
};

pub use functions::Rounding;
pub use text::ParseProblem;

/// A decimal floating-point number of 34 digits. Equality is of bits; for that of numbers see [`Decimal::compare`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    low: u64,
    high: u64,
}

impl Decimal {
    /// The number that BSON writes as `bytes`.
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let bits = u128::from_le_bytes(*bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        Self { low: bits as u64, high: (bits >> 64) as u64 }
    }

    /// The bytes in BSON.
    pub fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.high) << 64 | u128::from(self.low)).to_le_bytes()
    }

    /// Whether it is a NaN.
    pub fn is_nan(self) -> bool {
        self.high & 0x7C00_0000_0000_0000 == 0x7C00_0000_0000_0000
    }

    /// Whether it is positive or negative infinity.
    pub fn is_infinite(self) -> bool {
        self.high & 0x7C00_0000_0000_0000 == 0x7800_0000_0000_0000
    }

    /// Whether it is neither a NaN nor infinite.
    pub fn is_finite(self) -> bool {
        self.high & 0x7800_0000_0000_0000 != 0x7800_0000_0000_0000
    }

    /// Whether it is 0, of either sign and any exponent.
    pub fn is_zero(self) -> bool {
        bid::bid128_is_zero(self.bid())
    }

    /// Whether its sign is negative, also that of 0 and NaN.
    pub fn is_sign_negative(self) -> bool {
        self.high >> 63 == 1
    }

    /// The order of numbers: NaN is equal to NaN and less than all others, -0 is equal to 0.
    pub fn compare(self, other: Self) -> Ordering {
        match (self.is_nan(), other.is_nan()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let flags = &mut EXE_CLEAR.clone();
        let (a, b) = (self.bid(), other.bid());
        if bid::bid128_quiet_less(a, b, flags) {
            Ordering::Less
        } else if bid::bid128_quiet_equal(a, b, flags) {
            Ordering::Equal
        } else {
            Ordering::Greater
        }
    }

    /// The double next to it towards zero, and whether that is the same number. NaN gives NaN.
    pub fn truncate_to_double(self) -> (f64, bool) {
        let mut flags = EXE_CLEAR;
        let double = bid::bid128_to_binary64(self.bid(), RND_TOWARD_ZERO, &mut flags);
        (double, flags & EXE_INEXACT == 0)
    }

    /// The double nearest to it.
    pub fn to_double(self) -> f64 {
        bid::bid128_to_binary64(self.bid(), RND_NEAREST_EVEN, &mut EXE_CLEAR.clone())
    }

    /// The double nearest to it; `None` where it is too large for doubles, or so small that they have no digits for it.
    pub fn to_double_in_range(self) -> Option<f64> {
        let mut flags = EXE_CLEAR;
        let double = bid::bid128_to_binary64(self.bid(), RND_NEAREST_EVEN, &mut flags);
        (flags & !EXE_INEXACT == 0).then_some(double)
    }

    /// The decimal of the 15 significant digits that a double has for sure, as MongoDB converts doubles in arithmetic.
    pub fn from_double(number: f64) -> Self {
        if number.is_nan() {
            return Self::NAN;
        }
        if number == 0.0 {
            return of_parts(number.is_sign_negative(), 0, 0);
        }
        if number.is_infinite() {
            return if number > 0.0 { Self::INFINITY } else { Self::NEGATIVE_INFINITY };
        }
        if number == 0.0 {
            // Zero has no significant digits: its exponent is 0.
            return Self::from_str(if number.is_sign_negative() { "-0" } else { "0" })
                .unwrap_or(Self::NAN);
        }
        Self::from_str(&format!("{number:.14e}")).unwrap_or(Self::NAN)
    }

    /// The decimal nearest to a double, to all 34 digits, as MongoDB converts the doubles of a sum.
    pub fn from_double_exactly(number: f64) -> Self {
        exact_double(number).unwrap_or_else(|| {
            // More digits than a decimal has: the first 34, rounded.
            Self::from_str(&format!("{number:.33e}")).unwrap_or(Self::NAN)
        })
    }

    /// The whole number towards zero, if an `i64` holds it.
    pub fn to_whole(self) -> Option<i64> {
        let whole = bid::bid128_round_integral_zero(self.bid(), &mut EXE_CLEAR.clone());
        let mut flags = EXE_CLEAR;
        let number = bid::bid128_to_int64_int(whole, &mut flags);
        (flags & EXE_INVALID == 0).then_some(number)
    }

    /// `self + other`.
    #[must_use]
    #[expect(
        clippy::should_implement_trait,
        reason = "it rounds, and a name shows that better than a sign"
    )]
    pub fn add(self, other: Self) -> Self {
        Self::of(bid::bid128_add(self.bid(), other.bid(), RND_NEAREST_EVEN, &mut EXE_CLEAR.clone()))
    }

    /// `self - other`.
    #[must_use]
    pub fn subtract(self, other: Self) -> Self {
        Self::of(bid::bid128_sub(self.bid(), other.bid(), RND_NEAREST_EVEN, &mut EXE_CLEAR.clone()))
    }

    /// `self * other`.
    #[must_use]
    pub fn multiply(self, other: Self) -> Self {
        Self::of(bid::bid128_mul(self.bid(), other.bid(), RND_NEAREST_EVEN, &mut EXE_CLEAR.clone()))
    }

    /// `self / other`.
    #[must_use]
    pub fn divide(self, other: Self) -> Self {
        Self::of(bid::bid128_div(self.bid(), other.bid(), RND_NEAREST_EVEN, &mut EXE_CLEAR.clone()))
    }

    /// The number for the library.
    pub(crate) fn bid(self) -> BID128 {
        BID128::new(self.low, self.high)
    }

    /// The library's number. The library shows its bits as text only.
    pub(crate) fn of(number: BID128) -> Self {
        let text = format!("{number:?}");
        let halves = text.trim_matches(['[', ']']).split_once(',');
        let parsed = halves.and_then(|(high, low)| {
            let half = |digits| u64::from_str_radix(digits, 16).ok();
            Some(Self { low: half(low)?, high: half(high)? })
        });
        parsed.expect("the library shows the two halves in hexadecimal")
    }

    /// A NaN.
    pub const NAN: Self = Self { low: 0, high: 0x7C00_0000_0000_0000 };
    /// Infinity.
    pub const INFINITY: Self = Self { low: 0, high: 0x7800_0000_0000_0000 };
    /// Negative infinity.
    pub const NEGATIVE_INFINITY: Self = Self { low: 0, high: 0xF800_0000_0000_0000 };
}

impl From<i32> for Decimal {
    fn from(number: i32) -> Self {
        Self::from(i64::from(number))
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        of_parts(number < 0, number.unsigned_abs().into(), 0)
    }
}

impl Default for Decimal {
    fn default() -> Self {
        Self::from(0)
    }
}

impl FromStr for Decimal {
    type Err = InvalidDecimal;

    fn from_str(text: &str) -> Result<Self, InvalidDecimal> {
        match bson::Decimal128::from_str(text) {
            Ok(decimal) => Ok(Self::from_bytes(&decimal.bytes())),
            Err(_) => Err(InvalidDecimal),
        }
    }
}

/// A text that is no Decimal128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDecimal;

impl fmt::Display for InvalidDecimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is no decimal number of at most 34 digits")
    }
}

impl std::error::Error for InvalidDecimal {}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bson::Decimal128::from_bytes(self.to_bytes()).fmt(f)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number `coefficient` * 10^-`scale`, for a coefficient of at most 34 digits.
fn of_parts(negative: bool, coefficient: u128, scale: i32) -> Decimal {
    // An exponent of 0 is written as 6176 above bit 49 of the upper half.
    let exponent = u128::try_from(6176 - scale).expect("the scale is in range");
    let bits = u128::from(negative) << 127 | exponent << 113 | coefficient;
    Decimal::from_bytes(&bits.to_le_bytes())
}

/// The decimal that a double is exactly, unless it takes more than 34 digits before or after the point.
fn exact_double(number: f64) -> Option<Decimal> {
    const DIGITS_34: u128 = 10_u128.pow(34);
    if number == 0.0 {
        return Some(of_parts(number.is_sign_negative(), 0, 0));
    }
    if !number.is_finite() {
        return Some(Decimal::from_double(number));
    }
    // The double is `mantissa` * 2^`exponent`, the mantissa odd.
    let bits = number.to_bits();
    let (biased, fraction) = (bits >> 52 & 0x7FF, bits & ((1 << 52) - 1));
    let mantissa = if biased == 0 { fraction } else { fraction | 1 << 52 };
    let zeros = mantissa.trailing_zeros();
    let exponent = i32::try_from(biased.max(1) + u64::from(zeros)).ok()? - 1075;
    let mantissa = u128::from(mantissa >> zeros);
    let (coefficient, scale) = match u32::try_from(-exponent) {
        Ok(scale) => (mantissa.checked_mul(5_u128.checked_pow(scale)?)?, scale),
        Err(_) => (mantissa.checked_mul(2_u128.checked_pow(exponent.unsigned_abs())?)?, 0),
    };
    (coefficient < DIGITS_34).then(|| of_parts(number < 0.0, coefficient, scale.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn arithmetic_keeps_the_exponent_that_the_standard_prefers() {
        let cases = [
            (decimal("1.10").add(decimal("2.2")), "3.30"),
            (decimal("1.0").multiply(decimal("3.00")), "3.000"),
            (decimal("1").divide(decimal("3")), "0.3333333333333333333333333333333333"),
            (decimal("5").subtract(decimal("7.5")), "-2.5"),
            (Decimal::from(i64::MIN), "-9223372036854775808"),
            (Decimal::from_double(0.1), "0.100000000000000"),
            (Decimal::from_double(0.0), "0"),
            (Decimal::from_double(-0.0), "-0"),
        ];
        for (number, text) in cases {
            assert_eq!(number.to_string(), text);
        }
    }

    #[test]
    fn a_double_becomes_a_decimal_to_its_last_digit() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (5.0, "5"),
            (-100.0, "-100"),
            (0.5, "0.5"),
            (1e22, "10000000000000000000000"),
            (1.1, "1.100000000000000088817841970012523"),
            (0.1, "0.1000000000000000055511151231257827"),
            (f64::MAX, "1.797693134862315708145274237317044E+308"),
            (5e-324, "4.940656458412465441765687928682214E-324"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ];
        for (number, text) in cases {
            assert_eq!(Decimal::from_double_exactly(number).to_string(), text);
        }
    }

    #[test]
    fn truncation_says_whether_it_is_exact() {
        assert_eq!(decimal("0.5").truncate_to_double(), (0.5, true));
        assert!(!decimal("0.1").truncate_to_double().1);
        assert_eq!(decimal("1E+400").truncate_to_double(), (f64::MAX, false));
        assert_eq!(decimal("-1E-400").truncate_to_double(), (-0.0, false));
        assert_eq!(decimal("-Infinity").truncate_to_double(), (f64::NEG_INFINITY, true));
    }

    proptest! {
        #[test]
        fn the_library_keeps_the_bits(low: u64, number: i64) {
            let decimal = Decimal { low, ..Decimal::from(number) };
            prop_assert_eq!(Decimal::of(decimal.bid()), decimal);
            prop_assert_eq!(Decimal::from_bytes(&decimal.to_bytes()), decimal);
        }

        #[test]
        fn integers_are_exact(a: i64, b: i64) {
            prop_assert_eq!(Decimal::from(a).compare(Decimal::from(b)), a.cmp(&b));
            prop_assert_eq!(Decimal::from(a).to_string(), a.to_string());
        }
    }
}
