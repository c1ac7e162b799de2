//! Modifiers: what an operator does to the one value at the end of a path.

use std::cmp::Ordering;

use super::add_to_set::AddToSet;
use super::arithmetic::{Arithmetic, Bitwise, Integer, identical};
use super::change::{Change, Edit};
use super::pull::Pull;
use super::push::Push;
use super::rename::Rename;
use super::site::Site;
use super::storage::depth_of;
use crate::number::Number;
use crate::order::compare;
use crate::path::Path;
use crate::raw::Element;
use crate::write::kind_of;
use crate::{Arena, Environment, Error, OwnedValue, Result, Value, Writer};

/// What is done to the value at the end of a path.
#[derive(Clone, Debug)]
pub(super) struct Modifier {
    pub(super) action: Action,
    /// How many levels the values of the operand add below the place they come to.
    pub(super) depth: usize,
    /// How many values the operand has.
    pub(super) values: usize,
}

/// What an operator does.
#[derive(Clone, Debug)]
pub(super) enum Action {
    /// `$set`
    Set(OwnedValue),
    /// `$setOnInsert`
    SetOnInsert(OwnedValue),
    /// `$unset`
    Unset,
    /// `$inc` and `$mul`
    Arithmetic(Arithmetic, Number),
    /// `$min` and `$max`: the operand replaces what is greater, or less
    Replace(Ordering, OwnedValue),
    /// `$currentDate`
    CurrentDate(Moment),
    /// `$bit`
    Bit(Box<[(Bitwise, Integer)]>),
    /// `$rename`, at the new path
    Rename(Rename),
    /// `$rename`, at the old path
    RenameSource,
    /// `$push`
    Push(Push),
    /// `$addToSet`
    AddToSet(AddToSet),
    /// `$pop`
    Pop(End),
    /// `$pull` and `$pullAll`
    Pull(Pull),
}

/// The current time in one of its two types.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    Date(i64),
    Timestamp(u64),
}

/// An end of an array.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    First,
    Last,
}

/// What a value stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parent {
    Document,
    Array,
}

/// The operators of updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    AddToSet,
    Bit,
    CurrentDate,
    Inc,
    Max,
    Min,
    Mul,
    Pop,
    Pull,
    PullAll,
    Push,
    Rename,
    Set,
    SetOnInsert,
    Unset,
}

impl Operator {
    /// The operator with this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "$addToSet" => Self::AddToSet,
            "$bit" => Self::Bit,
            "$currentDate" => Self::CurrentDate,
            "$inc" => Self::Inc,
            "$max" => Self::Max,
            "$min" => Self::Min,
            "$mul" => Self::Mul,
            "$pop" => Self::Pop,
            "$pull" => Self::Pull,
            "$pullAll" => Self::PullAll,
            "$push" => Self::Push,
            "$rename" => Self::Rename,
            "$set" => Self::Set,
            "$setOnInsert" => Self::SetOnInsert,
            "$unset" => Self::Unset,
            _ => return None,
        })
    }
}

impl Modifier {
    /// Parses what `operator` does with `operand` at `path`. For `$rename` that is what it does at the old path.
    ///
    /// # Errors
    ///
    /// The operator does not take such an operand.
    pub(super) fn parse(
        operator: Operator,
        path: &Path,
        operand: Value<'_>,
        environment: &Environment,
    ) -> Result<Self> {
        let action = match operator {
            Operator::Set => Action::Set(operand.into()),
            Operator::SetOnInsert => Action::SetOnInsert(operand.into()),
            Operator::Unset => Action::Unset,
            Operator::Min => Action::Replace(Ordering::Greater, operand.into()),
            Operator::Max => Action::Replace(Ordering::Less, operand.into()),
            Operator::Inc => arithmetic(Arithmetic::Add, path, operand)?,
            Operator::Mul => arithmetic(Arithmetic::Multiply, path, operand)?,
            Operator::CurrentDate => current_date(path, operand, environment.now_ms())?,
            Operator::Bit => bit(path, operand)?,
            Operator::Rename => Action::RenameSource,
            Operator::Push => Action::Push(Push::parse(path, operand)?),
            Operator::AddToSet => Action::AddToSet(AddToSet::parse(path, operand)?),
            Operator::Pop => Action::Pop(pop(path, operand)?),
            Operator::Pull => Action::Pull(Pull::parse(operand, environment)?),
            Operator::PullAll => Action::Pull(Pull::parse_all(path, operand)?),
        };
        let depth = match &action {
            Action::Set(value) | Action::SetOnInsert(value) | Action::Replace(_, value) => {
                depth_of(value.get())
            }
            Action::Push(push) => 1 + push.depth(),
            Action::AddToSet(add) => 1 + add.depth(),
            _ => 0,
        };
        let values = match &action {
            Action::Push(push) => push.values().len(),
            Action::AddToSet(add) => add.values().len(),
            Action::Pull(pull) => pull.values(),
            _ => 1,
        };
        Ok(Self { action, depth, values })
    }

    /// The modifier of a rename for the new path.
    pub(super) fn rename(rename: Rename) -> Self {
        Self { action: Action::Rename(rename), depth: 0, values: 1 }
    }
}

impl Action {
    /// What becomes of `element`, a field or, as `parent` says, an item.
    ///
    /// # Errors
    ///
    /// The operator does not apply to such a value.
    pub(super) fn update<'a>(
        &'a self,
        element: &Element<'a>,
        parent: Parent,
        site: Site<'_, 'a>,
    ) -> Result<Change<'a>> {
        let value = element.value();
        match self {
            Self::Set(operand) | Self::SetOnInsert(operand) => {
                Ok(if same_bytes(value, operand.get()) {
                    Change::Keep
                } else {
                    Change::Set(operand.get())
                })
            }
            Self::Unset => Ok(match parent {
                Parent::Document => Change::Remove,
                // The items behind it keep their places.
                Parent::Array => Change::Set(Value::Null),
            }),
            Self::RenameSource => Ok(Change::Remove),
            Self::Arithmetic(arithmetic, operand) => calculate(*arithmetic, value, *operand, site),
            Self::Replace(replaceable, operand) => {
                let replaced = compare(value, operand.get()) == *replaceable;
                Ok(if replaced { Change::Set(operand.get()) } else { Change::Keep })
            }
            Self::CurrentDate(moment) => Ok(Change::Set(moment.value())),
            Self::Bit(operations) => {
                let before = Integer::of(Number::of(value)).ok_or_else(|| {
                    Error::bad_value(format!(
                        "$bit applies to integers of 32 or 64 bits; '{site}' has the type {}",
                        value.type_name()
                    ))
                })?;
                let after = combine(operations, before);
                Ok(if after == before {
                    Change::Keep
                } else {
                    Change::Set(Number::from(after).into())
                })
            }
            Self::Push(push) => push.update(value, site),
            Self::AddToSet(add) => add.update(value, site),
            Self::Pop(end) => remove_end(*end, value, site),
            Self::Pull(pull) => pull.update(value, site),
            Self::Rename(_) => unreachable!("a rename is carried out where the document is known"),
        }
    }

    /// The value of a field that was not there; `None` if the operator creates none.
    ///
    /// # Errors
    ///
    /// The value would be nested too deeply.
    pub(super) fn create<'a>(&'a self, arena: &'a Arena) -> Result<Option<Value<'a>>> {
        Ok(Some(match self {
            Self::Set(operand) | Self::SetOnInsert(operand) | Self::Replace(_, operand) => {
                operand.get()
            }
            Self::Arithmetic(Arithmetic::Add, operand) => (*operand).into(),
            Self::Arithmetic(Arithmetic::Multiply, operand) => {
                // The zero of the operand's type.
                let product = Arithmetic::Multiply.apply(*operand, Number::Int32(0));
                product.map_or(Value::Missing, Value::from)
            }
            Self::CurrentDate(moment) => moment.value(),
            Self::Bit(operations) => Number::from(combine(operations, Integer::Int32(0))).into(),
            Self::Push(push) => push.create(arena)?,
            Self::AddToSet(add) => add.create(arena)?,
            Self::Unset | Self::RenameSource | Self::Rename(_) | Self::Pop(_) | Self::Pull(_) => {
                return Ok(None);
            }
        }))
    }

    /// Whether it has put items into a new array `value`.
    pub(super) fn adds_items(&self, value: Value<'_>) -> bool {
        matches!(self, Self::Push(_) | Self::AddToSet(_))
            && value.as_array().is_some_and(|array| !array.is_empty())
    }

    /// Whether a path that leads through a value without fields is an error, for an operator that creates nothing.
    pub(super) fn needs_viable_path(&self) -> bool {
        matches!(self, Self::Pop(_) | Self::Pull(_))
    }
}

impl Moment {
    fn value<'a>(self) -> Value<'a> {
        match self {
            Self::Date(milliseconds) => Value::DateTime(milliseconds),
            Self::Timestamp(stamp) => Value::Timestamp(stamp),
        }
    }
}

/// Whether two values are the same to the last byte.
fn same_bytes(a: Value<'_>, b: Value<'_>) -> bool {
    let bytes = |value| {
        let mut writer = Writer::new();
        writer.field("", value);
        writer.finish()
    };
    match (a, b) {
        (Value::Document(a), Value::Document(b)) => a.raw_bytes() == b.raw_bytes(),
        (Value::Array(a), Value::Array(b)) => a.raw_bytes() == b.raw_bytes(),
        (Value::String(a), Value::String(b)) => a == b,
        (Value::Int32(a), Value::Int32(b)) => a == b,
        (Value::DateTime(a), Value::DateTime(b)) => a == b,
        (a, b) => kind_of(a) == kind_of(b) && bytes(a) == bytes(b),
    }
}

/// The timestamp of the moment `now_ms`: its seconds, and 1 for the first in them.
pub(super) fn timestamp_at(now_ms: i64) -> u64 {
    let seconds = u32::try_from(now_ms.div_euclid(1000)).unwrap_or_default();
    u64::from(seconds) << 32 | 1
}

fn arithmetic(arithmetic: Arithmetic, path: &Path, operand: Value<'_>) -> Result<Action> {
    let operand = Number::of(operand).ok_or_else(|| {
        Error::type_mismatch(format!(
            "{} takes a number; for '{path}' it was given the type {}",
            arithmetic.name(),
            operand.type_name()
        ))
    })?;
    Ok(Action::Arithmetic(arithmetic, operand))
}

fn calculate<'a>(
    arithmetic: Arithmetic,
    value: Value<'a>,
    operand: Number,
    site: Site<'_, 'a>,
) -> Result<Change<'a>> {
    let before = Number::of(value).ok_or_else(|| {
        Error::type_mismatch(format!(
            "{} applies to numbers; '{site}' has the type {}",
            arithmetic.name(),
            value.type_name()
        ))
    })?;
    let after = arithmetic.apply(operand, before).ok_or_else(|| {
        Error::bad_value(format!(
            "{} of '{site}' has a result that 64 bits do not hold: {before:?} and {operand:?}",
            arithmetic.name()
        ))
    })?;
    Ok(if identical(before, after) { Change::Keep } else { Change::Set(after.into()) })
}

fn current_date(path: &Path, operand: Value<'_>, now_ms: i64) -> Result<Action> {
    let date = Moment::Date(now_ms);
    let moment = match operand {
        Value::Bool(_) => Some(date),
        Value::Document(options) => {
            let mut moment = None;
            for (name, value) in options {
                if name != "$type" {
                    return Err(Error::bad_value(format!(
                        "$currentDate of '{path}' has the option '{name}'; the only one is $type"
                    )));
                }
                match value.as_str() {
                    Some("date") => moment = Some(date),
                    Some("timestamp") => moment = Some(Moment::Timestamp(timestamp_at(now_ms))),
                    _ => {}
                }
            }
            moment
        }
        _ => None,
    };
    moment.map(Action::CurrentDate).ok_or_else(|| {
        Error::bad_value(format!(
            "$currentDate takes true, {{$type: 'date'}} or {{$type: 'timestamp'}}; for '{path}' it was given {operand:?}"
        ))
    })
}

fn bit(path: &Path, operand: Value<'_>) -> Result<Action> {
    let operations = operand.as_document().ok_or_else(|| {
        Error::bad_value(format!(
            "$bit takes a document like {{and: 5}}; for '{path}' it was given the type {}",
            operand.type_name()
        ))
    })?;
    let mut parsed = Vec::new();
    for (name, value) in operations {
        let operation = Bitwise::named(name).ok_or_else(|| {
            Error::bad_value(format!("$bit of '{path}' knows 'and', 'or' and 'xor', not '{name}'"))
        })?;
        let integer = Integer::of(Number::of(value)).ok_or_else(|| {
            Error::bad_value(format!(
                "$bit of '{path}' takes integers of 32 or 64 bits; '{name}' was given the type {}",
                value.type_name()
            ))
        })?;
        parsed.push((operation, integer));
    }
    if parsed.is_empty() {
        return Err(Error::bad_value(format!(
            "$bit of '{path}' has no operation; it needs 'and', 'or' or 'xor'"
        )));
    }
    Ok(Action::Bit(parsed.into()))
}

fn combine(operations: &[(Bitwise, Integer)], start: Integer) -> Integer {
    operations.iter().fold(start, |value, (operation, operand)| operation.apply(value, *operand))
}

fn pop(path: &Path, operand: Value<'_>) -> Result<End> {
    match Number::of(operand).and_then(Number::as_exact_i64) {
        Some(1) => Ok(End::Last),
        Some(-1) => Ok(End::First),
        _ => Err(Error::failed_to_parse(format!(
            "$pop takes 1 (the last item) or -1 (the first); for '{path}' it was given {operand:?}"
        ))),
    }
}

fn remove_end<'a>(end: End, value: Value<'a>, site: Site<'_, 'a>) -> Result<Change<'a>> {
    let array = value.as_array().ok_or_else(|| {
        Error::type_mismatch(format!(
            "$pop applies to arrays; '{site}' has the type {}",
            value.type_name()
        ))
    })?;
    let mut edit = Edit::default();
    match (end, array.len()) {
        (_, 0) => {}
        (End::First, _) => edit.change(0, Change::Remove),
        (End::Last, length) => edit.change(length - 1, Change::Remove),
    }
    Ok(edit.into_change())
}
