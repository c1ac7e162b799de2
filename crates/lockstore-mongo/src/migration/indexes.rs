//! The indexes of collections.

use bson::{Bson, Document, RawArrayBuf, RawDocumentBuf, doc, rawdoc};
use lockstore::{DocumentError, ErrorCode};

use super::difference::{Difference, How};
use super::endpoint::{Endpoint, JOURNALS, Namespace};
use super::error::MigrationError;
use super::plan::PlannedCollection;

/// When an index is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// When its collection is full.
    Full,
    /// When all is compared: it has documents expire.
    Compared,
}

/// The indexes of a collection but the one on `_id`, as they are listed; none if there is no such collection.
pub(super) fn of(
    endpoint: &Endpoint,
    namespace: &Namespace,
) -> Result<Vec<Document>, MigrationError> {
    let command = rawdoc! { "listIndexes": namespace.collection.as_str(), "cursor": { "batchSize": INDEXES_MAX } };
    match endpoint.list(&namespace.database, &command) {
        Ok(mut listed) => {
            listed.retain(|index| index.get_str("name").ok() != Some(OF_ID));
            Ok(listed)
        }
        Err(MigrationError::Store { error, .. })
            if error.code() == ErrorCode::NAMESPACE_NOT_FOUND =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Makes those indexes of a collection that are to be made now, and says how many these are. Those that are there stay.
pub(super) fn create(
    target: &Endpoint,
    collection: &PlannedCollection,
    when: When,
) -> Result<usize, MigrationError> {
    let wanted = |index: &&Document| (when == When::Compared) == expires(index);
    let indexes: Vec<Document> = collection.indexes.iter().filter(wanted).cloned().collect();
    let count = indexes.len();
    create_in(target, &collection.namespace, collection, indexes)?;
    Ok(count)
}

/// Finds out whether a target takes the indexes of a collection, before anything is copied: a file has not all that MongoDB has.
pub(super) fn try_out(
    target: &Endpoint,
    collection: &PlannedCollection,
) -> Result<(), MigrationError> {
    if !target.is_file() || collection.indexes.is_empty() {
        return Ok(());
    }
    let trial = Namespace::new(target.own_database(), format!("{JOURNALS}.trial"));
    let tried = create_in(target, &trial, collection, collection.indexes.clone());
    target.documents(&trial).drop().map_err(|error| target.failed(error))?;
    tried
}

/// Makes indexes of a collection in that `place`.
fn create_in(
    target: &Endpoint,
    place: &Namespace,
    of: &PlannedCollection,
    indexes: Vec<Document>,
) -> Result<(), MigrationError> {
    if indexes.is_empty() {
        return Ok(());
    }
    let mut specs = RawArrayBuf::new();
    for mut spec in indexes {
        for field in ITS_OWN_AFFAIR {
            spec.remove(field);
        }
        // One that is listed without has none, and would get that of its collection.
        if of.options.contains_key(COLLATION) && !spec.contains_key(COLLATION) {
            spec.insert(COLLATION, doc! { "locale": "simple" });
        }
        let spec = RawDocumentBuf::try_from(&spec);
        specs.push(spec.map_err(|_| target.senseless("an index"))?);
    }
    let command = rawdoc! { "createIndexes": place.collection.as_str(), "indexes": specs };
    match target.run(&place.database, &command) {
        Ok(_) => Ok(()),
        Err(error @ DocumentError::Store(_)) => Err(target.failed(error)),
        Err(error) => {
            let (to, namespace) = (target.to_string(), of.namespace.clone());
            Err(MigrationError::Index { to, namespace, error: Box::new(error) })
        }
    }
}

/// In what the indexes of two collections differ. Those of one `when` are looked at, or all.
pub(super) fn differences(
    source: &Endpoint,
    target: &Endpoint,
    namespace: &Namespace,
    leave_out: Option<When>,
) -> Result<Vec<Difference>, MigrationError> {
    let looked_at = |index: &Document| match leave_out {
        Some(When::Compared) => !expires(index),
        Some(When::Full) => expires(index),
        None => true,
    };
    let read = |endpoint: &Endpoint| {
        let mut indexes = of(endpoint, namespace)?;
        indexes.retain(looked_at);
        let compared = |index| compared(index).ok_or_else(|| endpoint.senseless("an index"));
        indexes.iter().map(compared).collect::<Result<Vec<_>, MigrationError>>()
    };
    let (wanted, there) = (read(source)?, read(target)?);
    let with_name = |indexes: &[Compared], wanted: &str| {
        indexes.iter().find(|index| index.name == wanted).cloned()
    };
    let told = |name, how| Difference::Index { namespace: namespace.clone(), name, how };
    let mut found = Vec::new();
    for index in &wanted {
        match with_name(&there, &index.name) {
            None => found.push(told(index.name.clone(), How::Missing)),
            Some(other) if other != *index => found.push(told(index.name.clone(), How::Changed)),
            Some(_) => {}
        }
    }
    for index in &there {
        if with_name(&wanted, &index.name).is_none() {
            found.push(told(index.name.clone(), How::Extra));
        }
    }
    Ok(found)
}

/// After how many seconds documents expire by an index, if they do.
pub(super) fn expires_after(index: &Document) -> Option<f64> {
    index.get("expireAfterSeconds").and_then(number)
}

fn expires(index: &Document) -> bool {
    expires_after(index).is_some()
}

/// An index as it is compared: whatever type its numbers have, in whatever order its options are.
#[derive(Clone, Debug, PartialEq)]
struct Compared {
    name: String,
    /// As bytes, for documents are the same in whatever order their fields are, and keys are not.
    all: RawDocumentBuf,
}

/// `None` if it cannot be written.
fn compared(index: &Document) -> Option<Compared> {
    let mut options: Vec<(String, Bson)> = index
        .iter()
        .filter(|(option, value)| {
            let is_unset = SET_OR_NOT.contains(&option.as_str()) && !is_set(value);
            !ITS_OWN_AFFAIR.contains(&option.as_str()) && !is_unset
        })
        .map(|(option, value)| {
            let value = match option.as_str() {
                "key" => value.as_document().map_or_else(|| value.clone(), |key| plain(key).into()),
                option if SET_OR_NOT.contains(&option) => true.into(),
                _ => number(value).map_or_else(|| value.clone(), Bson::Double),
            };
            (option.clone(), value)
        })
        .collect();
    options.sort_by(|(a, _), (b, _)| a.cmp(b));
    let all = Document::from_iter(options);
    let all = RawDocumentBuf::try_from(&all).ok()?;
    Some(Compared { name: index.get_str("name").unwrap_or_default().to_owned(), all })
}

fn plain(key: &Document) -> Document {
    key.iter()
        .map(|(field, direction)| {
            (field.clone(), number(direction).map_or_else(|| direction.clone(), Bson::Double))
        })
        .collect()
}

fn is_set(value: &Bson) -> bool {
    match value {
        Bson::Boolean(value) => *value,
        value => number(value).is_some_and(|number| number != 0.0),
    }
}

#[expect(clippy::cast_precision_loss, reason = "directions and seconds are small")]
fn number(value: &Bson) -> Option<f64> {
    match value {
        Bson::Int32(value) => Some(f64::from(*value)),
        Bson::Int64(value) => Some(*value as f64),
        Bson::Double(value) => Some(*value),
        _ => None,
    }
}

/// How strings are compared, in an index and in a collection.
const COLLATION: &str = "collation";
/// The index that every collection has.
const OF_ID: &str = "_id_";
/// Options by which nobody can tell two indexes apart.
const ITS_OWN_AFFAIR: [&str; 3] = ["v", "ns", "background"];
/// Options that may be left out where they are not set.
const SET_OR_NOT: [&str; 3] = ["unique", "sparse", "hidden"];
/// Above the number of indexes of any collection.
const INDEXES_MAX: i32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_the_same_whatever_the_types_and_the_order_of_what_they_have() {
        let one = doc! { "v": 2, "key": { "a": 1, "b": -1 }, "name": "n", "unique": true, "expireAfterSeconds": 60 };
        let other = doc! {
            "name": "n", "expireAfterSeconds": 60.0, "sparse": false, "unique": 1, "key": { "a": 1.0, "b": -1_i64 }, "ns": "a.b",
        };
        let compared = |index: &Document| compared(index).unwrap();
        assert_eq!(compared(&one), compared(&other));
        for (option, value) in [
            ("key", doc! { "b": -1, "a": 1 }.into()),
            ("unique", false.into()),
            ("expireAfterSeconds", 61.into()),
            ("partialFilterExpression", doc! { "a": 1 }.into()),
        ] {
            let mut changed: Document = one.clone();
            changed.insert(option, Bson::clone(&value));
            assert_ne!(compared(&one), compared(&changed), "{option}");
        }
    }
}
