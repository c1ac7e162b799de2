//! Sorts: in which order documents are given.

mod sorter;

use bson::RawDocument;

pub use sorter::Sorter;

use crate::key::walk::{KeySink, Slot, follow, walk};
use crate::key::{Direction, encode};
use crate::number::Number;
use crate::path::Path;
use crate::{Document, Error, ErrorCode, Result, Value};

/// A sort, parsed: `{a: 1, "b.c": -1}`.
///
/// A field that is missing sorts as null. Of an array counts its least item ascending and its greatest descending; the empty
/// array is less than null. If several fields meet one array, their values come from one item of it.
///
/// ```
/// use bson::rawdoc;
/// use docquery::Sort;
///
/// let sort = Sort::parse(&rawdoc! { "age": -1, "name": 1 })?;
/// let ada = sort.key((&*rawdoc! { "name": "Ada", "age": 36 }).into())?;
/// let bob = sort.key((&*rawdoc! { "name": "Bob", "age": [36, 20] }).into())?;
/// assert!(ada < bob);
/// # Ok::<(), docquery::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sort {
    fields: Box<[SortField]>,
}

/// One field of a sort.
#[derive(Clone, Debug)]
pub struct SortField {
    path: Path,
    direction: Direction,
}

/// Where a document stands in the order of the sort that gave the key. Keys of one sort compare as the documents sort.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortKey(
    /// The values as [`encode`] writes them, those of descending fields turned over.
    Box<[u8]>,
);

impl Sort {
    /// How many fields a sort has at most.
    pub const FIELDS_MAX: usize = 32;

    /// Parses a sort. The empty sort keeps the order in which documents come.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no sort: 15974 for a direction that is no number, 15975 for one that is neither 1 nor -1, 13103 for
    /// too many fields, those of [`Path::field`] for a path; for `{$meta: ...}` 31138 or 40218, as there is no such data.
    pub fn parse(sort: &RawDocument) -> Result<Self> {
        let fields = Document::from(sort).iter().map(|(name, value)| parse_field(name, value));
        let fields = fields.collect::<Result<Box<[_]>>>()?;
        if fields.len() > Self::FIELDS_MAX {
            return Err(Error::location(
                13103,
                format!(
                    "the sort has {} fields; at most {} are allowed",
                    fields.len(),
                    Self::FIELDS_MAX
                ),
            ));
        }
        Ok(Self { fields })
    }

    /// The fields, in order.
    pub fn fields(&self) -> &[SortField] {
        &self.fields
    }

    /// Whether it has no fields: it keeps any order.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The place of `document`.
    ///
    /// # Errors
    ///
    /// The document has arrays in more than one field of the sort; or a number in a path is both a place in an array and
    /// a field in an item of it (16746).
    pub fn key(&self, document: Document<'_>) -> Result<SortKey> {
        let mut bytes = Vec::with_capacity(16 * self.fields.len());
        for field in &self.fields {
            match follow(document, &field.path, 0).value {
                Value::Array(_) => return self.least_key(document),
                value => field.encode(value, &mut bytes),
            }
        }
        Ok(SortKey(bytes.into()))
    }

    /// The least of the keys of a document with an array.
    fn least_key(&self, document: Document<'_>) -> Result<SortKey> {
        let mut least = Least { fields: &self.fields, key: None, scratch: Vec::new() };
        walk(&mut least, document)?;
        Ok(SortKey(least.key.unwrap_or_default().into()))
    }
}

impl SortKey {
    /// The key of one value, ascending.
    pub(crate) fn of(value: Value<'_>) -> Self {
        let mut bytes = Vec::with_capacity(16);
        encode(if value.is_missing() { Value::Null } else { value }, &mut bytes);
        Self(bytes.into())
    }

    /// The key of one order, and where that leaves documents equal of another. No key is the beginning of another.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self([&*self.0, &*next.0].concat().into())
    }

    /// The bytes that sort as the key does.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl SortField {
    /// Its dotted path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the least or the greatest come first.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    fn encode(&self, value: Value<'_>, key: &mut Vec<u8>) {
        let start = key.len();
        encode(if value.is_missing() { Value::Null } else { value }, key);
        self.direction.turn(&mut key[start..]);
    }
}

/// Keeps the least of the keys that it is given.
struct Least<'s> {
    fields: &'s [SortField],
    key: Option<Vec<u8>>,
    scratch: Vec<u8>,
}

impl KeySink for Least<'_> {
    fn fields(&self) -> usize {
        self.fields.len()
    }

    fn path(&self, field: usize) -> &Path {
        &self.fields[field].path
    }

    fn meet_array(&mut self, _: usize) {}

    fn key(&mut self, slots: &[Slot<'_>], _: usize) -> Result<()> {
        self.scratch.clear();
        for (slot, field) in slots.iter().zip(self.fields) {
            field.encode(slot.value().unwrap_or(Value::Null), &mut self.scratch);
        }
        match &mut self.key {
            Some(key) if *key <= self.scratch => {}
            Some(key) => std::mem::swap(key, &mut self.scratch),
            None => self.key = Some(std::mem::take(&mut self.scratch)),
        }
        Ok(())
    }

    fn parallel(&self, field: usize, other: usize) -> Error {
        Error::bad_value(format!(
            "cannot sort with keys that are parallel arrays: '{}' and '{}' meet different arrays in one document",
            self.path(field),
            self.path(other)
        ))
    }
}

fn parse_field(name: &str, direction: Value<'_>) -> Result<SortField> {
    if let Value::Document(meta) = direction {
        return Err(refuse_meta(name, meta));
    }
    let Some(number) = Number::of(direction) else {
        return Err(Error::location(
            15974,
            format!(
                "the direction of '{name}' in a sort must be a number, 1 or -1, not {}",
                direction.type_name()
            ),
        ));
    };
    let direction = match whole(number) {
        1 => Direction::Ascending,
        -1 => Direction::Descending,
        _ => {
            return Err(Error::location(
                15975,
                format!(
                    "the direction of '{name}' in a sort must be 1 (ascending) or -1 (descending), not {direction:?}"
                ),
            ));
        }
    };
    Ok(SortField { path: Path::field(name)?, direction })
}

/// The number as an integer: doubles are truncated, decimals rounded.
fn whole(number: Number) -> i64 {
    let number = match number {
        Number::Decimal(decimal) => Number::Double(decimal.to_double().round_ties_even()),
        number => number,
    };
    number.saturating_i64()
}

/// Why there is no `{$meta: ...}`.
fn refuse_meta(name: &str, meta: Document<'_>) -> Error {
    match (meta.first(), meta.len()) {
        (Some(("$meta", Value::String("textScore"))), 1) => {
            Error::location(40218, "query requires text score metadata, but it is not available")
        }
        (Some(("$meta", kind)), 1) => {
            Error::location(31138, format!("illegal $meta sort of '{name}': {kind:?}"))
        }
        (Some(("$meta", _)), _) => Error::new(
            ErrorCode::FAILED_TO_PARSE,
            format!("the $meta sort of '{name}' must not have further fields"),
        ),
        _ => Error::location(
            17312,
            format!("$meta is the only expression that a sort allows, at '{name}'"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{RawBson, rawdoc};

    /// Checks that the documents come in this order, and those of one line together.
    #[track_caller]
    fn check(sort: &RawDocument, groups: &[&[&RawDocument]]) {
        let sort = Sort::parse(sort).unwrap();
        let key = |document: &RawDocument| sort.key(document.into()).unwrap();
        for (place, group) in groups.iter().enumerate() {
            for document in *group {
                assert_eq!(key(document), key(group[0]), "{document:?}");
                for later in groups[place + 1..].iter().copied().flatten() {
                    assert!(key(document) < key(later), "{document:?} before {later:?}");
                }
            }
        }
    }

    #[track_caller]
    fn check_refused(sort: &RawDocument, code: i32) {
        let error = Sort::parse(sort).expect_err(&format!("{sort:?}"));
        assert_eq!(error.code().value(), code, "{sort:?}: {error}");
    }

    #[test]
    fn an_array_sorts_by_one_of_its_items() {
        check(
            &rawdoc! { "a": 1 },
            &[
                &[&rawdoc! { "a": RawBson::MinKey }],
                &[&rawdoc! { "a": [] }, &rawdoc! { "a": RawBson::Undefined }],
                &[&rawdoc! {}, &rawdoc! { "a": null }, &rawdoc! { "a": [5, null] }],
                &[&rawdoc! { "a": f64::NAN }],
                &[&rawdoc! { "a": 1 }, &rawdoc! { "a": [7, 1.0] }],
                &[&rawdoc! { "a": 2 }],
                &[&rawdoc! { "a": "x" }],
                &[&rawdoc! { "a": {} }],
                &[&rawdoc! { "a": [[1]] }],
            ],
        );
        check(
            &rawdoc! { "a": -1 },
            &[
                &[&rawdoc! { "a": [1, "x"] }],
                &[&rawdoc! { "a": [7, 1] }, &rawdoc! { "a": 7 }],
                &[&rawdoc! { "a": 2 }],
                &[&rawdoc! {}],
                &[&rawdoc! { "a": [] }],
            ],
        );
    }

    #[test]
    fn paths_go_into_arrays() {
        check(
            &rawdoc! { "a.b": 1, "c": -1 },
            &[
                &[&rawdoc! { "a": [{ "b": 2 }, {}] }, &rawdoc! { "a": [] }, &rawdoc! { "a": 5 }],
                &[&rawdoc! { "a": [{ "b": 3 }, { "b": 1 }], "c": 9 }],
                &[&rawdoc! { "a": { "b": 1 }, "c": 8 }],
                &[&rawdoc! { "a": { "b": 2 }, "c": 9 }],
            ],
        );
        // Both values come from one item: [1, 9] and [2, 3], not [1, 3].
        check(
            &rawdoc! { "a.x": 1, "a.y": 1 },
            &[
                &[&rawdoc! { "a": { "x": 1, "y": 8 } }],
                &[&rawdoc! { "a": [{ "x": 2, "y": 3 }, { "x": 1, "y": 9 }] }],
            ],
        );
        check(
            &rawdoc! { "a.1": 1 },
            &[
                &[&rawdoc! { "a": [9, 1] }],
                &[&rawdoc! { "a": [0, 2] }],
                &[&rawdoc! { "a": { "1": 3 } }],
            ],
        );
    }

    #[test]
    fn arrays_beside_each_other_are_refused() {
        let sort = Sort::parse(&rawdoc! { "a": 1, "b": 1 }).unwrap();
        let error = sort.key((&*rawdoc! { "a": [1], "b": [1] }).into()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BAD_VALUE);
        assert!(sort.key((&*rawdoc! { "a": [1], "b": 1 }).into()).is_ok());
    }

    #[test]
    fn what_is_no_sort_is_refused() {
        for (sort, code) in [
            (rawdoc! { "a": "asc" }, 15974),
            (rawdoc! { "$a": "asc" }, 15974),
            (rawdoc! { "a": 2 }, 15975),
            (rawdoc! { "a": 0.5 }, 15975),
            (rawdoc! { "a": f64::NAN }, 15975),
            (rawdoc! { "": 1 }, 40352),
            (rawdoc! { "a.": 1 }, 40353),
            (rawdoc! { "a..b": 1 }, 15998),
            (rawdoc! { "$a": 1 }, 16410),
            (rawdoc! { "a": {} }, 17312),
            (rawdoc! { "a": { "$meta": "sortKey" } }, 31138),
            (rawdoc! { "a": { "$meta": "textScore" } }, 40218),
            (rawdoc! { "a": { "$meta": "textScore", "b": 1 } }, 9),
        ] {
            check_refused(&sort, code);
        }
        let fields = |count: usize| {
            let fields = (0..count).map(|field| (format!("f{field}"), 1.into()));
            bson::RawDocumentBuf::try_from(&fields.collect::<bson::Document>()).unwrap()
        };
        assert!(Sort::parse(&fields(32)).is_ok());
        check_refused(&fields(33), 13103);
        assert!(Sort::parse(&rawdoc! { "a": 1.9, "b": -1_i64 }).is_ok());
    }
}
