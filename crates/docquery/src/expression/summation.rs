//! The arithmetic of `$sum`, `$avg` and the standard deviations, for accumulators and for expressions.

use crate::Decimal;
use crate::number::Number;

/// The total of `$sum`: of the widest type among its numbers, and 0 of none. A total of integers that no
/// `i64` holds is a double.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Total {
    widest: Width,
    binary: Summation,
    decimal: Decimal,
}

/// The types of numbers, from narrow to wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Width {
    #[default]
    Int32,
    Int64,
    Double,
    Decimal,
}

impl Total {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: Number) {
        let width = match number {
            Number::Int32(int) => {
                self.binary.add_long(int.into());
                Width::Int32
            }
            Number::Int64(int) => {
                self.binary.add_long(int);
                Width::Int64
            }
            Number::Double(double) => {
                self.binary.add(double);
                Width::Double
            }
            Number::Decimal(decimal) => {
                self.decimal = self.decimal.add(decimal);
                Width::Decimal
            }
        };
        self.widest = self.widest.max(width);
    }

    /// Adds the milliseconds of a date. They do not widen the type.
    pub(crate) fn add_milliseconds(&mut self, milliseconds: i64) {
        self.binary.add_long(milliseconds);
    }

    /// The total as milliseconds of a date; `None` if an `i64` does not hold it.
    pub(crate) fn milliseconds(&self) -> Option<i64> {
        match self.widest {
            Width::Int32 | Width::Int64 | Width::Double => self.binary.to_nearest_long(),
            Width::Decimal => self.decimal.add(self.binary.to_decimal()).to_nearest_whole(),
        }
    }

    /// The total.
    pub(crate) fn value(&self) -> Number {
        let whole = self.binary.to_long();
        match (self.widest, whole) {
            (Width::Int32, Some(whole)) => {
                i32::try_from(whole).map_or(Number::Int64(whole), Number::Int32)
            }
            (Width::Int64, Some(whole)) => Number::Int64(whole),
            (Width::Int32 | Width::Int64 | Width::Double, _) => {
                Number::Double(self.binary.to_double())
            }
            (Width::Decimal, _) => Number::Decimal(self.decimal.add(self.binary.to_decimal())),
        }
    }
}

/// The mean of `$avg`: a decimal if one of its numbers is, otherwise a double.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    count: i64,
    binary: Summation,
    decimal: Option<Decimal>,
}

impl Mean {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: Number) {
        self.count += 1;
        match number {
            Number::Int32(int) => self.binary.add(int.into()),
            Number::Int64(int) => self.binary.add_long(int),
            Number::Double(double) => self.binary.add(double),
            Number::Decimal(decimal) => {
                self.decimal = Some(self.decimal.unwrap_or_default().add(decimal));
            }
        }
    }

    /// The mean; `None` of no numbers.
    #[expect(clippy::cast_precision_loss, reason = "no count of values comes near 2^53")]
    pub(crate) fn value(&self) -> Option<Number> {
        if self.count == 0 {
            return None;
        }
        Some(match self.decimal {
            Some(decimal) => {
                let total = decimal.add(self.binary.to_decimal());
                Number::Decimal(total.divide(Decimal::from(self.count)))
            }
            None => Number::Double(self.binary.to_double() / self.count as f64),
        })
    }
}

/// The standard deviations, by Welford's method.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Deviation {
    count: f64,
    mean: f64,
    /// The sum of the squares of the distances from the mean.
    squares: f64,
}

impl Deviation {
    /// Adds a number.
    pub(crate) fn add(&mut self, number: Number) {
        let number = number.to_double();
        self.count += 1.0;
        let distance = number - self.mean;
        if distance != 0.0 {
            self.mean += distance / self.count;
            self.squares += distance * (number - self.mean);
        }
    }

    /// The deviation of a whole population; `None` of no numbers.
    pub(crate) fn population(&self) -> Option<f64> {
        self.over(self.count)
    }

    /// The deviation that a sample lets expect; `None` of fewer than two numbers.
    pub(crate) fn sample(&self) -> Option<f64> {
        self.over(self.count - 1.0)
    }

    fn over(&self, count: f64) -> Option<f64> {
        (count > 0.0).then(|| (self.squares / count).sqrt())
    }
}

/// A sum of doubles with some 106 bits: the double nearest to the sum, and what is left over. Sums of integers
/// are exact, and those of doubles do not depend on small numbers drowning in large ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summation {
    sum: f64,
    rest: f64,
    /// The plain sum: infinities make the exact one a NaN.
    plain: f64,
}

impl Summation {
    /// Adds a double.
    pub(crate) fn add(&mut self, number: f64) {
        self.plain += number;
        let (upper, lower) = sum_larger_first(number, self.rest);
        let (sum, rest) = sum_exactly(self.sum, upper);
        self.sum = sum;
        self.rest = lower + rest;
    }

    /// Adds an integer, exactly: in two halves that are doubles.
    #[expect(clippy::cast_precision_loss, reason = "each half has at most 32 significant bits")]
    pub(crate) fn add_long(&mut self, number: i64) {
        let lower = number % (1 << 32);
        self.add(lower as f64);
        self.add((number - lower) as f64);
    }

    /// The double nearest to the sum.
    pub(crate) fn to_double(self) -> f64 {
        if self.sum.is_nan() { self.plain } else { self.sum }
    }

    /// The sum as a decimal of 34 digits.
    pub(crate) fn to_decimal(self) -> Decimal {
        if !self.sum.is_finite() {
            return Decimal::from_double_exactly(self.plain);
        }
        Decimal::from_double_exactly(self.sum).add(Decimal::from_double_exactly(self.rest))
    }

    /// The sum of integers, if an `i64` holds it.
    #[expect(clippy::cast_possible_truncation, reason = "both parts are whole and in range")]
    pub(crate) fn to_long(self) -> Option<i64> {
        if self.sum.abs() <= TWO_TO_63 {
            let whole = self.sum as i128 + self.rest as i128;
            i64::try_from(whole).ok()
        } else {
            None
        }
    }

    /// The sum rounded to an integer, if an `i64` holds it. First what is nearest to the sum without its rest is taken,
    /// then the difference is rounded: of two that are as near it is the one that lies towards 0.
    #[expect(clippy::cast_possible_truncation, reason = "both parts are whole and in range")]
    pub(crate) fn to_nearest_long(self) -> Option<i64> {
        if self.sum.is_nan() || self.sum.abs() > TWO_TO_63 {
            return None;
        }
        let nearest = self.sum.round();
        let difference = ((self.sum - nearest) + self.rest).round();
        i64::try_from(nearest as i128 + difference as i128).ok()
    }
}

/// The sum of `a` and `b` as the nearest double and what is left over, for `b` no larger than `a` (Dekker).
fn sum_larger_first(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    (sum, b - (sum - a))
}

/// The same for any two doubles (Knuth).
fn sum_exactly(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let (part_a, part_b) = (sum - b, sum - (sum - b));
    (sum, (a - part_a) + (b - part_b))
}

const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Number {
        Number::Decimal(text.parse().unwrap())
    }

    #[track_caller]
    fn check(numbers: &[Number], total: &str, mean: &str) {
        let (mut sum, mut average) = (Total::default(), Mean::default());
        for number in numbers {
            sum.add(*number);
            average.add(*number);
        }
        assert_eq!(format!("{:?}", sum.value()), total);
        assert_eq!(format!("{:?}", average.value()), mean);
    }

    #[test]
    fn a_total_has_the_widest_type() {
        use Number::{Double, Int32, Int64};
        check(&[], "Int32(0)", "None");
        check(&[Int32(1), Int32(2)], "Int32(3)", "Some(Double(1.5))");
        check(&[Int32(i32::MAX), Int32(1)], "Int64(2147483648)", "Some(Double(1073741824.0))");
        check(&[Int64(1), Int32(-1)], "Int64(0)", "Some(Double(0.0))");
        check(&[Int64(1), Double(0.5)], "Double(1.5)", "Some(Double(0.75))");
        check(&[decimal("1.50"), Int32(1)], "Decimal(2.50)", "Some(Decimal(1.25))");
        check(
            &[decimal("0"), Double(1.1)],
            "Decimal(1.100000000000000088817841970012523)",
            "Some(Decimal(0.5500000000000000444089209850062615))",
        );
    }

    #[test]
    fn integers_that_do_not_fit_become_a_double() {
        use Number::Int64;
        let max = Int64(i64::MAX);
        check(&[max], "Int64(9223372036854775807)", "Some(Double(9.223372036854776e18))");
        check(
            &[max, Int64(1)],
            "Double(9.223372036854776e18)",
            "Some(Double(4.611686018427388e18))",
        );
        check(
            &[max, Int64(2), Int64(-2)],
            "Int64(9223372036854775807)",
            "Some(Double(3.0744573456182584e18))",
        );
        check(
            &[Int64(i64::MIN)],
            "Int64(-9223372036854775808)",
            "Some(Double(-9.223372036854776e18))",
        );
        check(
            &[Int64(i64::MIN), Int64(-1)],
            "Double(-9.223372036854776e18)",
            "Some(Double(-4.611686018427388e18))",
        );
    }

    #[test]
    fn doubles_are_added_without_losing_small_ones() {
        use Number::Double;
        check(&[Double(0.1); 10], "Double(1.0)", "Some(Double(0.1))");
        check(
            &[Double(1e15), Double(0.5), Double(-1e15)],
            "Double(0.5)",
            "Some(Double(0.16666666666666666))",
        );
        check(&[Double(-0.0)], "Double(0.0)", "Some(Double(0.0))");
        check(&[Double(f64::INFINITY), Double(1.0)], "Double(inf)", "Some(Double(inf))");
        check(&[Double(f64::MAX), Double(f64::MAX)], "Double(inf)", "Some(Double(inf))");
        check(
            &[Double(f64::INFINITY), Double(f64::NEG_INFINITY)],
            "Double(NaN)",
            "Some(Double(NaN))",
        );
        check(
            &[decimal("1"), Double(f64::INFINITY)],
            "Decimal(Infinity)",
            "Some(Decimal(Infinity))",
        );
    }

    #[test]
    fn deviations_need_enough_numbers() {
        let mut deviation = Deviation::default();
        assert_eq!((deviation.population(), deviation.sample()), (None, None));
        deviation.add(Number::Int32(2));
        assert_eq!((deviation.population(), deviation.sample()), (Some(0.0), None));
        for number in [4, 4, 4, 5, 5, 7, 9] {
            deviation.add(Number::Int64(number));
        }
        assert_eq!(deviation.population(), Some(2.0));
    }
}
