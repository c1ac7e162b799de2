//! The keys of an index between two that are given: `min` and `max` of a find.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::key::{self, Bounds, Cut, Interval, KeyPattern, KeyRanges};
use docquery::{Document, Error};

use super::Between;
use super::candidate::{self, Candidate};
use super::order;
use super::scan::IndexScan;
use crate::disk::Direction;
use crate::documents::Index;

/// The candidate that looks at the keys of `index` from `min` on up to before `max`.
///
/// # Errors
///
/// `min` or `max` do not have the fields of the index, or `max` does not lie behind `min`.
pub(super) fn candidate(
    index: &Arc<Index>,
    between: &Between,
    sort: Option<&[(&str, key::Direction)]>,
) -> Result<Candidate, Error> {
    let pattern = index.pattern();
    let cut = |document: &Option<RawDocumentBuf>, open: Cut| match document {
        Some(document) => key_of(pattern, document).map(Cut::before),
        None => Ok(open),
    };
    let low = cut(&between.min, Cut::before(Vec::new()))?;
    let high = cut(&between.max, Cut::behind(Vec::new()))?;
    if low >= high {
        return Err(Error::location(
            51175,
            "max() must be greater than min(), in the order of the index",
        ));
    }
    let bounds = vec![Bounds::all(); pattern.fields().len()];
    let direction =
        sort.and_then(|sort| order::scan_direction(pattern, index.multikey(), &bounds, sort));
    // A document with many keys may come by one that is not its first.
    let direction = direction.filter(|_| index.multikey() == 0);
    let keys = KeyRanges::between(Interval::new(low, high));
    let scan =
        IndexScan::new(Arc::clone(index), keys, bounds, direction.unwrap_or(Direction::Forward));
    Ok(Candidate {
        scans: vec![scan],
        rank: candidate::Rank::default(),
        gives_order: direction.is_some(),
        is_exact: false,
    })
}

/// What `min` and `max` are refused with where there is no hint.
pub(super) fn no_hint() -> Error {
    Error::location(51173, "min() and max() need a hint that says of which index they are keys")
}

fn key_of(pattern: &KeyPattern, document: &RawDocument) -> Result<Vec<u8>, Error> {
    let mut values = Document::from(document).iter();
    let mut key = Vec::new();
    for field in pattern.fields() {
        match values.next() {
            Some((name, value)) if name == field.path().as_str() => {
                field.encode(value, &mut key);
            }
            _ => return Err(other_fields(pattern)),
        }
    }
    if values.next().is_some() { Err(other_fields(pattern)) } else { Ok(key) }
}

fn other_fields(pattern: &KeyPattern) -> Error {
    let paths: Vec<_> = pattern.fields().iter().map(|field| field.path().as_str()).collect();
    Error::location(
        51174,
        format!(
            "min() and max() must have the fields of the hinted index, in its order: {}",
            paths.join(", ")
        ),
    )
}
