//! The functions of windows, as they are written.

use super::bounds::{Window, window_of};
use super::interpolation::Formula;
use crate::expression::Scope;
use crate::expression::date::Unit;
use crate::number::Number;
use crate::pipeline::accumulator::Accumulation;
use crate::{Arena, Decimal, Document, Environment, Error, Expression, OwnedValue, Result, Value};

/// What an output is.
#[derive(Clone, Debug)]
pub(crate) enum Function {
    /// An accumulator over a window.
    Accumulate(Accumulation, Window),
    /// `$rank`, `$denseRank`, `$documentNumber`
    Place(Counting),
    /// `$shift`
    Shift { output: Expression, by: i64, default: OwnedValue },
    /// `$expMovingAvg`
    MovingAverage { input: Expression, alpha: Decimal },
    /// `$derivative`
    Derivative { input: Expression, unit_ms: Option<i64>, slope: Formula, window: Window },
    /// `$integral`
    Integral { input: Expression, unit_ms: Option<i64>, area: Formula, window: Window },
    /// `$covariancePop`, `$covarianceSamp`
    Covariance { pair: Expression, is_sample: bool, window: Window },
    /// `$linearFill`
    LinearFill(Expression, Formula),
    /// `$locf`
    LastFill(Expression),
}

/// How places are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Equal documents share the first place of them all.
    Rank,
    /// Equal documents share a place, and the next has the next.
    DenseRank,
    /// Each has its own.
    Number,
}

/// What is known of the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// How many fields the documents are sorted by.
    pub(super) fields: usize,
    /// Whether it is one, and rises.
    pub(super) ascending: bool,
}

impl Function {
    pub(super) fn parse(
        field: &str,
        value: Value<'_>,
        order: Order,
        environment: &Environment,
    ) -> Result<Self> {
        let Value::Document(spec) = value else {
            let message = format!("the output '{field}' of $setWindowFields is an object");
            return Err(Error::failed_to_parse(message));
        };
        let mut function = None;
        for (name, argument) in spec {
            match name {
                "window" => {}
                _ if name.starts_with('$') => {
                    if function.replace((name, argument)).is_some() {
                        let message = format!("'{field}' has two window functions");
                        return Err(Error::failed_to_parse(message));
                    }
                }
                _ if function.is_none() => {
                    let message = format!("'{name}' is no window function: they begin with '$'");
                    return Err(Error::failed_to_parse(message));
                }
                _ => {
                    let message = format!("a window function has no argument '{name}'");
                    return Err(Error::failed_to_parse(message));
                }
            }
        }
        let Some((name, argument)) = function else {
            return Err(Error::failed_to_parse(format!("'{field}' has no window function")));
        };
        Call { name, argument, spec, order, environment }.parse(field)
    }
}

/// A function as it is called.
#[derive(Clone, Copy)]
struct Call<'c> {
    name: &'c str,
    argument: Value<'c>,
    spec: Document<'c>,
    order: Order,
    environment: &'c Environment,
}

impl Call<'_> {
    fn parse(self, field: &str) -> Result<Function> {
        match self.name {
            "$rank" => self.place(Counting::Rank),
            "$denseRank" => self.place(Counting::DenseRank),
            "$documentNumber" => self.place(Counting::Number),
            "$shift" => self.shift(),
            "$expMovingAvg" => self.moving_average(),
            "$derivative" => self.derivative(),
            "$integral" => self.integral(),
            "$covariancePop" | "$covarianceSamp" => {
                let window = self.window()?;
                let is_sample = self.name == "$covarianceSamp";
                Ok(Function::Covariance {
                    pair: self.expression(self.argument)?,
                    is_sample,
                    window,
                })
            }
            "$linearFill" => {
                self.refuse_window()?;
                if self.order.fields != 1 {
                    return Err(Error::location(
                        605_001,
                        "$linearFill needs a sortBy of one field",
                    ));
                }
                Ok(Function::LinearFill(self.expression(self.argument)?, Formula::between()?))
            }
            "$locf" => {
                self.refuse_window()?;
                Ok(Function::LastFill(self.expression(self.argument)?))
            }
            name if ACCUMULATORS.contains(&name) => self.accumulate(field),
            name => Err(wrong(&format!("{name} is no window function"))),
        }
    }

    fn expression(self, value: Value<'_>) -> Result<Expression> {
        Expression::parse(value, &Scope::new(self.environment))
    }

    fn window(self) -> Result<Window> {
        Ok(window_of(self.spec, self.order)?.unwrap_or(Window::ALL))
    }

    fn refuse_window(self) -> Result<()> {
        if self.spec.get("window").is_missing() {
            return Ok(());
        }
        Err(wrong(&format!("{} takes no window", self.name)))
    }

    fn accumulate(self, field: &str) -> Result<Function> {
        let window = self.window()?;
        // What stands in an array is computed as one value here.
        if let Value::Array(_) = self.argument {
            let arena = Arena::new();
            let values = arena.document(&[("$concatArrays", arena.array(&[self.argument])?)])?;
            let spec = arena.document(&[(self.name, values)])?;
            let accumulation = Accumulation::parse("_", spec, self.environment)?;
            return Ok(Function::Accumulate(accumulation, window));
        }
        let arena = Arena::new();
        let spec = arena.document(&[(self.name, self.argument)])?;
        let name = if field.contains('.') { "_" } else { field };
        Ok(Function::Accumulate(Accumulation::parse(name, spec, self.environment)?, window))
    }

    fn place(self, counting: Counting) -> Result<Function> {
        if !matches!(self.argument, Value::Document(argument) if argument.is_empty()) {
            let message = format!("{} takes an empty object", self.name);
            return Err(Error::location(5_371_603, message));
        }
        if self.spec.len() != 1 {
            let message = format!("{} takes no window", self.name);
            return Err(Error::location(5_371_601, message));
        }
        if self.order.fields != 1 {
            let message = format!("{} needs a sortBy of one field", self.name);
            return Err(Error::location(5_371_602, message));
        }
        Ok(Function::Place(counting))
    }

    fn shift(self) -> Result<Function> {
        let Value::Document(spec) = self.argument else {
            return Err(wrong("$shift takes an object"));
        };
        self.refuse_window()?;
        if self.order.fields == 0 {
            return Err(wrong("$shift needs a sortBy"));
        }
        let (mut output, mut by, mut default) = (None, None, None);
        for (name, value) in spec {
            match name {
                "output" => output = Some(self.expression(value)?),
                "by" => {
                    let distance = Number::of(value).and_then(Number::as_exact_i64);
                    let distance = distance.and_then(|by| i32::try_from(by).ok());
                    by = Some(distance.ok_or_else(|| wrong("'by' of $shift is a whole number"))?);
                }
                "default" => {
                    let expression = self.expression(value)?;
                    let constant = expression.constant().map(OwnedValue::from);
                    default = Some(
                        constant.ok_or_else(|| wrong("'default' of $shift must be constant"))?,
                    );
                }
                _ => return Err(wrong("$shift takes output, by, default")),
            }
        }
        let by = by.ok_or_else(|| wrong("$shift needs 'by', a whole number"))?;
        let output = output.ok_or_else(|| wrong("$shift needs an 'output'"))?;
        let default = default.unwrap_or_else(|| Value::Null.into());
        Ok(Function::Shift { output, by: i64::from(by), default })
    }

    fn moving_average(self) -> Result<Function> {
        let Value::Document(spec) = self.argument else {
            return Err(wrong("$expMovingAvg takes an object"));
        };
        self.refuse_window()?;
        if self.order.fields == 0 {
            return Err(wrong("$expMovingAvg needs a sortBy"));
        }
        let (input, n, alpha) = (spec.get("input"), spec.get("N"), spec.get("alpha"));
        let alpha = match (spec.len(), input.is_missing(), n.is_missing(), alpha.is_missing()) {
            (2, false, false, true) => {
                let n = Number::of(n).and_then(Number::as_exact_i64).filter(|n| *n > 0);
                let n = n.ok_or_else(|| wrong("'N' is a whole number greater than 0"))?;
                Decimal::from(2_i64).divide(Decimal::from(n.saturating_add(1)))
            }
            (2, false, true, false) => {
                let number = Number::of(alpha).ok_or_else(|| wrong("'alpha' is a number"))?;
                if number.to_double() <= 0.0 || number.to_double() >= 1.0 {
                    return Err(wrong("'alpha' lies between 0 and 1"));
                }
                match number {
                    Number::Double(alpha) => Decimal::from_double(alpha),
                    alpha => alpha.to_decimal(),
                }
            }
            _ => return Err(wrong("$expMovingAvg takes 'input', and either 'N' or 'alpha'")),
        };
        Ok(Function::MovingAverage { input: self.expression(input)?, alpha })
    }

    fn derivative(self) -> Result<Function> {
        let (input, unit_ms) = self.points()?;
        let Some(window) = window_of(self.spec, self.order)? else {
            return Err(wrong("$derivative needs a window"));
        };
        Ok(Function::Derivative { input, unit_ms, slope: Formula::slope(unit_ms)?, window })
    }

    fn integral(self) -> Result<Function> {
        let (input, unit_ms) = self.points()?;
        Ok(Function::Integral { input, unit_ms, area: Formula::area()?, window: self.window()? })
    }

    /// The input of a function of points, and how many milliseconds its unit has.
    fn points(self) -> Result<(Expression, Option<i64>)> {
        let Value::Document(spec) = self.argument else {
            return Err(wrong(&format!("{} takes an object", self.name)));
        };
        if self.order.fields != 1 {
            return Err(wrong(&format!("{} needs a sortBy of one field", self.name)));
        }
        let (mut input, mut unit_ms) = (None, None);
        for (name, value) in spec {
            match name {
                "input" => input = Some(self.expression(value)?),
                "unit" => {
                    let unit = Unit::named(value, self.name)?;
                    unit_ms = Some(unit.milliseconds().ok_or_else(|| {
                        Error::location(5_490_710, "unit must be 'week' or smaller")
                    })?);
                }
                _ => return Err(wrong(&format!("{} takes input, unit", self.name))),
            }
        }
        let input = input.ok_or_else(|| wrong(&format!("{} needs an 'input'", self.name)))?;
        Ok((input, unit_ms))
    }
}

fn wrong(what: &str) -> Error {
    Error::failed_to_parse(what)
}

/// The accumulators that are window functions too.
const ACCUMULATORS: [&str; 19] = [
    "$addToSet",
    "$avg",
    "$bottom",
    "$bottomN",
    "$count",
    "$first",
    "$firstN",
    "$last",
    "$lastN",
    "$max",
    "$maxN",
    "$min",
    "$minN",
    "$push",
    "$stdDevPop",
    "$stdDevSamp",
    "$sum",
    "$top",
    "$topN",
];
