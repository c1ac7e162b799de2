//! Arithmetic between two points, by expressions: types, rounding and errors are those of the operators.

use crate::expression::{Context, Scope, Slot};
use crate::{Arena, Environment, Expression, OwnedValue, Result, Value};
use bson::{RawBson, RawBsonRef, rawbson};

/// An expression of the two points `$$x1`, `$$y1` and `$$x2`, `$$y2`, and of another place `$$x`.
#[derive(Clone, Debug)]
pub(crate) struct Formula {
    expression: Expression,
    slot: Slot,
}

/// Two points, and a place between them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Points<'v> {
    pub(super) from: (Value<'v>, Value<'v>),
    pub(super) to: (Value<'v>, Value<'v>),
    pub(super) at: Value<'v>,
}

impl Formula {
    /// The slope of the line through the points, for each `unit_ms` milliseconds if they are given.
    pub(super) fn slope(unit_ms: Option<i64>) -> Result<Self> {
        let slope = rawbson!({"$divide": [{"$subtract": ["$$y2", "$$y1"]}, {"$subtract": ["$$x2", "$$x1"]}]});
        match unit_ms {
            Some(unit) => Self::parse(&rawbson!({"$multiply": [slope, unit]})),
            None => Self::parse(&slope),
        }
    }

    /// The area under the line between the points.
    pub(super) fn area() -> Result<Self> {
        Self::parse(&rawbson!({"$divide": [
            {"$multiply": [{"$subtract": ["$$x2", "$$x1"]}, {"$add": ["$$y1", "$$y2"]}]},
            2.0,
        ]}))
    }

    /// Where the line through the points is at another place.
    pub(super) fn between() -> Result<Self> {
        Self::parse(&rawbson!({"$add": ["$$y1", {"$multiply": [
            {"$subtract": ["$$x", "$$x1"]},
            {"$divide": [{"$subtract": ["$$y2", "$$y1"]}, {"$subtract": ["$$x2", "$$x1"]}]},
        ]}]}))
    }

    fn parse(written: &RawBson) -> Result<Self> {
        let environment = Environment::default();
        let outermost = Scope::new(&environment);
        let (scope, slot) = outermost.with(&["x1", "y1", "x2", "y2", "x"]);
        let written: RawBsonRef<'_> = written.as_raw_bson_ref();
        let written = OwnedValue::from(written);
        Ok(Self { expression: Expression::parse(written.get(), &scope)?, slot })
    }

    pub(super) fn value(&self, points: Points<'_>) -> Result<OwnedValue> {
        let arena = Arena::new();
        let Points { from, to, at } = points;
        let values = [from.0, from.1, to.0, to.1, at];
        let context = Context::new(&arena, Value::Missing);
        Ok(self.expression.evaluate(context.with(self.slot, &values))?.into())
    }
}
