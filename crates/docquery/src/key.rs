//! Index keys: bytes that sort as the values do.

use bson::RawDocument;

use crate::{Error, ErrorCode, Result, Value};

/// The fields of an index and their directions, parsed.
#[derive(Clone, Debug)]
pub struct KeyPattern {}

/// The keys of one document in one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// The keys, in order, each once.
    pub keys: Vec<Box<[u8]>>,
    /// Which fields of the index met an array: one bit for each, the first lowest.
    pub multikey: u64,
    /// Whether the document has none of the fields: a sparse index leaves it out.
    pub missing: bool,
}

impl KeyPattern {
    /// Parses a key pattern: `{a: 1, "b.c": -1}`.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no key pattern.
    pub fn parse(pattern: &RawDocument) -> Result<Self> {
        let _ = pattern;
        Err(Error::new(ErrorCode::INTERNAL_ERROR, "index keys are being built"))
    }

    /// The keys of `document`.
    ///
    /// # Errors
    ///
    /// The document has arrays in more than one field of the index.
    pub fn keys(&self, document: &RawDocument) -> Result<Keys> {
        let _ = document;
        Ok(Keys::default())
    }
}

/// Appends the bytes of `value` to `key`: they sort as the values do, equal values have equal bytes, and none is the
/// beginning of another.
pub fn encode(value: Value<'_>, key: &mut Vec<u8>) {
    let _ = (value, key);
}
