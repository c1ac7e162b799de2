//! Accumulators from which values are taken away again, as a window moves on.

use std::collections::BTreeSet;

use super::super::distinct::Distinct;
use crate::expression::summation::Summation;
use crate::number::Number;
use crate::{Decimal, OwnedValue, Value};

/// What is made of the numbers of a window.
pub(super) trait Moving {
    /// Adds a number, or takes one away.
    fn update(&mut self, number: Number, by: i64);
}

/// A sum from which numbers are taken away again.
#[derive(Clone, Debug, Default)]
pub(super) struct MovingSum {
    integers: i128,
    doubles: Summation,
    decimals: Decimal,
    /// How many there are of each.
    numbers: i64,
    finite: i64,
    nans: i64,
    infinities: [i64; 2],
    decimal: i64,
}

impl Moving for MovingSum {
    fn update(&mut self, number: Number, by: i64) {
        self.numbers += by;
        match number {
            Number::Int32(number) => self.integers += i128::from(number) * i128::from(by),
            Number::Int64(number) => self.integers += i128::from(number) * i128::from(by),
            Number::Double(number) if number.is_nan() => self.nans += by,
            Number::Double(number) if number.is_infinite() => {
                self.infinities[usize::from(number < 0.0)] += by;
            }
            Number::Double(number) => {
                self.finite += by;
                self.doubles.add(if by > 0 { number } else { -number });
            }
            Number::Decimal(number) => {
                self.decimal += by;
                self.decimals =
                    if by > 0 { self.decimals.add(number) } else { self.decimals.subtract(number) };
            }
        }
        if self.decimal == 0 {
            self.decimals = Decimal::default();
        }
        if self.finite == 0 {
            self.doubles = Summation::default();
        }
    }
}

impl MovingSum {
    pub(super) fn numbers(&self) -> i64 {
        self.numbers
    }

    /// The sum, in the type that the numbers ask for; of integers the shortest that holds it.
    pub(super) fn value(&self) -> Value<'static> {
        if self.decimal > 0 {
            let sum = self.binary().to_decimal().add(self.decimals);
            return match self.special() {
                Some(special) => Value::Decimal(Decimal::from_double(special).add(self.decimals)),
                None => Value::Decimal(sum),
            };
        }
        if let Some(special) = self.special() {
            return Value::Double(special);
        }
        if self.finite > 0 {
            return Value::Double(self.binary().to_double());
        }
        match (i32::try_from(self.integers), i64::try_from(self.integers)) {
            (Ok(sum), _) => Value::Int32(sum),
            (_, Ok(sum)) => Value::Int64(sum),
            _ => Value::Double(self.binary().to_double()),
        }
    }

    /// The sum as a double.
    pub(super) fn to_double(&self) -> f64 {
        Number::of(self.value()).map_or(0.0, Number::to_double)
    }

    /// What the sum is because of what is not finite.
    fn special(&self) -> Option<f64> {
        match self.infinities {
            _ if self.nans > 0 => Some(f64::NAN),
            [0, 0] => None,
            [_, 0] => Some(f64::INFINITY),
            [0, _] => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// All but the decimals.
    fn binary(&self) -> Summation {
        let mut sum = self.doubles;
        let mut rest = self.integers;
        // An i128 of so few numbers as a partition has is at most a few i64.
        while rest != 0 {
            let part = rest.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            sum.add_long(i64::try_from(part).unwrap_or(0));
            rest -= part;
        }
        sum
    }

    /// The mean; null of nothing.
    #[expect(clippy::cast_precision_loss, reason = "no count of documents comes near 2^53")]
    pub(super) fn mean(&self) -> Value<'static> {
        match self.value() {
            _ if self.numbers == 0 => Value::Null,
            Value::Decimal(sum) => Value::Decimal(sum.divide(Decimal::from(self.numbers))),
            _ => Value::Double(self.to_double() / self.numbers as f64),
        }
    }
}

/// The values of a window in order, for the least and the greatest.
#[derive(Clone, Debug, Default)]
pub(super) struct MovingOrder {
    values: BTreeSet<(Distinct, usize)>,
    bytes: usize,
}

impl MovingOrder {
    /// Adds the value of the document at `index`, or takes it away.
    pub(super) fn update(&mut self, value: OwnedValue, index: usize, by: i64) {
        if value.get().is_nullish() {
            return;
        }
        let bytes = value.bytes() + ENTRY_BYTES;
        if by > 0 {
            if self.values.insert((Distinct(value), index)) {
                self.bytes += bytes;
            }
        } else if self.values.remove(&(Distinct(value), index)) {
            self.bytes -= bytes;
        }
    }

    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn least(&self) -> OwnedValue {
        self.values.first().map_or_else(|| Value::Null.into(), |(value, _)| value.0.clone())
    }

    pub(super) fn greatest(&self) -> OwnedValue {
        self.values.last().map_or_else(|| Value::Null.into(), |(value, _)| value.0.clone())
    }
}

/// A standard deviation from which numbers are taken away again.
#[derive(Clone, Debug, Default)]
pub(super) struct MovingDeviation {
    sum: MovingSum,
    squares: Summation,
    count: i64,
    not_finite: i64,
}

impl Moving for MovingDeviation {
    #[expect(clippy::cast_precision_loss, reason = "no count of documents comes near 2^53")]
    fn update(&mut self, number: Number, by: i64) {
        if !number.to_double().is_finite() {
            self.not_finite += by;
            self.count += by;
            return;
        }
        if self.count + by == 0 {
            *self = Self::default();
            return;
        }
        if self.count == 0 {
            self.count = 1;
            self.sum.update(number, 1);
            return;
        }
        let x = self.count as f64 * number.to_double() - self.sum.to_double();
        self.count += by;
        self.sum.update(number, by);
        let added = x * x * by as f64 / (self.count as f64 * (self.count - by) as f64);
        self.squares.add(added);
    }
}

impl MovingDeviation {
    /// The deviation of a sample, or of all there is. What the server gives of very few is given as well.
    #[expect(clippy::cast_precision_loss, reason = "no count of documents comes near 2^53")]
    pub(super) fn value(&self, is_sample: bool) -> Value<'static> {
        let count = if is_sample { self.count - 1 } else { self.count };
        if self.not_finite > 0 || count == 0 {
            return Value::Null;
        }
        let squares = self.squares.to_double();
        if squares < 0.0 || (!is_sample && self.count == 1) {
            return Value::Int32(0);
        }
        Value::Double((squares / count as f64).sqrt())
    }
}

/// A covariance from which pairs are taken away again.
#[derive(Clone, Debug, Default)]
pub(super) struct MovingCovariance {
    x: MovingSum,
    y: MovingSum,
    products: f64,
    count: i64,
    not_finite: i64,
    decimals: i64,
}

impl MovingCovariance {
    pub(super) fn update(&mut self, x: Number, y: Number, by: i64) {
        if !x.to_double().is_finite() || !y.to_double().is_finite() {
            self.not_finite += by;
            return;
        }
        if x.is_decimal() || y.is_decimal() {
            self.decimals += by;
        }
        self.count += by;
        if self.count == 0 {
            *self = Self { not_finite: self.not_finite, ..Self::default() };
            return;
        }
        if by > 0 {
            let far = x.to_double() - mean_of(&self.x);
            self.x.update(x, 1);
            self.y.update(y, 1);
            self.products += far * (y.to_double() - mean_of(&self.y));
        } else {
            self.x.update(x, -1);
            let far = x.to_double() - mean_of(&self.x);
            self.products -= far * (y.to_double() - mean_of(&self.y));
            self.y.update(y, -1);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "no count of documents comes near 2^53")]
    pub(super) fn value(&self, is_sample: bool) -> Value<'static> {
        if self.not_finite > 0 {
            return Value::Double(f64::NAN);
        }
        let count = if is_sample { self.count - 1 } else { self.count };
        if count <= 0 {
            return Value::Null;
        }
        let covariance = self.products / count as f64;
        if self.decimals > 0 {
            return Value::Decimal(Decimal::from_double(covariance));
        }
        Value::Double(covariance)
    }
}

/// The mean of numbers; 0 of none.
#[expect(clippy::cast_precision_loss, reason = "no count of documents comes near 2^53")]
fn mean_of(sum: &MovingSum) -> f64 {
    if sum.numbers() == 0 { 0.0 } else { sum.to_double() / sum.numbers() as f64 }
}

/// What a value takes besides its bytes.
const ENTRY_BYTES: usize = 64;
