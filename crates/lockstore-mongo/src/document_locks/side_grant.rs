//! The keys of side grants, which no user can name: `"\0document/<database>.<collection>/<_id as Extended JSON>"`.

use bson::{Bson, DateTime, RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockcore::Key;
use lockstore::{DocumentError, ErrorCode, Refusal};

use super::transaction::simple;
use crate::locks::OWN_KEYS;

/// A collection of documents.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) database: String,
    pub(super) collection: String,
}

impl Place {
    pub(super) fn new(database: &str, collection: &str) -> Self {
        Self { database: database.into(), collection: collection.into() }
    }

    /// What it is called.
    pub(super) fn namespace(&self) -> String {
        format!("{}.{}", self.database, self.collection)
    }

    /// What the keys of its documents begin with.
    pub(super) fn prefix(&self) -> String {
        let Self { database, collection } = self;
        // The first slash behind it ends it.
        let collection = collection.replace('%', "%25").replace('/', "%2F");
        format!("{OWN_KEYS}{database}.{collection}/")
    }

    /// The key of a document, by its `_id`.
    pub(super) fn key(&self, document: &RawDocument) -> Result<Key, DocumentError> {
        let id = document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null);
        let id = Bson::try_from(id).map_err(|error| no_key(&error))?;
        let id = serde_json::to_string(&id).map_err(|error| no_key(&error))?;
        Key::new(&(self.prefix() + &id)).map_err(|error| no_key(&error))
    }

    /// The `_id` of the document of a key.
    pub(super) fn id_of(&self, key: &str) -> Option<Bson> {
        serde_json::from_str(key.strip_prefix(&self.prefix())?).ok()
    }

    /// Of which document a key is.
    pub(super) fn of(key: &str) -> Option<(Self, Bson)> {
        let (namespace, _) = key.strip_prefix(OWN_KEYS)?.split_once('/')?;
        let (database, collection) = namespace.split_once('.')?;
        let place = Self::new(database, &collection.replace("%2F", "/").replace("%25", "%"));
        let id = place.id_of(key)?;
        Some((place, id))
    }
}

/// Whether a key is one of a document.
pub(crate) fn is_side_key(key: &str) -> bool {
    key.starts_with(OWN_KEYS)
}

/// The document of a key, as somebody has locked it.
#[derive(Debug)]
pub(crate) struct Locked {
    place: Place,
    filter: RawDocumentBuf,
    by_id: RawDocumentBuf,
}

impl Locked {
    /// `None` if the key is not one of a document.
    pub(crate) fn of(key: &str, holder: &str, lock_time: Option<DateTime>) -> Option<Self> {
        let (place, id) = Place::of(key)?;
        Some(Self { place, filter: locked_by(&id, holder, lock_time), by_id: by_id(&id) })
    }

    /// Where the commands are run.
    pub(crate) fn database(&self) -> &str {
        &self.place.database
    }

    /// `find`.
    pub(crate) fn find(&self) -> RawDocumentBuf {
        rawdoc! {
            "find": self.place.collection.as_str(),
            "filter": self.filter.clone(),
            "collation": simple(),
            "projection": { "_id": 1 },
            "limit": 1,
            "singleBatch": true,
        }
    }

    /// An update that changes it, if it is locked so.
    pub(crate) fn unlock(&self) -> RawDocumentBuf {
        let update = rawdoc! { "$set": { "lock_id": null } };
        self.update([rawdoc! { "q": self.filter.clone(), "u": update, "collation": simple() }])
    }

    /// An update that changes it and changes it back, whoever has locked it.
    pub(crate) fn touch(&self) -> RawDocumentBuf {
        let touched = rawdoc! { "lock_touched": true };
        self.update(
            [rawdoc! { "$set": touched.clone() }, rawdoc! { "$unset": touched }].map(
                |update| rawdoc! { "q": self.by_id.clone(), "u": update, "collation": simple() },
            ),
        )
    }

    fn update<const N: usize>(&self, statements: [RawDocumentBuf; N]) -> RawDocumentBuf {
        let mut updates = RawArrayBuf::new();
        for statement in statements {
            updates.push(statement);
        }
        rawdoc! { "update": self.place.collection.as_str(), "updates": updates }
    }
}

/// Finds the document that has this `_id`, and is locked so, since `lock_time` if that is known. The collection may compare strings in its own way:
/// here they are what they are.
pub(super) fn locked_by(id: &Bson, lock_id: &str, lock_time: Option<DateTime>) -> RawDocumentBuf {
    let mut filter = by_id(id);
    filter.append(cstr!("lock_id"), rawdoc! { "$eq": lock_id });
    if let Some(time) = lock_time {
        filter.append(cstr!("lock_time"), rawdoc! { "$eq": time });
    }
    filter
}

/// Finds the document that has this `_id`.
pub(super) fn by_id(id: &Bson) -> RawDocumentBuf {
    let id = bson::RawBson::try_from(id.clone()).unwrap_or(bson::RawBson::Null);
    rawdoc! { "_id": { "$eq": id } }
}

fn no_key(error: &dyn std::fmt::Display) -> DocumentError {
    let message = format!("a document with this _id cannot be locked: {error}");
    Refusal::new(ErrorCode::BAD_VALUE, message).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::oid::ObjectId;
    use bson::{Uuid, doc};

    #[test]
    fn the_key_of_a_document_tells_which_it_is() {
        let ids = [
            Bson::Int32(1),
            Bson::Int64(1 << 40),
            Bson::Double(0.5),
            Bson::String("a/\"b\" %2F".into()),
            Bson::ObjectId(ObjectId::new()),
            Bson::DateTime(DateTime::from_millis(1_234_567_890_123)),
            Bson::from(Uuid::new()),
            Bson::Boolean(true),
            Bson::Document(doc! { "b": 1, "a": { "c": [] } }),
        ];
        for (collection, id) in
            ["jobs", "jobs/of %2F.mine"].into_iter().flat_map(|it| ids.clone().map(|id| (it, id)))
        {
            let place = Place::new("factory", collection);
            let mut document = RawDocumentBuf::new();
            document.append(bson::cstr!("_id"), bson::RawBson::try_from(id.clone()).unwrap());
            let key = place.key(&document).unwrap();
            assert!(is_side_key(&key));
            assert_eq!(Place::of(&key), Some((place, id)), "{key:?}");
        }
    }

    #[test]
    fn the_order_of_fields_makes_another_key() {
        let place = Place::new("factory", "jobs");
        let key = |id| place.key(&rawdoc! { "_id": id }).unwrap();
        assert_ne!(key(rawdoc! { "a": 1, "b": 2 }), key(rawdoc! { "b": 2, "a": 1 }));
    }

    #[test]
    fn an_id_that_is_too_long_for_a_key_is_refused() {
        let place = Place::new("factory", "jobs");
        let error = place.key(&rawdoc! { "_id": "x".repeat(2_000) }).unwrap_err();
        assert!(error.to_string().contains("cannot be locked"), "{error}");
    }
}
