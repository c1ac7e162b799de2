//! The combinations of values that several paths have in one document: the keys of an index, and of a sort.
//!
//! A path goes into the items of an array that it meets, and each gives a combination; so does each item of an array at its
//! end. Only one array is gone through at a time, whichever paths meet it: arrays beside each other are refused. A part of a
//! path that is a number names a place in an array, where the array has that place. What is missing is null. An empty
//! array is undefined, which is less.

use crate::path::{Path, array_index};
use crate::{Array, Document, Error, Result, Value};

/// Who asks for the values of some fields.
pub(crate) trait KeySink {
    /// How many fields there are.
    fn fields(&self) -> usize;

    /// The path of a field.
    fn path(&self, field: usize) -> &Path;

    /// A field gives several values, because its path has met an array.
    fn meet_array(&mut self, field: usize);

    /// A combination of values, one for each field; the fields of `missing` of them are not there.
    fn key(&mut self, slots: &[Slot<'_>], missing: usize) -> Result<()>;

    /// The error for two fields that meet different arrays.
    fn parallel(&self, field: usize, other: usize) -> Error;
}

/// Gives `sink` the values that its fields have in `document`: one combination, or several where there is an array.
pub(crate) fn walk<S: KeySink>(sink: &mut S, document: Document<'_>) -> Result<()> {
    let slots = vec![Slot { state: State::At(0), place: None }; sink.fields()];
    Walk { sink }.expand(slots, document, 0)
}

struct Walk<'s, S> {
    sink: &'s mut S,
}

/// How far the value of one field is known.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'a> {
    state: State<'a>,
    /// What the path's next part names as a place in the array that is being gone through.
    place: Option<Place<'a>>,
}

#[derive(Clone, Copy)]
enum State<'a> {
    /// The path is followed up to this part.
    At(usize),
    /// The value is found.
    Done(Value<'a>),
}

impl<'a> Slot<'a> {
    /// The value, where it is known: that of each field in what is given to a sink.
    pub(crate) fn value(&self) -> Option<Value<'a>> {
        if let State::Done(value) = self.state { Some(value) } else { None }
    }
}

/// A place in an array, and where the path leads from there.
#[derive(Clone, Copy)]
struct Place<'a> {
    item_is_array: bool,
    found: Found<'a>,
}

/// What stands at the end of a path, or the array that is on it.
#[derive(Clone, Copy)]
pub(crate) struct Found<'a> {
    pub(crate) value: Value<'a>,
    /// The part of the path behind it.
    next: usize,
}

impl<'a, S: KeySink> Walk<'_, S> {
    /// Follows all paths through `document` to their ends or to an array, and goes on in each of its items.
    /// `missing` of the fields are known to be missing. Each call that it makes goes into an array, so it goes no deeper
    /// than documents nest.
    fn expand(
        &mut self,
        mut slots: Vec<Slot<'a>>,
        document: Document<'a>,
        mut missing: usize,
    ) -> Result<()> {
        let mut met: Option<Met<'a>> = None;
        for (index, slot) in slots.iter_mut().enumerate() {
            let State::At(part) = slot.state else { continue };
            let path = self.sink.path(index);
            let (found, nested) = match slot.place {
                Some(place) => (place.found, place.item_is_array),
                None => (follow(document, path, part), false),
            };
            match found.value {
                Value::Missing => {
                    slot.state = State::Done(Value::Null);
                    missing += 1;
                }
                Value::Array(array) => {
                    let met = met.get_or_insert(Met { array, first: index, whole: false });
                    if !is_same(met.array, array) {
                        return Err(self.sink.parallel(index, met.first));
                    }
                    // An array that is an item of an array is a value, and its items are none.
                    met.whole |= nested && found.next == path.len();
                    slot.state = State::At(found.next);
                }
                value => slot.state = State::Done(value),
            }
        }
        match met {
            None => self.sink.key(&slots, missing),
            Some(met) => self.expand_items(slots, &met, missing),
        }
    }

    fn expand_items(
        &mut self,
        mut slots: Vec<Slot<'a>>,
        met: &Met<'a>,
        missing: usize,
    ) -> Result<()> {
        // Whether the items differ in what they give.
        let mut differ = false;
        for (index, slot) in slots.iter_mut().enumerate() {
            let path = self.sink.path(index);
            let State::At(part) = slot.state else { continue };
            slot.place = if part < path.len() { place(met.array, path, part) } else { None };
            let whole = part == path.len() && met.whole;
            if slot.place.is_none() && !whole {
                differ = true;
                self.sink.meet_array(index);
            }
        }
        let mut items = met.array.iter();
        let Some(first) = items.next() else {
            return self.expand_item(&slots, met, Value::Undefined, missing);
        };
        self.check_unambiguous(&slots, first)?;
        self.expand_item(&slots, met, first, missing)?;
        for item in items {
            self.check_unambiguous(&slots, item)?;
            if differ {
                self.expand_item(&slots, met, item, missing)?;
            }
        }
        Ok(())
    }

    fn expand_item(
        &mut self,
        slots: &[Slot<'a>],
        met: &Met<'a>,
        item: Value<'a>,
        missing: usize,
    ) -> Result<()> {
        let mut slots = slots.to_vec();
        for (index, slot) in slots.iter_mut().enumerate() {
            if matches!(slot.state, State::At(part) if part == self.sink.path(index).len()) {
                let value = if met.whole { Value::Array(met.array) } else { item };
                slot.state = State::Done(value);
            }
        }
        self.expand(slots, item.as_document().unwrap_or(Document::EMPTY), missing)
    }

    /// Checks that no number of a path is both a place in the array and a field of `item` in it.
    fn check_unambiguous(&self, slots: &[Slot<'_>], item: Value<'_>) -> Result<()> {
        let Value::Document(item) = item else { return Ok(()) };
        for (index, slot) in slots.iter().enumerate() {
            let (State::At(part), Some(_)) = (slot.state, slot.place) else { continue };
            let path = self.sink.path(index);
            let part = path.part(part);
            if !item.get(part).is_missing() {
                return Err(Error::location(
                    16746,
                    format!(
                        "'{part}' in the path '{path}' is a place in an array and a field of a document in \
                         it; it must be one of them"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// The array that paths have met.
struct Met<'a> {
    array: Array<'a>,
    /// The first field that met it.
    first: usize,
    /// Whether it is itself the value of a field whose path ends at it.
    whole: bool,
}

/// Follows `path` from its part `part` on through documents, up to its end or to an array.
pub(crate) fn follow<'a>(document: Document<'a>, path: &Path, part: usize) -> Found<'a> {
    let mut document = document;
    for part in part..path.len() {
        let next = part + 1;
        match document.get(path.part(part)) {
            Value::Document(inner) if next < path.len() => document = inner,
            value @ Value::Array(_) => return Found { value, next },
            value if next == path.len() => return Found { value, next },
            _ => break,
        }
    }
    Found { value: Value::Missing, next: path.len() }
}

/// What the part `part` of `path` names as a place in `array`, if it does.
fn place<'a>(array: Array<'a>, path: &Path, part: usize) -> Option<Place<'a>> {
    let item = array.get(array_index(path.part(part))?);
    let next = part + 1;
    let found = match item {
        Value::Missing => return None,
        Value::Document(document) if next < path.len() => follow(document, path, next),
        Value::Array(_) => Found { value: item, next },
        value if next == path.len() => Found { value, next },
        _ => Found { value: Value::Missing, next },
    };
    Some(Place { item_is_array: matches!(item, Value::Array(_)), found })
}

/// Whether two arrays are one: the same bytes of the document, not equal ones.
fn is_same(a: Array<'_>, b: Array<'_>) -> bool {
    match (a.raw_bytes(), b.raw_bytes(), a.built_items(), b.built_items()) {
        (Some(a), Some(b), _, _) => std::ptr::eq(a, b),
        (_, _, Some(a), Some(b)) => std::ptr::eq(a, b),
        _ => false,
    }
}
