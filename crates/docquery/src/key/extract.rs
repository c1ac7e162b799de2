//! The keys that a document has in an index.
//!
//! A path goes into the items of an array that it meets, and each gives a key; so does each item of an array at its end. Only
//! one array is gone through at a time, whichever fields meet it: arrays beside each other are refused. A part of a
//! path that is a number names a place in an array, where the array has that place. What is missing is null in a key. An empty array is undefined, which is less.

use bson::{RawDocument, RawDocumentBuf};

use super::encode::encode;
use super::pattern::{KeyField, KeyPattern};
use crate::path::{Path, array_index};
use crate::{Array, Document, Error, ErrorCode, Result, Value, Writer};

/// The keys of one document in one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The keys, in order, each once. A sparse index has none for a document without its fields, others have at least
    /// one.
    pub keys: Vec<Box<[u8]>>,
    /// Which fields of the index met an array: one bit for each, the first lowest.
    pub multikey: u64,
    /// Whether the document has none of the fields.
    pub missing: bool,
}

impl Keys {
    /// How many keys a document has at most in one index, repeated ones counted. It takes a document of 16 MiB with nothing but
    /// one array to come near.
    pub const COUNT_MAX: usize = 2_000_000;

    /// How many bytes they take together at most: a compound index repeats its other fields in the key of each item
    /// of an array.
    pub const BYTES_MAX: usize = 256 * 1024 * 1024;
}

impl KeyPattern {
    /// The keys of `document`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::CANNOT_INDEX_PARALLEL_ARRAYS`] if fields meet different arrays, 16746 if a number in a path names a
    /// place in an array and a field in an item of it, [`ErrorCode::KEY_TOO_LONG`] if there are more than
    /// [`Keys::COUNT_MAX`] or [`Keys::BYTES_MAX`].
    pub fn keys(&self, document: &RawDocument) -> Result<Keys> {
        let mut found = self.extract(document, None)?.found;
        found.keys.sort_unstable();
        found.keys.dedup();
        Ok(found)
    }

    /// The values that `key` of `document` was made of, by the paths of their fields; `None` if it has no such key.
    ///
    /// # Errors
    ///
    /// As [`KeyPattern::keys`].
    pub fn values(&self, document: &RawDocument, key: &[u8]) -> Result<Option<RawDocumentBuf>> {
        Ok(self.extract(document, Some(key))?.values)
    }

    fn extract<'a>(
        &'a self,
        document: &RawDocument,
        wanted: Option<&'a [u8]>,
    ) -> Result<Extraction<'a>> {
        let fields = self.fields();
        let mut extraction = Extraction {
            fields,
            sparse: self.is_sparse(),
            wanted,
            found: Keys { missing: true, ..Keys::default() },
            bytes: 0,
            values: None,
        };
        let slots = vec![Slot { state: State::At(0), place: None }; fields.len()];
        extraction.expand(slots, document.into(), 0)?;
        Ok(extraction)
    }
}

struct Extraction<'p> {
    fields: &'p [KeyField],
    sparse: bool,
    /// The key whose values are asked for.
    wanted: Option<&'p [u8]>,
    found: Keys,
    /// How many bytes the keys have, repeated ones counted.
    bytes: usize,
    /// Those of the key that is asked for.
    values: Option<RawDocumentBuf>,
}

/// How far the value of one field is known.
#[derive(Clone, Copy)]
struct Slot<'a> {
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

/// A place in an array, and where the path leads from there.
#[derive(Clone, Copy)]
struct Place<'a> {
    item_is_array: bool,
    found: Found<'a>,
}

/// What stands at the end of a path, or the array that is on it.
#[derive(Clone, Copy)]
struct Found<'a> {
    value: Value<'a>,
    /// The part of the path behind it.
    next: usize,
}

impl Extraction<'_> {
    /// Follows all paths through `document` to their ends or to an array, and goes on in each of its items.
    /// `missing` of the fields are known to be missing. Each call that it makes goes into an array, so it goes no deeper
    /// than documents nest.
    fn expand<'a>(
        &mut self,
        mut slots: Vec<Slot<'a>>,
        document: Document<'a>,
        mut missing: usize,
    ) -> Result<()> {
        let mut met: Option<Met<'a>> = None;
        for (index, slot) in slots.iter_mut().enumerate() {
            let State::At(part) = slot.state else { continue };
            let path = self.fields[index].path();
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
                        return Err(parallel(path, self.fields[met.first].path()));
                    }
                    // An array that is an item of an array is a value, and its items are none.
                    met.whole |= nested && found.next == path.len();
                    slot.state = State::At(found.next);
                }
                value => slot.state = State::Done(value),
            }
        }
        match met {
            None => self.add(&slots, missing),
            Some(met) => self.expand_items(slots, &met, missing),
        }
    }

    fn expand_items<'a>(
        &mut self,
        mut slots: Vec<Slot<'a>>,
        met: &Met<'a>,
        missing: usize,
    ) -> Result<()> {
        // Whether the items differ in what they give.
        let mut differ = false;
        for (index, slot) in slots.iter_mut().enumerate() {
            let path = self.fields[index].path();
            let State::At(part) = slot.state else { continue };
            slot.place = if part < path.len() { place(met.array, path, part) } else { None };
            let whole = part == path.len() && met.whole;
            if slot.place.is_none() && !whole {
                differ = true;
                self.found.multikey |= 1 << index;
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

    fn expand_item<'a>(
        &mut self,
        slots: &[Slot<'a>],
        met: &Met<'a>,
        item: Value<'a>,
        missing: usize,
    ) -> Result<()> {
        let mut slots = slots.to_vec();
        for (index, slot) in slots.iter_mut().enumerate() {
            if matches!(slot.state, State::At(part) if part == self.fields[index].path().len()) {
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
            let path = self.fields[index].path();
            let part = path.part(part);
            if !item.get(part).is_missing() {
                return Err(Error::location(
                    16746,
                    format!(
                        "'{part}' in the indexed path '{path}' is a place in an array and a field of a document in \
                         it; it must be one of them"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Adds the key of values that are all found.
    fn add(&mut self, slots: &[Slot<'_>], missing: usize) -> Result<()> {
        if missing < self.fields.len() {
            self.found.missing = false;
        } else if self.sparse {
            return Ok(());
        }
        let mut key = Vec::with_capacity(16 * slots.len());
        for (slot, field) in slots.iter().zip(self.fields) {
            let State::Done(value) = slot.state else { continue };
            let start = key.len();
            encode(value, &mut key);
            field.direction().turn(&mut key[start..]);
        }
        if self.wanted == Some(&*key) && self.values.is_none() {
            self.values = Some(self.document_of(slots));
        }
        self.bytes += key.len();
        if self.bytes > Keys::BYTES_MAX || self.found.keys.len() >= Keys::COUNT_MAX {
            return Err(Error::new(
                ErrorCode::KEY_TOO_LONG,
                format!(
                    "the document has too many or too long keys in an index; at most {} keys of {} bytes together are \
                     allowed",
                    Keys::COUNT_MAX,
                    Keys::BYTES_MAX
                ),
            ));
        }
        self.found.keys.push(key.into_boxed_slice());
        Ok(())
    }

    fn document_of(&self, slots: &[Slot<'_>]) -> RawDocumentBuf {
        let mut writer = Writer::new();
        for (slot, field) in slots.iter().zip(self.fields) {
            if let State::Done(value) = slot.state {
                writer.field(field.path().as_str(), value);
            }
        }
        RawDocumentBuf::from_bytes(writer.finish()).unwrap_or_default()
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
fn follow<'a>(document: Document<'a>, path: &Path, part: usize) -> Found<'a> {
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
    match (a.raw_bytes(), b.raw_bytes()) {
        (Some(a), Some(b)) => std::ptr::eq(a, b),
        _ => false,
    }
}

fn parallel(path: &Path, other: &Path) -> Error {
    Error::new(
        ErrorCode::CANNOT_INDEX_PARALLEL_ARRAYS,
        format!(
            "cannot index parallel arrays: the indexed paths '{path}' and '{other}' meet different arrays in one \
             document; at most one array is allowed"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnedValue;
    use bson::{Bson, RawBsonRef, bson, doc};

    fn keys(pattern: &bson::Document, document: &bson::Document) -> Result<Keys> {
        let pattern = KeyPattern::parse(&RawDocumentBuf::try_from(pattern).unwrap()).unwrap();
        pattern.keys(&RawDocumentBuf::try_from(document).unwrap())
    }

    /// Checks the keys against `expected`, one array of values for each key, in any order.
    #[track_caller]
    fn check(pattern: &bson::Document, document: &bson::Document, expected: &Bson, multikey: u64) {
        let found = keys(pattern, document).unwrap();
        let mut keys = Vec::new();
        for key in expected.as_array().unwrap() {
            let mut bytes = Vec::new();
            for value in key.as_array().unwrap() {
                let holder = RawDocumentBuf::try_from(&doc! { "": value.clone() }).unwrap();
                let value: RawBsonRef<'_> = holder.iter().next().unwrap().unwrap().1;
                encode(OwnedValue::from(value).get(), &mut bytes);
            }
            keys.push(bytes.into_boxed_slice());
        }
        keys.sort();
        assert_eq!(found.keys, keys, "{pattern} of {document}");
        assert_eq!(found.multikey, multikey, "{pattern} of {document}");
    }

    #[track_caller]
    fn check_refused(pattern: &bson::Document, document: &bson::Document, code: i32) {
        let error = keys(pattern, document).expect_err(&document.to_string());
        assert_eq!(error.code().value(), code, "{error}");
    }

    #[test]
    fn paths_go_through_documents_and_arrays() {
        let undefined = Bson::Undefined;
        let a = doc! { "a": 1 };
        check(&a, &doc! { "a": 5 }, &bson!([[5]]), 0);
        check(&a, &doc! { "b": 5 }, &bson!([[null]]), 0);
        check(&a, &doc! { "a": [5, 6, 5.0] }, &bson!([[5], [6]]), 1);
        check(&a, &doc! { "a": [[5, 6], 7] }, &bson!([[[5, 6]], [7]]), 1);
        check(&a, &doc! { "a": [] }, &bson!([[undefined.clone()]]), 1);
        check(&a, &doc! { "a": [null] }, &bson!([[null]]), 1);
        let ab = doc! { "a.b": 1 };
        check(&ab, &doc! { "a": { "b": 5 } }, &bson!([[5]]), 0);
        check(&ab, &doc! { "a": 5 }, &bson!([[null]]), 0);
        check(
            &ab,
            &doc! { "a": [{ "b": 5 }, { "b": [6, 7] }, {}, 8] },
            &bson!([[5], [6], [7], [null]]),
            1,
        );
        check(&ab, &doc! { "a": [] }, &bson!([[null]]), 1);
        check(&ab, &doc! { "a": [[{ "b": 5 }]] }, &bson!([[null]]), 1);
        check(&ab, &doc! { "a": [{ "b": [] }] }, &bson!([[undefined]]), 1);
    }

    #[test]
    fn numbers_in_paths_are_places_in_arrays_where_there_are_such() {
        let first = doc! { "a.0": 1 };
        check(&first, &doc! { "a": [5, 6] }, &bson!([[5]]), 0);
        check(&first, &doc! { "a": { "0": 5 } }, &bson!([[5]]), 0);
        check(&first, &doc! { "a": { "0": [5, 6] } }, &bson!([[5], [6]]), 1);
        check(&first, &doc! { "a": [[5, 6]] }, &bson!([[[5, 6]]]), 0);
        check(&doc! { "a.1": 1 }, &doc! { "a": [{ "1": 5 }] }, &bson!([[5]]), 1);
        check(&doc! { "a.0.b": 1 }, &doc! { "a": [{ "b": 5 }, { "b": 6 }] }, &bson!([[5]]), 0);
        check(
            &doc! { "a.0.b": 1 },
            &doc! { "a": [[{ "b": 5 }, { "b": 6 }]] },
            &bson!([[5], [6]]),
            1,
        );
        check(&doc! { "a.0.b": 1 }, &doc! { "a": [7] }, &bson!([[null]]), 0);
        check(&doc! { "a.0": 1, "a": 1 }, &doc! { "a": [5, 6] }, &bson!([[5, 5], [5, 6]]), 2);
        check_refused(&first, &doc! { "a": [1, { "0": 5 }] }, 16746);
    }

    #[test]
    fn fields_may_meet_one_array_only() {
        let a_b = doc! { "a": 1, "b": 1 };
        check(&a_b, &doc! { "a": [1, 2], "b": 3 }, &bson!([[1, 3], [2, 3]]), 1);
        check(&a_b, &doc! { "b": [1, 2] }, &bson!([[null, 1], [null, 2]]), 2);
        check_refused(&a_b, &doc! { "a": [1, 2], "b": [3] }, 171);
        check_refused(&a_b, &doc! { "a": [], "b": [] }, 171);
        let inside = doc! { "a.x": 1, "a.y": 1 };
        check(
            &inside,
            &doc! { "a": [{ "x": 1, "y": 2 }, { "x": 3 }] },
            &bson!([[1, 2], [3, null]]),
            3,
        );
        check(&inside, &doc! { "a": [{ "x": [1, 2], "y": 2 }] }, &bson!([[1, 2], [2, 2]]), 3);
        check_refused(&inside, &doc! { "a": [{ "x": [1], "y": [2] }] }, 171);
        // Equal arrays are two arrays.
        check_refused(&a_b, &doc! { "a": [1], "b": [1] }, 171);
    }

    #[test]
    fn descending_fields_are_turned_over() {
        let descending = keys(&doc! { "a": -1 }, &doc! { "a": [1, 2] }).unwrap();
        let ascending = keys(&doc! { "a": 1 }, &doc! { "a": [1, 2] }).unwrap();
        let turned = ascending.keys.iter().rev().map(|key| key.iter().map(|byte| !byte).collect());
        assert_eq!(descending.keys, turned.collect::<Vec<Box<[u8]>>>());
    }

    #[test]
    fn a_sparse_index_leaves_out_what_has_none_of_its_fields() {
        let sparse = |pattern: &bson::Document, document: &bson::Document| {
            let pattern = KeyPattern::parse(&RawDocumentBuf::try_from(pattern).unwrap()).unwrap();
            pattern.sparse().keys(&RawDocumentBuf::try_from(document).unwrap()).unwrap()
        };
        let cases = [
            (doc! { "a": 1 }, doc! { "b": 1 }, 0, true),
            (doc! { "a": 1 }, doc! { "a": null }, 1, false),
            (doc! { "a": 1 }, doc! { "a": [] }, 1, false),
            (doc! { "a": 1, "b": 1 }, doc! { "b": 1 }, 1, false),
            (doc! { "a.b": 1 }, doc! { "a": [{ "b": 1 }, {}] }, 1, false),
            (doc! { "a.b": 1 }, doc! { "a": [] }, 0, true),
        ];
        for (pattern, document, count, missing) in cases {
            let found = sparse(&pattern, &document);
            assert_eq!(
                (found.keys.len(), found.missing),
                (count, missing),
                "{pattern} of {document}"
            );
        }
        assert!(keys(&doc! { "a": 1 }, &doc! {}).unwrap().missing);
    }

    #[test]
    fn the_values_of_a_key_keep_their_types() {
        let pattern = bson::rawdoc! { "a.x": 1, "b": -1 };
        let pattern = KeyPattern::parse(&pattern).unwrap();
        let document = bson::rawdoc! { "a": [{ "x": 1_i64 }, { "x": [] }] };
        let found = pattern.keys(&document).unwrap().keys;
        let values = |key: &[u8]| pattern.values(&document, key).unwrap();
        assert_eq!(
            values(&found[0]),
            Some(bson::rawdoc! { "a.x": bson::RawBson::Undefined, "b": null })
        );
        assert_eq!(values(&found[1]), Some(bson::rawdoc! { "a.x": 1_i64, "b": null }));
        assert_eq!(values(b"other"), None);
    }

    #[test]
    fn places_in_nested_arrays_take_no_time_out_of_proportion() {
        let mut value = bson!([1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        for _ in 0..100 {
            value = bson!([value, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        }
        let path = format!("a{}", ".0".repeat(90));
        let found = keys(&doc! { path: 1 }, &doc! { "a": value }).unwrap();
        assert_eq!(found.keys.len(), 1);
    }

    #[test]
    fn a_long_field_beside_a_long_array_is_refused() {
        let long = "x".repeat(1 << 20);
        let items = vec![Bson::Int32(1); 400];
        check_refused(&doc! { "a": 1, "b": 1 }, &doc! { "a": items, "b": long }, 17280);
    }
}
