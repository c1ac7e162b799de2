//! The keys that a document has in an index: one for each combination of values that its fields have, see [`walk`](super::walk).

use bson::{RawDocument, RawDocumentBuf};

use super::encode::encode;
use super::pattern::{KeyField, KeyPattern};
use super::walk::{KeySink, Slot, walk};
use crate::path::Path;
use crate::{Error, ErrorCode, Result, Writer};

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
        walk(&mut extraction, document.into())?;
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

impl KeySink for Extraction<'_> {
    fn fields(&self) -> usize {
        self.fields.len()
    }

    fn path(&self, field: usize) -> &Path {
        self.fields[field].path()
    }

    fn meet_array(&mut self, field: usize) {
        self.found.multikey |= 1 << field;
    }

    fn key(&mut self, slots: &[Slot<'_>], missing: usize) -> Result<()> {
        if missing < self.fields.len() {
            self.found.missing = false;
        } else if self.sparse {
            return Ok(());
        }
        let mut key = Vec::with_capacity(16 * slots.len());
        for (slot, field) in slots.iter().zip(self.fields) {
            let Some(value) = slot.value() else { continue };
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

    fn parallel(&self, field: usize, other: usize) -> Error {
        let (path, other) = (self.path(field), self.path(other));
        Error::new(
            ErrorCode::CANNOT_INDEX_PARALLEL_ARRAYS,
            format!(
                "cannot index parallel arrays: the indexed paths '{path}' and '{other}' meet different arrays in one \
                 document; at most one array is allowed"
            ),
        )
    }
}

impl Extraction<'_> {
    fn document_of(&self, slots: &[Slot<'_>]) -> RawDocumentBuf {
        let mut writer = Writer::new();
        for (slot, field) in slots.iter().zip(self.fields) {
            if let Some(value) = slot.value() {
                writer.field(field.path().as_str(), value);
            }
        }
        RawDocumentBuf::from_bytes(writer.finish()).unwrap_or_default()
    }
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
