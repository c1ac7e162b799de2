//! Preferred numbers: boundaries of buckets that look round.

use crate::number::Number;
use crate::{Decimal, Error, OwnedValue, Result, Value};

/// A series of preferred numbers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Granularity {
    /// A series that repeats with each power of ten: every so many-th of these numbers.
    Series(&'static [u16], usize),
    /// The powers of two.
    PowersOfTwo,
}

impl Granularity {
    pub(super) fn parse(value: Value<'_>) -> Result<Self> {
        let Value::String(name) = value else {
            let message =
                format!("granularity of $bucketAuto is a string, not {}", value.type_name());
            return Err(Error::location(40261, message));
        };
        Ok(match name {
            "R5" => Self::Series(R5, 1),
            "R10" => Self::Series(R10, 1),
            "R20" => Self::Series(R20, 1),
            "R40" => Self::Series(R40, 1),
            "R80" => Self::Series(R80, 1),
            "1-2-5" => Self::Series(ONE_TWO_FIVE, 1),
            "E6" => Self::Series(E24, 4),
            "E12" => Self::Series(E24, 2),
            "E24" => Self::Series(E24, 1),
            "E48" => Self::Series(E192, 4),
            "E96" => Self::Series(E192, 2),
            "E192" => Self::Series(E192, 1),
            "POWERSOF2" => Self::PowersOfTwo,
            _ => {
                let message = format!("there is no granularity '{name}' for $bucketAuto");
                return Err(Error::location(40257, message));
            }
        })
    }

    /// The least number of the series above `value`; 0 stays.
    pub(super) fn round_up(self, value: Value<'_>) -> OwnedValue {
        self.round(value, Toward::Up)
    }

    /// The greatest number of the series below `value`; 0 stays.
    pub(super) fn round_down(self, value: Value<'_>) -> OwnedValue {
        self.round(value, Toward::Down)
    }

    fn round(self, value: Value<'_>, toward: Toward) -> OwnedValue {
        let rounded = match (self, Number::of(value)) {
            (_, None) => value,
            (_, Some(number)) if !number.to_double().is_normal() => value,
            (Self::Series(series, step), Some(Number::Decimal(number))) => {
                let series = series.iter().step_by(step);
                let series: Vec<_> =
                    series.map(|number| Decimal::from_double(f64::from(*number))).collect();
                Value::Decimal(round(number, &series, toward))
            }
            (Self::Series(series, step), Some(number)) => {
                let series: Vec<_> =
                    series.iter().step_by(step).map(|number| f64::from(*number)).collect();
                Value::Double(round(number.to_double(), &series, toward))
            }
            (Self::PowersOfTwo, Some(number)) => power_of_two(number, toward),
        };
        rounded.into()
    }
}

/// Checks that a value can be rounded.
pub(super) fn check(value: Value<'_>) -> Result<()> {
    let Some(number) = Number::of(value) else {
        let message =
            format!("with a granularity $bucketAuto takes numbers only, not {}", value.type_name());
        return Err(Error::location(40258, message));
    };
    if number.is_nan() {
        return Err(Error::location(40259, "with a granularity $bucketAuto takes no NaN"));
    }
    if number.to_double() < 0.0 {
        let message = "with a granularity $bucketAuto takes no negative numbers";
        return Err(Error::location(40260, message));
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Toward {
    Up,
    Down,
}

/// What rounding needs of numbers, which are binary or decimal.
trait Scaled: Copy {
    fn less(self, other: Self) -> bool;
    fn times(self, other: Self) -> Self;
    fn ten() -> Self;
    fn tenth_of(self) -> Self;
    fn one() -> Self;
}

impl Scaled for f64 {
    fn less(self, other: Self) -> bool {
        self < other
    }

    fn times(self, other: Self) -> Self {
        self * other
    }

    fn ten() -> Self {
        10.0
    }

    fn tenth_of(self) -> Self {
        self / 10.0
    }

    fn one() -> Self {
        1.0
    }
}

impl Scaled for Decimal {
    fn less(self, other: Self) -> bool {
        self.compare(other).is_lt()
    }

    fn times(self, other: Self) -> Self {
        self.multiply(other)
    }

    fn ten() -> Self {
        Self::from(10_i64)
    }

    fn tenth_of(self) -> Self {
        self.divide(Self::ten())
    }

    fn one() -> Self {
        Self::from(1_i64)
    }
}

/// The next number of the series, which is scaled as the server scales it: the same digits come out.
fn round<N: Scaled>(number: N, series: &[N], toward: Toward) -> N {
    let (Some(first), Some(last)) = (series.first().copied(), series.last().copied()) else {
        return number;
    };
    let mut scale = N::one();
    match toward {
        Toward::Up => {
            while !number.less(last.times(scale)) {
                scale = scale.times(N::ten());
            }
            while number.less(first.times(scale)) {
                let above = first.times(scale);
                scale = scale.tenth_of();
                if !number.less(last.times(scale)) {
                    return above;
                }
            }
            let above = series.iter().find(|preferred| number.less(preferred.times(scale)));
            above.copied().unwrap_or(last).times(scale)
        }
        Toward::Down => {
            while !first.times(scale).less(number) {
                scale = scale.tenth_of();
            }
            while last.times(scale).less(number) {
                let below = last.times(scale);
                scale = scale.times(N::ten());
                if !first.times(scale).less(number) {
                    return below;
                }
            }
            let below = series.iter().rev().find(|preferred| preferred.times(scale).less(number));
            below.copied().unwrap_or(first).times(scale)
        }
    }
}

/// The next power of two: an integer where it is one.
fn power_of_two(number: Number, toward: Toward) -> Value<'static> {
    let double = number.to_double();
    let floor = exponent_of(double);
    let exponent = match toward {
        Toward::Up => floor + 1,
        Toward::Down if double <= power(floor) => floor - 1,
        Toward::Down => floor,
    };
    if number.is_decimal() {
        // A power is computed with all digits.
        let one: Decimal = "1.000000000000000000000000000000000".parse().unwrap_or_default();
        return Value::Decimal(Decimal::from_double_exactly(power(exponent)).multiply(one));
    }
    match u32::try_from(exponent) {
        Ok(exponent) if exponent < 31 => Value::Int32(1 << exponent),
        Ok(exponent) if exponent < 63 => Value::Int64(1 << exponent),
        _ => Value::Double(power(exponent)),
    }
}

/// Between which powers of two a number is: the exponent of the lower.
fn exponent_of(number: f64) -> i32 {
    let bits = number.to_bits() >> 52;
    i32::try_from(bits & 0x7FF).unwrap_or(0) - 1023
}

fn power(exponent: i32) -> f64 {
    2.0_f64.powi(exponent)
}

const R5: &[u16] = &[10, 16, 25, 40, 63];

const R10: &[u16] = &[100, 125, 160, 200, 250, 315, 400, 500, 630, 800];

const R20: &[u16] = &[
    100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800,
    900,
];

const R40: &[u16] = &[
    100, 106, 112, 118, 125, 132, 140, 150, 160, 170, 180, 190, 200, 212, 224, 236, 250, 265, 280,
    300, 315, 335, 355, 375, 400, 425, 450, 475, 500, 530, 560, 600, 630, 670, 710, 750, 800, 850,
    900, 950,
];

const R80: &[u16] = &[
    103, 109, 115, 122, 128, 136, 145, 155, 165, 175, 185, 195, 206, 218, 230, 243, 258, 272, 290,
    307, 325, 345, 365, 387, 412, 437, 462, 487, 515, 545, 575, 615, 650, 690, 730, 775, 825, 875,
    925, 975,
];

const ONE_TWO_FIVE: &[u16] = &[10, 20, 50];

const E24: &[u16] = &[
    10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91,
];

const E192: &[u16] = &[
    100, 101, 102, 104, 105, 106, 107, 109, 110, 111, 113, 114, 115, 117, 118, 120, 121, 123, 124,
    126, 127, 129, 130, 132, 133, 135, 137, 138, 140, 142, 143, 145, 147, 149, 150, 152, 154, 156,
    158, 160, 162, 164, 165, 167, 169, 172, 174, 176, 178, 180, 182, 184, 187, 189, 191, 193, 196,
    198, 200, 203, 205, 208, 210, 213, 215, 218, 221, 223, 226, 229, 232, 234, 237, 240, 243, 246,
    249, 252, 255, 258, 261, 264, 267, 271, 274, 277, 280, 284, 287, 291, 294, 298, 301, 305, 309,
    312, 316, 320, 324, 328, 332, 336, 340, 344, 348, 352, 357, 361, 365, 370, 374, 379, 383, 388,
    392, 397, 402, 407, 412, 417, 422, 427, 432, 437, 442, 448, 453, 459, 464, 470, 475, 481, 487,
    493, 499, 505, 511, 517, 523, 530, 536, 542, 549, 556, 562, 569, 576, 583, 590, 597, 604, 612,
    619, 626, 634, 642, 649, 657, 665, 673, 681, 690, 698, 706, 715, 723, 732, 741, 750, 759, 768,
    777, 787, 796, 806, 816, 825, 835, 845, 856, 866, 876, 887, 898, 909, 920, 931, 942, 953, 965,
    976, 988,
];
