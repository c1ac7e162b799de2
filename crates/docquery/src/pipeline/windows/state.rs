//! What a function keeps from one document of a partition to the next.

use std::cmp::Ordering;
use std::ops::Range;

use super::bounds::Window;
use super::function::{Counting, Function};
use super::interpolation::{Formula, Points};
use super::moving::{Moving, MovingCovariance, MovingDeviation, MovingOrder, MovingSum};
use super::partition::Partition;
use super::points::{check_place, derivative, point};
use crate::number::Number;
use crate::pipeline::accumulator::{Accumulation, Accumulator, Simple};
use crate::pipeline::engine::Engine;
use crate::{
    Arena, Decimal, Document, Error, Expression, OwnedValue, Result, Value, Writer, order,
};

/// What one output keeps.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The documents that counted for the one before.
    window: Range<usize>,
    kept: Kept,
    /// How many bytes an accumulator takes that is kept.
    bytes: usize,
}

/// What is kept of the window.
#[derive(Debug, Default)]
enum Kept {
    #[default]
    Nothing,
    Accumulator(Accumulator),
    Sum(MovingSum),
    Order(MovingOrder),
    Deviation(MovingDeviation),
    Covariance(MovingCovariance),
    /// The place of the document before.
    Place(i64),
    /// The last value that counts.
    Value(OwnedValue),
    /// An average, and whether a decimal has come.
    Average(Decimal, bool),
    /// The next document with a value, and whether there is one.
    Next(Option<(usize, OwnedValue)>, Option<(usize, OwnedValue)>),
}

impl State {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        match &self.kept {
            Kept::Order(values) => values.bytes(),
            _ => self.bytes,
        }
    }

    /// The value of `function` for the document at `index`; documents are gone through in order.
    pub(super) fn step(
        &mut self,
        function: &Function,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        match function {
            Function::Accumulate(accumulation, window) => {
                self.accumulate(accumulation, *window, partition, index)
            }
            Function::Place(counting) => self.place(*counting, partition, index),
            Function::Shift { output, by, default } => {
                let place = i64::try_from(index).ok().and_then(|index| index.checked_add(*by));
                let place = place.and_then(|place| usize::try_from(place).ok());
                match place.filter(|place| *place < partition.len()) {
                    Some(place) => Ok(or_null(partition.value(output, place)?)),
                    None => Ok(default.clone()),
                }
            }
            Function::MovingAverage { input, alpha } => {
                Ok(self.moving_average(&partition.value(input, index)?, *alpha))
            }
            Function::Derivative { input, unit_ms, slope, window } => {
                self.window = window.at(index, &self.window, partition)?;
                derivative(input, *unit_ms, slope, self.window.clone(), partition)
            }
            Function::Integral { input, unit_ms, area, window } => {
                self.integral((input, *unit_ms, area), *window, partition, index)
            }
            Function::Covariance { pair, is_sample, window } => {
                let mut covariance = match std::mem::take(&mut self.kept) {
                    Kept::Covariance(covariance) => covariance,
                    _ => MovingCovariance::default(),
                };
                self.slide(*window, partition, index, |index, by| {
                    if let Some((x, y)) = numbers(&partition.value(pair, index)?) {
                        covariance.update(x, y, by);
                    }
                    Ok(())
                })?;
                let value = covariance.value(*is_sample).into();
                self.kept = Kept::Covariance(covariance);
                Ok(value)
            }
            Function::LinearFill(input, between) => {
                self.linear_fill(input, between, partition, index)
            }
            Function::LastFill(input) => {
                let value = partition.value(input, index)?;
                if !value.get().is_nullish() {
                    self.kept = Kept::Value(value);
                }
                Ok(match &self.kept {
                    Kept::Value(value) => value.clone(),
                    _ => Value::Null.into(),
                })
            }
        }
    }

    /// Moves the window on: calls `change` for what comes in, with 1, and for what goes, with -1.
    fn slide(
        &mut self,
        window: Window,
        partition: &Partition,
        index: usize,
        mut change: impl FnMut(usize, i64) -> Result<()>,
    ) -> Result<()> {
        let next = window.at(index, &self.window, partition)?;
        let before = std::mem::replace(&mut self.window, next.clone());
        for gone in before.start..next.start.min(before.end) {
            change(gone, -1)?;
        }
        for new in next.start.max(before.end)..next.end {
            change(new, 1)?;
        }
        Ok(())
    }

    /// Moves the window on, where the numbers in it are what is asked for.
    fn slide_numbers(
        &mut self,
        numbers: &mut impl Moving,
        input: &Expression,
        window: Window,
        partition: &Partition,
        index: usize,
    ) -> Result<()> {
        self.slide(window, partition, index, |index, by| {
            if let Some(number) = Number::of(partition.value(input, index)?.get()) {
                numbers.update(number, by);
            }
            Ok(())
        })
    }

    fn accumulate(
        &mut self,
        accumulation: &Accumulation,
        window: Window,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        if window.begins_at_first() {
            return self.accumulate_on(accumulation, window, partition, index);
        }
        let Accumulation::Simple(simple, input) = accumulation else {
            if let Accumulation::Count = accumulation {
                self.window = window.at(index, &self.window, partition)?;
                let count = i32::try_from(self.window.len()).unwrap_or(i32::MAX);
                return Ok(Value::Int32(count).into());
            }
            return self.accumulate_anew(accumulation, window, partition, index);
        };
        match simple {
            Simple::Sum | Simple::Avg => {
                let mut sum = match std::mem::take(&mut self.kept) {
                    Kept::Sum(sum) => sum,
                    _ => MovingSum::default(),
                };
                self.slide_numbers(&mut sum, input, window, partition, index)?;
                let value = if *simple == Simple::Sum { sum.value() } else { sum.mean() };
                self.kept = Kept::Sum(sum);
                Ok(value.into())
            }
            Simple::Min | Simple::Max => {
                let mut values = match std::mem::take(&mut self.kept) {
                    Kept::Order(values) => values,
                    _ => MovingOrder::default(),
                };
                self.slide(window, partition, index, |index, by| {
                    values.update(partition.value(input, index)?, index, by);
                    Ok(())
                })?;
                let value = if *simple == Simple::Min { values.least() } else { values.greatest() };
                self.kept = Kept::Order(values);
                Ok(value)
            }
            Simple::StdDevPop | Simple::StdDevSamp => {
                let mut deviation = match std::mem::take(&mut self.kept) {
                    Kept::Deviation(deviation) => deviation,
                    _ => MovingDeviation::default(),
                };
                self.slide_numbers(&mut deviation, input, window, partition, index)?;
                let value = deviation.value(*simple == Simple::StdDevSamp).into();
                self.kept = Kept::Deviation(deviation);
                Ok(value)
            }
            Simple::First | Simple::Last => {
                self.window = window.at(index, &self.window, partition)?;
                let place = match simple {
                    _ if self.window.is_empty() => return Ok(Value::Null.into()),
                    Simple::First => self.window.start,
                    _ => self.window.end - 1,
                };
                Ok(or_null(partition.value(input, place)?))
            }
            Simple::Push | Simple::AddToSet | Simple::MergeObjects => {
                self.accumulate_anew(accumulation, window, partition, index)
            }
        }
    }

    /// Accumulates what the window has more than before: nothing ever leaves it.
    fn accumulate_on(
        &mut self,
        accumulation: &Accumulation,
        window: Window,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        let mut arena = Arena::new();
        let mut accumulator = match std::mem::take(&mut self.kept) {
            Kept::Accumulator(accumulator) => accumulator,
            _ => accumulation.start(Engine::Classic, Value::Missing, &arena)?,
        };
        let mut bytes = 0;
        self.slide(window, partition, index, |index, _| {
            arena.reset();
            let document = partition.document(index)?;
            bytes += accumulation.add(&mut accumulator, Document::from(&*document), &arena)?;
            Ok(())
        })?;
        self.bytes += bytes;
        let value = value_of(&accumulator);
        self.kept = Kept::Accumulator(accumulator);
        value
    }

    /// Accumulates the whole window.
    fn accumulate_anew(
        &mut self,
        accumulation: &Accumulation,
        window: Window,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        self.window = window.at(index, &self.window, partition)?;
        let mut arena = Arena::new();
        let mut accumulator = accumulation.start(Engine::Classic, Value::Missing, &arena)?;
        for index in self.window.clone() {
            arena.reset();
            let document = partition.document(index)?;
            accumulation.add(&mut accumulator, Document::from(&*document), &arena)?;
        }
        value_of(&accumulator)
    }

    fn place(
        &mut self,
        counting: Counting,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        let number = i64::try_from(index).unwrap_or(i64::MAX) + 1;
        let before = match self.kept {
            Kept::Place(place) => place,
            _ => 0,
        };
        let is_equal = index > 0 && {
            let (one, other) = (partition.sorted_by(index - 1)?, partition.sorted_by(index)?);
            order::compare(one.get(), other.get()) == Ordering::Equal
        };
        let place = match counting {
            Counting::Rank | Counting::DenseRank if is_equal => before,
            Counting::DenseRank => before + 1,
            Counting::Rank | Counting::Number => number,
        };
        self.kept = Kept::Place(place);
        Ok(i32::try_from(place).map_or(Value::Int64(place), Value::Int32).into())
    }

    /// The average is computed with decimals, as the server's is, and given as a double while no decimal has come.
    fn moving_average(&mut self, value: &OwnedValue, alpha: Decimal) -> OwnedValue {
        let (mut average, mut is_decimal) = match self.kept {
            Kept::Average(average, is_decimal) => (Some(average), is_decimal),
            _ => (None, false),
        };
        if let Some(number) = Number::of(value.get()) {
            is_decimal |= number.is_decimal();
            let new = match number {
                Number::Double(number) => Decimal::from_double(number),
                number => number.to_decimal(),
            };
            average = Some(match average {
                None => new,
                Some(old) => {
                    let rest = Decimal::from(1_i64).subtract(alpha);
                    new.multiply(alpha).add(old.multiply(rest))
                }
            });
        }
        let Some(average) = average else { return Value::Null.into() };
        self.kept = Kept::Average(average, is_decimal);
        if is_decimal { Value::Decimal(average) } else { Value::Double(average.to_double()) }.into()
    }

    fn integral(
        &mut self,
        (input, unit_ms, area): (&Expression, Option<i64>, &Formula),
        window: Window,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        let mut sum = match std::mem::take(&mut self.kept) {
            Kept::Sum(sum) => sum,
            _ => MovingSum::default(),
        };
        let before = self.window.clone();
        let next = window.at(index, &before, partition)?;
        self.window = next.clone();
        let mut change = |end: usize, by: i64| -> Result<()> {
            let from = point(partition, input, end - 1, unit_ms)?;
            let to = point(partition, input, end, unit_ms)?;
            let points = Points {
                from: (from.0.get(), from.1.get()),
                to: (to.0.get(), to.1.get()),
                at: Value::Missing,
            };
            if let Some(number) = Number::of(area.value(points)?.get()) {
                sum.update(number, by);
            }
            Ok(())
        };
        // Each pair of neighbours that are both in the window counts, under the second of them.
        let segments = |window: &Range<usize>| window.start + 1..window.end.max(window.start + 1);
        let (old, new) = (segments(&before), segments(&next));
        for gone in old.start..new.start.min(old.end) {
            change(gone, -1)?;
        }
        for end in new.start.max(old.end)..new.end {
            change(end, 1)?;
        }
        if next.len() == 1 {
            point(partition, input, next.start, unit_ms)?;
        }
        let value = match (sum.value(), unit_ms) {
            _ if next.is_empty() => Value::Null,
            (value, None) => value,
            (Value::Decimal(sum), Some(unit)) => Value::Decimal(sum.divide(unit.into())),
            (_, Some(unit)) => Value::Double(sum.to_double() / Number::Int64(unit).to_double()),
        };
        self.kept = Kept::Sum(sum);
        Ok(value.into())
    }

    fn linear_fill(
        &mut self,
        input: &Expression,
        between: &Formula,
        partition: &Partition,
        index: usize,
    ) -> Result<OwnedValue> {
        let (mut last, mut next) = match std::mem::take(&mut self.kept) {
            Kept::Next(last, next) => (last, next),
            _ => (None, None),
        };
        check_place(partition, index)?;
        let value = partition.value(input, index)?;
        let filled = if value.get().is_nullish() {
            if next.as_ref().is_none_or(|(place, _)| *place < index) && last.is_some() {
                next = None;
                for place in index + 1..partition.len() {
                    let value = partition.value(input, place)?;
                    if !value.get().is_nullish() {
                        next = Some((place, value));
                        break;
                    }
                }
                // Nothing comes behind: it is not looked for again.
                next = next.or_else(|| Some((usize::MAX, Value::Null.into())));
            }
            match (&last, &next) {
                (Some((from, y1)), Some((to, y2))) if *to < partition.len() => {
                    let (x1, x2) = (partition.sorted_by(*from)?, partition.sorted_by(*to)?);
                    between.value(Points {
                        from: (x1.get(), y1.get()),
                        to: (x2.get(), y2.get()),
                        at: partition.sorted_by(index)?.get(),
                    })?
                }
                _ => Value::Null.into(),
            }
        } else {
            if Number::of(value.get()).is_none() {
                return Err(Error::type_mismatch(format!(
                    "$linearFill fills numbers, not {}",
                    value.get().type_name()
                )));
            }
            last = Some((index, value.clone()));
            value
        };
        self.kept = Kept::Next(last, next);
        Ok(filled)
    }
}

/// The two numbers of a pair.
fn numbers(pair: &OwnedValue) -> Option<(Number, Number)> {
    let pair = pair.get().as_array()?;
    if pair.len() != 2 {
        return None;
    }
    Some((Number::of(pair.get(0))?, Number::of(pair.get(1))?))
}

/// What was accumulated.
fn value_of(accumulator: &Accumulator) -> Result<OwnedValue> {
    let mut writer = Writer::new();
    accumulator.write("v", &mut writer)?;
    let written = crate::pipeline::buffer(writer)?;
    Ok(Document::from(&*written).get("v").into())
}

fn or_null(value: OwnedValue) -> OwnedValue {
    if value.get().is_missing() { Value::Null.into() } else { value }
}
