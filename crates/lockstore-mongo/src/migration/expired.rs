//! Documents that an index has expire: one that is due may be gone from one store and not yet from the other.

use bson::{Bson, Document, RawDocument, doc};

use super::copying::id_of;
use super::endpoint::{Endpoint, Namespace};
use super::error::MigrationError;
use super::indexes::expires_after;

/// Whether a document of `endpoint` is due to be deleted by one of the `indexes` of its collection.
pub(super) fn is_due(
    endpoint: &Endpoint,
    namespace: &Namespace,
    indexes: &[Document],
    document: &RawDocument,
) -> Result<bool, MigrationError> {
    let now = i64::try_from(endpoint.store().clock().wall().as_millis()).unwrap_or(i64::MAX);
    let Ok(fields) = Document::try_from(document) else { return Ok(false) };
    for index in indexes.iter().filter(|index| has_passed(index, &fields, now)) {
        let Ok(filter) = index.get_document("partialFilterExpression") else { return Ok(true) };
        let of_it = doc! { "$and": [{ "_id": { "$eq": id_of(document) } }, filter] };
        let found = endpoint.documents(namespace).find_one(of_it).run();
        if found.map_err(|error| endpoint.failed(error))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the time has come by which an index has a document expire.
#[expect(
    clippy::cast_possible_truncation,
    reason = "of a number of seconds that is too large nothing is due"
)]
fn has_passed(index: &Document, document: &Document, now_ms: i64) -> bool {
    let Some(after) = expires_after(index) else { return false };
    let Some(field) = index.get_document("key").ok().and_then(|key| key.keys().next()) else {
        return false;
    };
    let earliest = earliest(&Bson::Document(document.clone()), field);
    earliest.is_some_and(|at| at.saturating_add((after * 1_000.0) as i64) <= now_ms)
}

/// The earliest date that a path leads to, through arrays as well.
fn earliest(value: &Bson, path: &str) -> Option<i64> {
    match value {
        Bson::Array(items) => items.iter().filter_map(|item| earliest(item, path)).min(),
        Bson::DateTime(at) if path.is_empty() => Some(at.timestamp_millis()),
        Bson::Document(document) if !path.is_empty() => {
            let (field, rest) = path.split_once('.').unwrap_or((path, ""));
            earliest(document.get(field)?, rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::DateTime;

    #[test]
    fn a_document_expires_by_the_earliest_of_its_dates() {
        let at = DateTime::from_millis;
        let index = doc! { "key": { "a.b": 1 }, "expireAfterSeconds": 10 };
        for (document, due) in [
            (doc! { "a": { "b": at(0) } }, true),
            (doc! { "a": { "b": at(1) } }, false),
            (doc! { "a": [{ "b": at(5) }, { "b": [at(7), at(-1)] }] }, true),
            (doc! { "a": { "b": 0 } }, false),
            (doc! { "a": at(0) }, false),
            (doc! {}, false),
        ] {
            assert_eq!(has_passed(&index, &document, 10_000), due, "{document}");
        }
        assert!(!has_passed(&doc! { "key": { "a.b": 1 } }, &doc! { "a": { "b": at(0) } }, 10_000));
    }
}
