//! The records of client sessions: what was done in them, so that it is not done again.

use std::fmt;

use bincode::{Decode, Encode};
use bson::RawDocument;

use super::{Record, bounded};
use crate::codec::CodecError;
use crate::rows::TableId;

/// Client sessions: what one commit has done for one number of a session. The rows of a session that have its highest number are
/// what is remembered of it; the others were overtaken.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct ClientSessionRecordV1 {
    /// The number of the write or transaction: MongoDB's `txnNumber`; -1 for none.
    pub(crate) number: i64,
    /// When this was written, by the wall clock.
    pub(crate) used_wall_ms: u64,
    /// What was done.
    pub(crate) remembered: RememberedV1,
}

/// Part of [`ClientSessionRecordV1`]. The order of the variants is part of the format.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum RememberedV1 {
    /// Nothing yet: the session was opened.
    Opened,
    /// Documents were inserted by these statements: the first and the last of each run.
    Inserted(Vec<(i32, i32)>),
    /// One document was written by a statement.
    Written {
        /// The statement.
        statement: i32,
        /// What was inserted as nothing matched: a document that has its `_id`.
        upserted: AnswerV1,
        /// The document that a `findAndModify` answers with; `None` when it was another command.
        image: Option<AnswerV1>,
    },
    /// A command of locks was done.
    Replied {
        /// The statement.
        statement: i32,
        /// Its reply.
        reply: AnswerV1,
    },
    /// The transaction of that number was committed.
    Committed {
        /// The reply, where it tells more than that.
        reply: AnswerV1,
    },
}

/// Part of [`RememberedV1`]: a document of an answer. The order of the variants is part of the format.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) enum AnswerV1 {
    /// There is none.
    Nothing,
    /// This one, in BSON.
    Document(Vec<u8>),
    /// It is too large to be remembered.
    TooLarge,
}

impl Record for ClientSessionRecordV1 {
    const WHAT: &'static str = "client session";
    const TABLE: TableId = TableId::ClientSessions;

    fn check(&self) -> Result<(), CodecError> {
        bounded("number", self.number >= -1, self.number, "at least -1")?;
        for answer in self.remembered.answers() {
            let bytes = answer.bytes();
            let expected = format_args!("at most {ANSWER_BYTES_MAX} bytes");
            let found = format_args!("{bytes} bytes long");
            bounded("answer", bytes <= ANSWER_BYTES_MAX, found, expected)?;
        }
        Ok(())
    }
}

impl RememberedV1 {
    fn answers(&self) -> impl Iterator<Item = &AnswerV1> {
        let answers = match self {
            Self::Opened | Self::Inserted(_) => [None, None],
            Self::Written { upserted, image, .. } => [Some(upserted), image.as_ref()],
            Self::Replied { reply, .. } | Self::Committed { reply } => [Some(reply), None],
        };
        answers.into_iter().flatten()
    }
}

impl AnswerV1 {
    /// Remembers a document, if it is not too large for that.
    pub(crate) fn of(document: Option<&RawDocument>) -> Self {
        match document {
            None => Self::Nothing,
            Some(document) if document.as_bytes().len() > ANSWER_BYTES_MAX => Self::TooLarge,
            Some(document) => Self::Document(document.as_bytes().to_vec()),
        }
    }

    fn bytes(&self) -> usize {
        if let Self::Document(bytes) = self { bytes.len() } else { 0 }
    }
}

impl fmt::Debug for AnswerV1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Document(bytes) => write!(f, "Document({} bytes)", bytes.len()),
            Self::TooLarge => f.write_str("TooLarge"),
        }
    }
}

/// The largest document of an answer that is remembered, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;
