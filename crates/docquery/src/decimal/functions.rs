//! Rounding, powers, logarithms and trigonometry of decimals.

use dfp_number_sys::bid128_000 as bid;
use dfp_number_sys::{
    EXE_CLEAR, EXE_INVALID, RND_DOWNWARD, RND_NEAREST_EVEN, RND_TOWARD_ZERO, RND_UPWARD,
};

use super::{Decimal, of_parts};

/// Where to a number is rounded that has more digits than are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, and where two are as near to the even one.
    TiesToEven,
    /// Towards 0.
    TowardZero,
    /// Towards infinity.
    Up,
    /// Towards negative infinity.
    Down,
}

/// Functions of one number, as the library computes them.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $function:ident;)*) => {
        impl Decimal {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(self) -> Self {
                    let flags = &mut EXE_CLEAR.clone();
                    Self::of(bid::$function(self.bid(), RND_NEAREST_EVEN, flags))
                }
            )*
        }
    };
}

functions! {
    /// The square root.
    sqrt = bid128_sqrt;
    /// e to the power of the number.
    exp = bid128_exp;
    /// The natural logarithm.
    ln = bid128_log;
    /// The logarithm to the base 10.
    log10 = bid128_log10;
    /// The sine.
    sin = bid128_sin;
    /// The cosine.
    cos = bid128_cos;
    /// The tangent.
    tan = bid128_tan;
    /// The inverse of the sine.
    asin = bid128_asin;
    /// The inverse of the cosine.
    acos = bid128_acos;
    /// The inverse of the tangent.
    atan = bid128_atan;
    /// The hyperbolic sine.
    sinh = bid128_sinh;
    /// The hyperbolic cosine.
    cosh = bid128_cosh;
    /// The hyperbolic tangent.
    tanh = bid128_tanh;
    /// The inverse of the hyperbolic sine.
    asinh = bid128_asinh;
    /// The inverse of the hyperbolic cosine.
    acosh = bid128_acosh;
    /// The inverse of the hyperbolic tangent.
    atanh = bid128_atanh;
}

impl Decimal {
    /// The number without its sign.
    #[must_use]
    pub fn abs(self) -> Self {
        Self { high: self.high & !(1 << 63), ..self }
    }

    /// The remainder of a division by `other` that is cut to a whole number; it has the sign of `self`.
    #[must_use]
    pub fn modulo(self, other: Self) -> Self {
        Self::of(bid::bid128_fmod(self.bid(), other.bid(), &mut EXE_CLEAR.clone()))
    }

    /// `self` to the power of `exponent`.
    #[must_use]
    pub fn pow(self, exponent: Self) -> Self {
        let flags = &mut EXE_CLEAR.clone();
        let (base, power) = (self.bid(), exponent.bid());
        let result = if self.compare(Self::from(10)).is_eq() {
            bid::bid128_exp10(power, RND_NEAREST_EVEN, flags)
        } else if self.compare(Self::from(2)).is_eq() {
            bid::bid128_exp2(power, RND_NEAREST_EVEN, flags)
        } else {
            bid::bid128_pow(base, power, RND_NEAREST_EVEN, flags)
        };
        Self::of(result).normalized()
    }

    /// The angle of the point (`x`, `self`).
    #[must_use]
    pub fn atan2(self, x: Self) -> Self {
        let flags = &mut EXE_CLEAR.clone();
        Self::of(bid::bid128_atan2(self.bid(), x.bid(), RND_NEAREST_EVEN, flags))
    }

    /// Degrees as radians.
    #[must_use]
    pub fn to_radians(self) -> Self {
        self.multiply(pi().divide(Self::from(180)))
    }

    /// Radians as degrees.
    #[must_use]
    pub fn to_degrees(self) -> Self {
        self.multiply(Self::from(180).divide(pi()))
    }

    /// The number rounded to whole ones. One of so many digits that the last of a whole number does not fit, and an infinite one,
    /// give NaN.
    #[must_use]
    pub fn round_to_whole(self, rounding: Rounding) -> Self {
        self.quantize(Self::from(1), rounding)
    }

    /// The number rounded to `places` behind the point, or before it if negative. It is written with just so many, if
    /// these are not more digits than a decimal has.
    ///
    /// # Panics
    ///
    /// There are no such places: they are from -6111 to 6176.
    #[must_use]
    pub fn round_to_place(self, places: i32, rounding: Rounding) -> Self {
        let unit = of_parts(false, 1, places);
        let normalized = self.normalized();
        // The exponent of the last digit that is written, beside that of the unit written with 34 digits.
        if normalized.is_finite() && normalized.exponent() - unit.normalized().exponent() > 33 {
            return normalized;
        }
        self.quantize(unit, rounding)
    }

    /// The whole number nearest to it, the even one of two, if an `i64` holds it.
    pub fn to_nearest_whole(self) -> Option<i64> {
        let mut flags = EXE_CLEAR;
        let number = bid::bid128_to_int64_rnint(self.bid(), &mut flags);
        (flags & EXE_INVALID == 0).then_some(number)
    }

    fn quantize(self, unit: Self, rounding: Rounding) -> Self {
        let mode = match rounding {
            Rounding::TiesToEven => RND_NEAREST_EVEN,
            Rounding::TowardZero => RND_TOWARD_ZERO,
            Rounding::Up => RND_UPWARD,
            Rounding::Down => RND_DOWNWARD,
        };
        Self::of(bid::bid128_quantize(self.bid(), unit.bid(), mode, &mut EXE_CLEAR.clone()))
    }

    /// The same number written with as many digits as there are.
    fn normalized(self) -> Self {
        self.add(Self { low: 0, high: 0 })
    }

    /// The exponent of the last digit that is written, of a finite number whose coefficient has at most 113 bits.
    fn exponent(self) -> i32 {
        i32::try_from(self.high >> 49 & 0x3FFF).expect("14 bits") - 6176
    }
}

/// Pi to 34 digits.
fn pi() -> Decimal {
    of_parts(false, 3_141_592_653_589_793_238_462_643_383_279_503, 33)
}
