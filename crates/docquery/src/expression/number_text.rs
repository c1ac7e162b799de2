//! Numbers from their texts, in the notations that C reads.

use std::str::FromStr;

use super::conversion::failure;
use crate::decimal::ParseProblem;
use crate::{Decimal, Result};

/// An integer in decimal digits, with or without a sign.
pub(super) fn parse_integer<T: FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| failure(format!("'{text}' is no integer, or does not fit in the type")))
}

/// A double: decimal, or hexadecimal with a sign or a capital X before it. What a double would round to 0 or infinity, or holds with
/// fewer digits than others, is an error.
pub(super) fn parse_double(text: &str) -> Result<f64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let hexadecimal = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hexadecimal {
        _ if text.starts_with("0x") => None,
        Some(digits) => {
            let number = parse_hexadecimal(digits);
            if text.starts_with('-') { number.map(|number| -number) } else { number }
        }
        None => text.parse().ok(),
    };
    let number: f64 = number.ok_or_else(|| failure(format!("'{text}' is no number")))?;
    let zero = !digits.bytes().take_while(|byte| !byte.eq_ignore_ascii_case(&b'e')).any(nonzero);
    let infinite = digits.starts_with(['i', 'I']);
    let out_of_range = match hexadecimal {
        Some(_) => number.is_infinite(),
        None => (number.is_infinite() && !infinite) || (number.abs() < f64::MIN_POSITIVE && !zero),
    };
    if out_of_range {
        return Err(failure(format!("'{text}' is beyond the range of doubles")));
    }
    Ok(number)
}

fn nonzero(byte: u8) -> bool {
    matches!(byte, b'1'..=b'9')
}

/// `1A.8p-2`: hexadecimal digits, and an exponent of 2 in decimal.
fn parse_hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = match text.split_once(['p', 'P']) {
        Some((digits, exponent)) => (digits, exponent_of(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // The first 15 digits, and whether there is anything behind them, decide how it is rounded.
    let (mut mantissa, mut dropped, mut places): (u64, bool, i64) = (0, false, exponent);
    let digits = whole.bytes().map(|byte| (byte, 0)).chain(fraction.bytes().map(|byte| (byte, 4)));
    for (byte, place) in digits {
        let digit = char::from(byte).to_digit(16)?;
        places -= place;
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | u64::from(digit);
        } else {
            dropped |= digit != 0;
            places += 4;
        }
    }
    Some(scaled(mantissa | u64::from(dropped), places))
}

/// An exponent in decimal; one that no double has is cut to one that no double has either.
fn exponent_of(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse().unwrap_or(i64::MAX).min(1 << 40);
    Some(if text.starts_with('-') { -size } else { size })
}

/// `mantissa` * 2^`exponent`.
#[expect(clippy::cast_precision_loss, reason = "it is rounded to the nearest double")]
fn scaled(mantissa: u64, exponent: i64) -> f64 {
    let exponent = i32::try_from(exponent.clamp(-2200, 2200)).expect("it is clamped");
    // In steps, since 2^exponent alone may be out of range where the product is not.
    let step = exponent / 3;
    mantissa as f64 * 2_f64.powi(step) * 2_f64.powi(step) * 2_f64.powi(exponent - 2 * step)
}

/// A decimal; digits beyond the 34 that it holds are cut off.
pub(super) fn parse_decimal(text: &str) -> Result<Decimal> {
    Decimal::parse(text).map_err(|problem| {
        failure(match problem {
            ParseProblem::NoNumber => format!("'{text}' is no number"),
            ParseProblem::OutOfRange => format!("'{text}' is beyond the range of decimals"),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_double(text: &str, expected: Option<f64>) {
        let bits = |number: f64| number.to_bits();
        assert_eq!(parse_double(text).ok().map(bits), expected.map(bits), "of {text:?}");
    }

    #[test]
    fn doubles_are_read_as_c_reads_them() {
        check_double("1.5e-3", Some(0.0015));
        check_double("-0", Some(-0.0));
        check_double(".5", Some(0.5));
        check_double("5.", Some(5.0));
        check_double("-inf", Some(f64::NEG_INFINITY));
        check_double("Infinity", Some(f64::INFINITY));
        check_double("1e-310", None);
        check_double("1e309", None);
        check_double("1e-400", None);
        check_double("0e-400", Some(0.0));
        for text in ["", ".", " 1", "1 ", "1_0", "1,0", "\u{0}1", "e5", "-"] {
            check_double(text, None);
        }
    }

    #[test]
    fn hexadecimal_doubles_have_a_sign_or_a_capital() {
        check_double("0x1", None);
        check_double("0X1P0", Some(1.0));
        check_double("+0xff", Some(255.0));
        check_double("-0x1.8p1", Some(-3.0));
        check_double("+0x1p-1", Some(0.5));
        check_double("+0x.8", Some(0.5));
        check_double("+0x", None);
        check_double("+0x.p0", None);
        check_double("+0x1p", None);
        check_double("+0x1g", None);
        check_double("+0x1p-1022", Some(f64::MIN_POSITIVE));
        check_double("+0x1p99999999999999999999", None);
        check_double("+0x100000000000008000000001", Some(4.951_760_157_141_522e27));
        check_double("+0x10000000000000", Some(4_503_599_627_370_496.0));
    }

    #[test]
    fn integers_have_digits_only() {
        assert_eq!(parse_integer::<i32>("+0042").unwrap(), 42);
        assert_eq!(parse_integer::<i32>("-2147483648").unwrap(), i32::MIN);
        for text in ["", "+", "--1", "1.", "0x1", " 1", "2147483648"] {
            assert!(parse_integer::<i32>(text).is_err(), "{text:?}");
        }
    }
}
