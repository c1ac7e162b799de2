//! Decimals from texts of any length.

use dfp_number_sys::bid128_000 as bid;
use dfp_number_sys::{EXE_CLEAR, EXE_OVERFLOW, EXE_UNDERFLOW, RND_TOWARD_ZERO};

use super::Decimal;

/// Why a text is no decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseProblem {
    /// It writes no number.
    NoNumber,
    /// It writes a number that is too large, or too near to 0.
    OutOfRange,
}

impl Decimal {
    /// The number that `text` writes: `-1.50`, `.5`, `2E+3`, `inf`, `NaN`. Digits beyond 34 are cut off, as MongoDB does.
    ///
    /// # Errors
    ///
    /// See [`ParseProblem`].
    pub fn parse(text: &str) -> Result<Self, ParseProblem> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        match unsigned.to_ascii_lowercase().as_str() {
            "nan" => return Ok(Self::NAN),
            "inf" | "infinity" if text.starts_with('-') => return Ok(Self::NEGATIVE_INFINITY),
            "inf" | "infinity" => return Ok(Self::INFINITY),
            _ => {}
        }
        let coefficient = coefficient(unsigned).ok_or(ParseProblem::NoNumber)?;
        let mut flags = EXE_CLEAR;
        let number = bid::bid128_from_string(text, RND_TOWARD_ZERO, &mut flags);
        let zero = !coefficient.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
        if flags & (EXE_OVERFLOW | EXE_UNDERFLOW) != 0 && !zero {
            return Err(ParseProblem::OutOfRange);
        }
        Ok(Self::of(number))
    }
}

/// The digits and the point before the exponent, if `unsigned` is a number.
fn coefficient(unsigned: &str) -> Option<&str> {
    let (coefficient, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((coefficient, exponent)) => (coefficient, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = coefficient.split_once('.').unwrap_or((coefficient, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_is_right = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let is_number = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent_is_right;
    is_number.then_some(coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, ParseProblem>) {
        let parsed = Decimal::parse(text).map(|number| number.to_string());
        assert_eq!(parsed, expected.map(str::to_owned), "of {text:?}");
    }

    #[test]
    fn numbers_are_read_and_cut() {
        check("-1.50", Ok("-1.50"));
        check("+.0", Ok("0.0"));
        check("5.", Ok("5"));
        check("007", Ok("7"));
        check("1.5e+3", Ok("1.5E+3"));
        check("-0E-1", Ok("-0.0"));
        check("12345678901234567890123456789012345", Ok("1.234567890123456789012345678901234E+34"));
        check(
            "1.00000000000000000000000000000000099999",
            Ok("1.000000000000000000000000000000000"),
        );
        check("-NaN", Ok("NaN"));
        check("-iNf", Ok("-Infinity"));
        check("1E-6176", Ok("1E-6176"));
        check(&"0".repeat(10_000), Ok("0"));
    }

    #[test]
    fn what_is_out_of_range_is_none() {
        check("1E-6177", Err(ParseProblem::OutOfRange));
        check("1E+6145", Err(ParseProblem::OutOfRange));
        check(&format!("1{}", "0".repeat(10_000)), Err(ParseProblem::OutOfRange));
        check("1E+99999999999999999999", Err(ParseProblem::OutOfRange));
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in [
            "", ".", "-", "1E", "1E+", "1 ", " 1", "1.2.3", "1E2E3", "0x1", "\u{0}1", "infi", "e5",
            "+-1",
        ] {
            check(text, Err(ParseProblem::NoNumber));
        }
    }
}
