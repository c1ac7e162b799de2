//! An index as readers and the writer know it.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::key::{KeyPattern, Keys};
use docquery::{Environment, Error, ErrorCode, Filter};

use super::IndexId;

/// An index of a collection: what it was asked for, parsed, and how far it has come.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    id: IndexId,
    /// The specification as it is listed: `v`, `key`, `name`, and the options that were given.
    spec: RawDocumentBuf,
    name: Box<str>,
    key: RawDocumentBuf,
    pattern: KeyPattern,
    unique: bool,
    sparse: bool,
    hidden: bool,
    expire_after_seconds: Option<i64>,
    partial: Option<Partial>,
    multikey: u64,
    state: IndexState,
}

/// How far an index has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IndexState {
    /// Writes maintain it, and what was there before is being added. It answers no questions yet.
    Building,
    /// It has every document that belongs into it.
    Ready,
}

/// Which documents belong into a partial index.
#[derive(Clone, Debug)]
struct Partial {
    filter: Filter,
    expression: RawDocumentBuf,
}

impl Index {
    /// Parses a specification as it is listed.
    pub(crate) fn parse(
        id: IndexId,
        spec: RawDocumentBuf,
        multikey: u64,
        state: IndexState,
    ) -> Result<Self, Error> {
        let wrong = |field: &str| {
            let message = format!("the index specification has no valid field '{field}': {spec:?}");
            Error::new(ErrorCode::CANNOT_CREATE_INDEX, message)
        };
        let key = spec.get_document("key").map_err(|_| wrong("key"))?.to_owned();
        let name = spec.get_str("name").map_err(|_| wrong("name"))?.into();
        let partial = match field(&spec, "partialFilterExpression") {
            None => None,
            Some(RawBsonRef::Document(expression)) => Some(Partial {
                filter: Filter::parse(expression, &Environment::new(0))?,
                expression: expression.to_owned(),
            }),
            Some(_) => return Err(wrong("partialFilterExpression")),
        };
        let expire_after_seconds = match field(&spec, "expireAfterSeconds") {
            None => None,
            Some(value) => Some(number(value).ok_or_else(|| wrong("expireAfterSeconds"))?),
        };
        let sparse = is_true(&spec, "sparse");
        let pattern = KeyPattern::parse(&key)?;
        Ok(Self {
            id,
            name,
            pattern: if sparse { pattern.sparse() } else { pattern },
            key,
            unique: is_true(&spec, "unique"),
            sparse,
            hidden: is_true(&spec, "hidden"),
            expire_after_seconds,
            partial,
            multikey,
            state,
            spec,
        })
    }

    /// The keys of `document` in this index: none where a sparse or a partial index leaves it out.
    pub(crate) fn keys(&self, document: &RawDocument) -> Result<Keys, Error> {
        if let Some(partial) = &self.partial
            && !partial.filter.matches(document)?
        {
            return Ok(Keys::default());
        }
        let keys = self.pattern.keys(document)?;
        if keys.keys.len() > KEYS_PER_DOCUMENT_MAX {
            let message = format!(
                "the index '{}' would have {} keys of one document; at most {KEYS_PER_DOCUMENT_MAX} are allowed",
                self.name,
                keys.keys.len()
            );
            return Err(Error::new(ErrorCode::new(CANNOT_BUILD_INDEX_KEYS), message));
        }
        Ok(keys)
    }

    pub(crate) fn id(&self) -> IndexId {
        self.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The specification as it is listed.
    pub(crate) fn spec(&self) -> &RawDocument {
        &self.spec
    }

    /// The fields and their directions.
    pub(crate) fn key(&self) -> &RawDocument {
        &self.key
    }

    /// The fields and their directions, parsed.
    pub(crate) fn pattern(&self) -> &KeyPattern {
        &self.pattern
    }

    /// Whether no two documents may have the same key.
    pub(crate) fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether it leaves out documents that have none of its fields.
    pub(crate) fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// Whether the planner is to act as if it were not there.
    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// Whether it is the index on `_id` that every collection has.
    pub(crate) fn is_id(&self) -> bool {
        &*self.name == ID_INDEX_NAME
    }

    /// How long after the date in its field a document expires.
    pub(crate) fn expire_after_seconds(&self) -> Option<i64> {
        self.expire_after_seconds
    }

    /// Which documents belong into it, if not all.
    pub(crate) fn partial_filter(&self) -> Option<&Filter> {
        self.partial.as_ref().map(|partial| &partial.filter)
    }

    /// The same as it was written.
    pub(crate) fn partial_expression(&self) -> Option<&RawDocument> {
        self.partial.as_ref().map(|partial| &*partial.expression)
    }

    /// Which fields have met an array in any document: one bit for each, the first lowest.
    pub(crate) fn multikey(&self) -> u64 {
        self.multikey
    }

    pub(crate) fn state(&self) -> IndexState {
        self.state
    }

    /// Whether it answers questions.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == IndexState::Ready
    }

    /// The same index with more fields that have met an array.
    pub(crate) fn with_multikey(&self, multikey: u64) -> Self {
        Self { multikey: self.multikey | multikey, ..self.clone() }
    }

    /// The same index, complete.
    pub(crate) fn made_ready(&self) -> Self {
        Self { state: IndexState::Ready, ..self.clone() }
    }
}

/// The specification of the index that every collection has.
pub(crate) fn id_index_spec() -> RawDocumentBuf {
    bson::rawdoc! { "v": 2, "key": { "_id": 1 }, "name": ID_INDEX_NAME }
}

/// A field of a specification, if it is there.
fn field<'a>(spec: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    spec.get(name).ok().flatten()
}

fn is_true(spec: &RawDocument, name: &str) -> bool {
    match field(spec, name) {
        Some(RawBsonRef::Boolean(value)) => value,
        Some(value) => number(value).is_some_and(|number| number != 0),
        None => false,
    }
}

/// A whole number, of whatever type.
#[expect(clippy::cast_possible_truncation, reason = "it saturates, which is what MongoDB does")]
fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        RawBsonRef::Double(number) => Some(number as i64),
        _ => None,
    }
}

/// What the index on `_id` is called.
pub(crate) const ID_INDEX_NAME: &str = "_id_";

/// How many keys one document may have in one index.
pub(crate) const KEYS_PER_DOCUMENT_MAX: usize = 100_000;

/// MongoDB's code for a document that has too many keys.
const CANNOT_BUILD_INDEX_KEYS: i32 = 201;
