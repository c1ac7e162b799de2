//! How a filter compares: within the bracket of a type.

use std::cmp::Ordering;

use super::predicate::Comparison;
use crate::number::Number;
use crate::order::{self, rank};
use crate::{OwnedValue, Value};

impl Comparison {
    /// Whether `value` compares so with `operand`.
    pub(super) fn holds(self, value: Value<'_>, operand: &OwnedValue) -> bool {
        match (value, operand.get()) {
            (Value::Int32(value), Value::Int32(operand)) => self.allows(value.cmp(&operand)),
            (Value::Int64(value), Value::Int64(operand)) => self.allows(value.cmp(&operand)),
            (Value::String(value), Value::String(operand)) => match self {
                Self::Equal => value == operand,
                _ => self.allows(value.cmp(operand)),
            },
            (value, Value::Null) if value.is_nullish() => self.allows(Ordering::Equal),
            (value, operand) => match (Number::of(value), Number::of(operand)) {
                (Some(value), Some(operand)) => self.holds_for_numbers(value, operand),
                _ if rank(value) == rank(operand) => self.allows(order::compare(value, operand)),
                _ => self.holds_across_types(operand),
            },
        }
    }

    /// NaN is equal to NaN, and neither less nor greater than another number.
    fn holds_for_numbers(self, value: Number, operand: Number) -> bool {
        let order = value.compare(operand);
        (order == Ordering::Equal || !(value.is_nan() || operand.is_nan())) && self.allows(order)
    }

    /// Only the ends of the order are compared with values of other types.
    fn holds_across_types(self, operand: Value<'_>) -> bool {
        match self {
            Self::Equal => false,
            Self::Less | Self::LessOrEqual => matches!(operand, Value::MaxKey),
            Self::Greater | Self::GreaterOrEqual => matches!(operand, Value::MinKey),
        }
    }

    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}
