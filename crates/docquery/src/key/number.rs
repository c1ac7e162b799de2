//! Numbers as bytes, exact across the four types.
//!
//! First comes the double next to the number towards zero, so that its bytes sort as it does: NaN is 0, other bits
//! have their sign turned over, and all bits are where it is negative. Then a mark: 0 if the number is
//! that double, 1 if it lies beyond it. In the second case the exact number follows: its decimal exponent, then its
//! digits as a number of 34 digits. Only whole numbers above 2^53 and decimals come to that, and both have at most
//! 34 digits. Mark and exact number are turned over where the number is negative.

use crate::Decimal;
use crate::number::Number;

/// Appends the body of a number.
pub(super) fn encode(number: Number, key: &mut Vec<u8>) {
    let (double, beyond) = match number {
        Number::Int32(int) => (f64::from(int), None),
        Number::Int64(int) => truncate(int),
        Number::Double(double) => (double, None),
        Number::Decimal(decimal) => match decimal.truncate_to_double() {
            (double, true) => (double, None),
            (double, false) => (double, Some(Digits::of_decimal(decimal))),
        },
    };
    key.extend_from_slice(&sortable(double, beyond.is_some()).to_be_bytes());
    let negative =
        double.is_sign_negative() && !double.is_nan() && (double != 0.0 || beyond.is_some());
    let start = key.len();
    key.push(MARK_EXACT);
    if let Some(digits) = beyond {
        key[start] = MARK_BEYOND;
        key.extend_from_slice(&digits.exponent_biased().to_be_bytes());
        key.extend_from_slice(&digits.scaled().to_be_bytes()[16 - SCALED_BYTES..]);
    }
    if negative {
        for byte in &mut key[start..] {
            *byte = !*byte;
        }
    }
}

/// How many bytes the body takes that begins with `bytes`.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let mark = *bytes.get(8)?;
    match mark {
        MARK_EXACT | NOT_MARK_EXACT => Some(9),
        _ => Some(9 + 2 + SCALED_BYTES),
    }
}

/// A number that was read back. Of which type it was is not known any more.
pub(super) enum Decoded {
    Double(f64),
    Decimal(Decimal),
}

/// Reads the body of a number back.
pub(super) fn decode(body: &[u8]) -> Option<Decoded> {
    let (sortable, rest) = body.split_first_chunk::<8>()?;
    let bits = match u64::from_be_bytes(*sortable) {
        0 => return Some(Decoded::Double(f64::NAN)),
        positive if positive >> 63 == 1 => positive & !(1 << 63),
        negative => !negative,
    };
    let double = f64::from_bits(bits);
    let Some((exponent, scaled)) = rest.get(1..)?.split_first_chunk::<2>() else {
        return Some(Decoded::Double(double));
    };
    let turned = if double.is_sign_negative() { !0 } else { 0 };
    let exponent = i32::from(u16::from_be_bytes(*exponent) ^ turned) - EXPONENT_BIAS;
    let mut wide = [0; 16];
    wide.get_mut(16 - SCALED_BYTES..)?.copy_from_slice(scaled);
    let mut digits = u128::from_be_bytes(wide);
    if turned != 0 {
        digits ^= u128::MAX >> (128 - 8 * SCALED_BYTES);
    }
    let mut exponent = exponent - 33;
    while digits.is_multiple_of(10) && digits != 0 {
        digits /= 10;
        exponent += 1;
    }
    let sign = if turned == 0 { "" } else { "-" };
    format!("{sign}{digits}E{exponent}").parse().ok().map(Decoded::Decimal)
}

/// What is added to a decimal exponent so that it is positive.
const EXPONENT_BIAS: i32 = 0x4000;

const MARK_EXACT: u8 = 0;
const MARK_BEYOND: u8 = 1;
const NOT_MARK_EXACT: u8 = !MARK_EXACT;

/// How many bytes a number of 34 digits takes.
const SCALED_BYTES: usize = 15;

/// The bits of a double, turned over so that they sort as doubles do.
fn sortable(double: f64, beyond: bool) -> u64 {
    if double.is_nan() {
        return 0;
    }
    // -0 is 0. A tiny negative decimal, which was truncated to -0, is less.
    let double = if double == 0.0 && !beyond { 0.0 } else { double };
    let bits = double.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The double next to `int` towards zero, and the number itself if it is not that.
fn truncate(int: i64) -> (f64, Option<Digits>) {
    let size = int.unsigned_abs();
    let excess = (u64::BITS - size.leading_zeros()).saturating_sub(f64::MANTISSA_DIGITS);
    let kept = size >> excess << excess;
    #[expect(clippy::cast_precision_loss, reason = "no more bits are left than a double has")]
    let double = if int < 0 { -(kept as f64) } else { kept as f64 };
    let digits = Digits { coefficient: size.into(), exponent: 0 };
    (double, (kept != size).then_some(digits))
}

/// A positive number: `coefficient * 10^exponent`.
#[derive(Clone, Copy, Debug)]
struct Digits {
    coefficient: u128,
    exponent: i32,
}

impl Digits {
    /// Those of a finite decimal that is not 0, without its sign.
    fn of_decimal(decimal: Decimal) -> Self {
        // A coefficient of 34 digits has less than 114 bits, so the exponent of such a number stands above bit 113.
        const COEFFICIENT_BITS: u32 = 113;
        const EXPONENT_BITS: u32 = 14;
        const EXPONENT_BIAS: i32 = 6176;
        let bits = u128::from_le_bytes(decimal.to_bytes());
        let exponent = (bits >> COEFFICIENT_BITS) & ((1 << EXPONENT_BITS) - 1);
        let exponent = i32::try_from(exponent).expect("14 bits") - EXPONENT_BIAS;
        Self { coefficient: bits & ((1 << COEFFICIENT_BITS) - 1), exponent }
    }

    fn count(self) -> u32 {
        self.coefficient.max(1).ilog10() + 1
    }

    /// The exponent of the first digit, moved so that it is positive.
    fn exponent_biased(self) -> u16 {
        let first = self.exponent + self.count().cast_signed() - 1;
        u16::try_from(first + EXPONENT_BIAS).expect("a decimal's exponent has at most four digits")
    }

    /// The digits as a number of 34: those of equal numbers are equal.
    fn scaled(self) -> u128 {
        self.coefficient * 10_u128.pow(34_u32.saturating_sub(self.count()))
    }
}
