//! Whether an index that is asked for is there already, or cannot stand beside one that is.

use std::sync::Arc;

use bson::RawDocument;
use docquery::order::compare_documents;
use docquery::{Error, ErrorCode};

use super::Index;

/// The index of `indexes` that is the same as `wanted`, if there is one.
///
/// Two indexes are equivalent when they have the same key, partial filter, and are both unique or not, sparse or not:
/// a collection has only one of them. Indexes that are equivalent and have the same name and options are the same.
///
/// # Errors
///
/// An index has the same name and is not equivalent, or is equivalent and has another name or other options.
pub(crate) fn existing<'a>(
    indexes: &'a [Arc<Index>],
    wanted: &Index,
) -> Result<Option<&'a Arc<Index>>, Error> {
    let named = indexes.iter().find(|index| index.name() == wanted.name());
    let (existing, says, code) = match named {
        Some(named) if !are_equivalent(named, wanted) => (
            named,
            "An existing index has the same name as the requested index. When index names are not specified, they are auto \
             generated and can cause conflicts.",
            ErrorCode::INDEX_KEY_SPECS_CONFLICT,
        ),
        Some(named) if have_same_options(named, wanted) => return Ok(Some(named)),
        Some(named) => (
            named,
            "An equivalent index already exists with the same name but different options.",
            ErrorCode::INDEX_OPTIONS_CONFLICT,
        ),
        None => match indexes.iter().find(|index| are_equivalent(index, wanted)) {
            None => return Ok(None),
            // The index on `_id` is there under its own name, whatever it is asked for as.
            Some(id) if id.is_id() => return Ok(Some(id)),
            Some(other) if have_same_options(other, wanted) => (
                other,
                "Index already exists with a different name:",
                ErrorCode::INDEX_OPTIONS_CONFLICT,
            ),
            Some(other) => (
                other,
                "An equivalent index already exists with a different name and options.",
                ErrorCode::INDEX_OPTIONS_CONFLICT,
            ),
        },
    };
    let message = format!(
        "{says} Requested index: {:?}, existing index: {:?}",
        wanted.spec(),
        existing.spec()
    );
    Err(Error::new(code, message))
}

fn are_equivalent(a: &Index, b: &Index) -> bool {
    let same_filter = match (a.partial_expression(), b.partial_expression()) {
        (None, None) => true,
        (Some(a), Some(b)) => are_same(a, b),
        (Some(_), None) | (None, Some(_)) => false,
    };
    same_filter
        && are_same(a.key(), b.key())
        && a.is_unique() == b.is_unique()
        && a.is_sparse() == b.is_sparse()
}

/// Field by field in their order; numbers of different types may be the same.
fn are_same(a: &RawDocument, b: &RawDocument) -> bool {
    compare_documents(a.into(), b.into()).is_eq()
}

/// Whether all other options are the same. Whether an index is hidden is none of them.
fn have_same_options(a: &Index, b: &Index) -> bool {
    a.expire_after_seconds() == b.expire_after_seconds()
}
