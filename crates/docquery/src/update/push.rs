//! `$push`, with `$each`, `$position`, `$sort` and `$slice`.

use std::cmp::Ordering;

use super::change::{Added, Change, Edit};
use super::site::Site;
use super::storage::depth_of;
use crate::number::Number;
use crate::order::compare;
use crate::path::Path;
use crate::{Arena, Array, Error, OwnedValue, Result, Value};

/// What is pushed into an array, and where.
#[derive(Clone, Debug)]
pub(super) struct Push {
    /// An array: the values.
    values: OwnedValue,
    position: Option<i64>,
    sort: Option<ItemOrder>,
    slice: Option<i64>,
}

/// The order of the items of an array.
#[derive(Clone, Debug)]
enum ItemOrder {
    Whole(Direction),
    /// By fields of the items; an item that is no document has none.
    Fields(Vec<(Box<str>, Direction)>),
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Ascending,
    Descending,
}

impl Push {
    /// Parses the operand of `$push` for `path`.
    ///
    /// # Errors
    ///
    /// A clause is unknown, or has a value that it does not take.
    pub(super) fn parse(path: &Path, operand: Value<'_>) -> Result<Self> {
        let clauses = operand.as_document().filter(|clauses| !clauses.get("$each").is_missing());
        let Some(clauses) = clauses else {
            let values = Arena::new().array(&[operand])?.into();
            return Ok(Self { values, position: None, sort: None, slice: None });
        };
        let (mut each, mut slice, mut sort, mut position) = (None, None, None, None);
        for (name, value) in clauses {
            let clause = match name {
                "$each" => &mut each,
                "$slice" => &mut slice,
                "$sort" => &mut sort,
                "$position" => &mut position,
                _ => {
                    return Err(Error::bad_value(format!(
                        "$push into '{path}' knows $each, $slice, $sort and $position, not '{name}'"
                    )));
                }
            };
            if clause.replace(value).is_some() {
                return Err(Error::bad_value(format!(
                    "$push into '{path}' has two clauses {name}"
                )));
            }
        }
        let values = match each {
            Some(values @ Value::Array(_)) => OwnedValue::from(values),
            other => {
                return Err(Error::bad_value(format!(
                    "$each of $push takes an array; for '{path}' it was given the type {}",
                    other.unwrap_or(Value::Missing).type_name()
                )));
            }
        };
        Ok(Self {
            values,
            slice: slice.map(|value| whole_number("$slice", path, value)).transpose()?,
            sort: sort.map(|value| ItemOrder::parse(path, value)).transpose()?,
            position: position.map(|value| whole_number("$position", path, value)).transpose()?,
        })
    }

    /// How deep the values are nested.
    pub(super) fn depth(&self) -> usize {
        self.values().iter().map(depth_of).max().unwrap_or(0)
    }

    /// What becomes of the array `value`.
    ///
    /// # Errors
    ///
    /// It is no array.
    pub(super) fn update<'a>(&'a self, value: Value<'a>, site: Site<'_, 'a>) -> Result<Change<'a>> {
        let array = value.as_array().ok_or_else(|| {
            Error::bad_value(format!(
                "$push needs an array; '{site}' has the type {}",
                value.type_name()
            ))
        })?;
        if self.position.is_none() && self.sort.is_none() && self.slice.is_none() {
            let added = self.values().iter().map(Added::Next).collect();
            return Ok(Edit { added, ..Edit::default() }.into_change());
        }
        let mut items: Vec<_> = array.iter().collect();
        if self.push(&mut items) {
            site.arena.array(&items).map(Change::Set)
        } else {
            Ok(Change::Keep)
        }
    }

    /// The array after the push into none.
    ///
    /// # Errors
    ///
    /// It would be nested too deeply.
    pub(super) fn create<'a>(&'a self, arena: &'a Arena) -> Result<Value<'a>> {
        let mut items = Vec::new();
        self.push(&mut items);
        arena.array(&items)
    }

    /// First the position, then the order, then the length. Whether that changes anything.
    fn push<'a>(&'a self, items: &mut Vec<Value<'a>>) -> bool {
        let length = items.len();
        let place = match self.position {
            None => length,
            Some(position) => place_of(position, length),
        };
        items.splice(place..place, self.values());
        let mut changed = items.len() > length;
        if let Some(order) = &self.sort {
            order.sort(items);
            // A sort counts as a change even where it moves nothing, unless there is nothing to move.
            changed |= !items.is_empty();
        }
        if let Some(slice) = self.slice {
            let kept = usize::try_from(slice.unsigned_abs()).unwrap_or(usize::MAX);
            if items.len() > kept {
                if slice >= 0 {
                    items.truncate(kept);
                } else {
                    items.drain(..items.len() - kept);
                }
                changed = true;
            }
        }
        changed
    }

    /// The values.
    pub(super) fn values(&self) -> Array<'_> {
        self.values.get().as_array().unwrap_or(Array::EMPTY)
    }
}

/// The place that `position` means in an array of `length` items: from the end if it is negative.
fn place_of(position: i64, length: usize) -> usize {
    let distance = usize::try_from(position.unsigned_abs()).unwrap_or(usize::MAX);
    if position < 0 { length.saturating_sub(distance) } else { distance.min(length) }
}

fn whole_number(clause: &str, path: &Path, value: Value<'_>) -> Result<i64> {
    Number::of(value).and_then(Number::as_exact_i64).ok_or_else(|| {
        Error::bad_value(format!(
            "{clause} of $push takes a whole number; for '{path}' it was given {value:?}"
        ))
    })
}

impl ItemOrder {
    fn parse(path: &Path, value: Value<'_>) -> Result<Self> {
        let Value::Document(pattern) = value else {
            return Ok(Self::Whole(Direction::parse(path, value)?));
        };
        if pattern.is_empty() {
            return Err(Error::bad_value(format!(
                "$sort of $push into '{path}' is empty; it needs 1, -1 or fields, as in {{field: 1}}"
            )));
        }
        let fields = pattern.iter().map(|(field, value)| {
            let direction = Direction::parse(path, value)?;
            if field.split('.').any(str::is_empty) {
                return Err(Error::bad_value(format!(
                    "$sort of $push into '{path}' has the field '{field}', which has an empty part"
                )));
            }
            Ok((field.into(), direction))
        });
        Ok(Self::Fields(fields.collect::<Result<_>>()?))
    }

    fn sort(&self, items: &mut [Value<'_>]) {
        match self {
            Self::Whole(direction) => {
                items.sort_by(|a, b| direction.of(compare(*a, *b)));
            }
            Self::Fields(fields) => {
                let keyed = items.iter().map(|item| {
                    let key = fields.iter().map(|(field, _)| field_of(*item, field));
                    (key.collect::<Vec<_>>(), *item)
                });
                let mut keyed: Vec<_> = keyed.collect();
                keyed.sort_by(|(a, _), (b, _)| {
                    let pairs = a.iter().zip(b).zip(fields);
                    let orders =
                        pairs.map(|((a, b), (_, direction))| direction.of(compare(*a, *b)));
                    orders.fold(Ordering::Equal, Ordering::then)
                });
                for (place, (_, item)) in items.iter_mut().zip(keyed) {
                    *place = item;
                }
            }
        }
    }
}

impl Direction {
    fn parse(path: &Path, value: Value<'_>) -> Result<Self> {
        let number = Number::of(value).map(Number::to_double);
        if number == Some(1.0) {
            Ok(Self::Ascending)
        } else if number == Some(-1.0) {
            Ok(Self::Descending)
        } else {
            Err(Error::bad_value(format!(
                "$sort of $push into '{path}' takes 1 and -1; it was given {value:?}"
            )))
        }
    }

    fn of(self, ascending: Ordering) -> Ordering {
        match self {
            Self::Ascending => ascending,
            Self::Descending => ascending.reverse(),
        }
    }
}

/// The value at `path` in an item; null where there is none. A field that is itself called like the dotted rest of the
/// path comes first, and arrays have their places for fields.
fn field_of<'a>(item: Value<'a>, path: &str) -> Value<'a> {
    let (mut value, mut path) = (item, path);
    // Only documents have sort fields; below them arrays do too.
    if value.as_document().is_none() {
        return Value::Null;
    }
    loop {
        let found = child(value, path);
        if !found.is_missing() {
            return found;
        }
        let Some((first, rest)) = path.split_once('.') else {
            return Value::Null;
        };
        (value, path) = (child(value, first), rest);
    }
}

fn child<'a>(value: Value<'a>, name: &str) -> Value<'a> {
    match value {
        Value::Document(document) => document.get(name),
        Value::Array(array) => {
            crate::path::array_index(name).map_or(Value::Missing, |place| array.get(place))
        }
        _ => Value::Missing,
    }
}
