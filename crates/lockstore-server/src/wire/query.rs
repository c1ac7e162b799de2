//! `OP_QUERY`, which drivers still use for their first greeting, and its answer `OP_REPLY`.

use bson::{RawDocument, RawDocumentBuf};

use super::{OP_REPLY, WireError, assemble, split_array, split_document, split_name};

/// A command, asked for in the old way.
#[derive(Debug)]
pub(crate) struct Query {
    /// The database it is for.
    pub(crate) database: String,
    pub(crate) command: RawDocumentBuf,
}

impl Query {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WireError> {
        let malformed = || WireError::Malformed("a query is cut off");
        let (_flags, bytes) = split_array::<4>(bytes).ok_or_else(malformed)?;
        let (collection, bytes) = split_name(bytes).ok_or_else(malformed)?;
        let database = collection.strip_suffix(".$cmd");
        let database = database.ok_or(WireError::Malformed(
            "queries of collections by OP_QUERY are not served any more",
        ))?;
        let (_skip_and_return, bytes) = split_array::<8>(bytes).ok_or_else(malformed)?;
        let (command, _fields) = split_document(bytes).ok_or_else(malformed)?;
        let command = RawDocument::from_bytes(command).map_err(|_| malformed())?.to_owned();
        Ok(Self { database: database.to_owned(), command })
    }

    /// A reply as bytes.
    pub(crate) fn reply(request_id: i32, response_to: i32, reply: &RawDocument) -> Vec<u8> {
        assemble(OP_REPLY, request_id, response_to, &[&ONE_DOCUMENT, reply.as_bytes()])
    }
}

/// Flags (the server awaits data where it can, which every server says), no cursor, from the first, one document.
const ONE_DOCUMENT: [u8; 20] = [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0];
