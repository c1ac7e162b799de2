//! What goes wrong with documents: MongoDB's errors, and the store's own.

use std::borrow::Cow;
use std::fmt;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, ErrorCode};

use super::shell::Shell;
use super::{AcquireError, LockLost, PartialWrite, StoreError, TransactionEnd, TransactionSize};
use crate::disk::DiskError;
use crate::remote::form::store_error::code_of;

/// Why an operation on documents was not done. Nothing has changed, unless the operation is one of many
/// documents and says how far it came.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It was refused as MongoDB refuses it.
    #[error(transparent)]
    Refused(#[from] Error),
    /// A document has a key already that may be there only once.
    #[error(transparent)]
    DuplicateKey(#[from] Box<DuplicateKey>),
    /// A value that was given cannot be written as BSON, or is no document. Nothing was done.
    #[error("a value cannot be written as a BSON document: {0}")]
    Serialize(#[source] Box<bson::error::Error>),
    /// A document that was found cannot be read as the type that was asked for. A change of that document
    /// has been made all the same, durably.
    #[error("a document cannot be read as the type of the collection: {0}")]
    Deserialize(#[source] Box<bson::error::Error>),
    /// Of many writes, some were done, durably, and others were not.
    #[error(transparent)]
    Partial(#[from] Box<PartialWrite>),
    /// A [`Fence`](crate::Fence) does not hold: the grant that the write relies on is over.
    #[error(transparent)]
    LockLost(#[from] Box<LockLost>),
    /// The commit of a transaction met something that has changed since it began. Run it again.
    #[error("write conflict: {what} since the transaction began; run it again")]
    WriteConflict {
        /// What has changed.
        what: Box<str>,
    },
    /// A transaction has changed more than one may. It is aborted.
    #[error("the transaction is too large: {0}")]
    TransactionTooLarge(Box<TransactionSize>),
    /// The transaction is over.
    #[error("the transaction is over: {0}")]
    TransactionOver(TransactionEnd),
    /// A lock was not acquired in a transaction.
    #[error(transparent)]
    Acquire(#[from] Box<AcquireError>),
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DocumentError {
    pub(crate) fn write_conflict(what: impl Into<Box<str>>) -> Self {
        Self::WriteConflict { what: what.into() }
    }

    /// Whether the whole transaction may well succeed if it is run again: MongoDB's label `TransientTransactionError`.
    /// [`Store::transaction`](crate::Store::transaction) has done so already after conflicts.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::WriteConflict { .. }
                | Self::TransactionOver(TransactionEnd::Expired { .. } | TransactionEnd::Lost)
        )
    }

    /// Whether [`Store::transaction`](crate::Store::transaction) runs the transaction again.
    pub(crate) fn runs_again(&self) -> bool {
        matches!(self, Self::WriteConflict { .. } | Self::TransactionOver(TransactionEnd::Lost))
    }

    /// Whether what follows in the same request would fail too: the store cannot serve, or the transaction is over.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Store(_) | Self::TransactionTooLarge(_) | Self::TransactionOver(_))
    }

    /// Whether the rest of a request of many writes is not tried, though its order does not matter: it would fail too, or there is no
    /// time left.
    pub(crate) fn ends_request(&self) -> bool {
        self.is_final() || self.code() == ErrorCode::MAX_TIME_MS_EXPIRED
    }

    /// MongoDB's code for it; that of the first error where there are several,
    /// [`SHUTDOWN_IN_PROGRESS`](ErrorCode::SHUTDOWN_IN_PROGRESS) when the store is closed or has stopped, and
    /// [the store's own](crate::remote#their-errors) when it cannot serve for another reason.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(error) => error.code(),
            Self::DuplicateKey(_) => ErrorCode::DUPLICATE_KEY,
            Self::Serialize(_) => ErrorCode::BAD_VALUE,
            Self::Deserialize(_) => ErrorCode::CONVERSION_FAILURE,
            Self::Partial(partial) => partial.first().1.code(),
            Self::LockLost(_) => ErrorCode::LOCK_FAILED,
            Self::WriteConflict { .. } => ErrorCode::WRITE_CONFLICT,
            Self::TransactionTooLarge(_) => ErrorCode::TRANSACTION_TOO_LARGE,
            Self::TransactionOver(TransactionEnd::Expired { .. }) => {
                ErrorCode::TRANSACTION_EXCEEDED_LIFETIME_LIMIT_SECONDS
            }
            Self::TransactionOver(_) => ErrorCode::NO_SUCH_TRANSACTION,
            Self::Acquire(error) => match **error {
                AcquireError::Argument(_) => ErrorCode::BAD_VALUE,
                AcquireError::Store(ref error) => store_code(error),
                _ => ErrorCode::LOCK_BUSY,
            },
            Self::Store(error) => store_code(error),
        }
    }

    /// The name of the code: `DuplicateKey`.
    pub fn code_name(&self) -> Cow<'static, str> {
        match self {
            Self::Store(error) => store_code_name(error),
            Self::Acquire(error) => match **error {
                AcquireError::Store(ref error) => store_code_name(error),
                _ => self.code().name(),
            },
            Self::Partial(partial) => partial.first().1.code_name(),
            _ => self.code().name(),
        }
    }
}

/// The code of a store that cannot serve. One that was closed, or has stopped, goes down as a server of MongoDB's that is shut
/// down: drivers ask the next one.
fn store_code(error: &StoreError) -> ErrorCode {
    match error {
        StoreError::Closed | StoreError::Poisoned { .. } => ErrorCode::SHUTDOWN_IN_PROGRESS,
        _ => ErrorCode::new(code_of(error).number()),
    }
}

fn store_code_name(error: &StoreError) -> Cow<'static, str> {
    match error {
        StoreError::Closed | StoreError::Poisoned { .. } => store_code(error).name(),
        _ => Cow::Borrowed(code_of(error).name()),
    }
}

impl From<DiskError> for DocumentError {
    fn from(error: DiskError) -> Self {
        StoreError::from(error).into()
    }
}

impl From<AcquireError> for DocumentError {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Store(error) => error.into(),
            error => Box::new(error).into(),
        }
    }
}

impl From<DuplicateKey> for DocumentError {
    fn from(error: DuplicateKey) -> Self {
        Box::new(error).into()
    }
}

impl From<PartialWrite> for DocumentError {
    fn from(error: PartialWrite) -> Self {
        Box::new(error).into()
    }
}

/// A key of a unique index that two documents would have.
#[derive(Clone, Debug, PartialEq)]
pub struct DuplicateKey {
    collection: Box<str>,
    index: Box<str>,
    pattern: RawDocumentBuf,
    value: RawDocumentBuf,
}

impl DuplicateKey {
    pub(crate) fn new(
        collection: &str,
        index: &str,
        pattern: &RawDocument,
        value: RawDocumentBuf,
    ) -> Self {
        Self {
            collection: collection.into(),
            index: index.into(),
            pattern: pattern.to_owned(),
            value,
        }
    }

    /// The collection, with its database: `shop.orders`.
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The name of the index.
    pub fn index(&self) -> &str {
        &self.index
    }

    /// The fields of the index and their directions, as MongoDB's `keyPattern`.
    pub fn pattern(&self) -> &RawDocument {
        &self.pattern
    }

    /// The values that are there already, as MongoDB's `keyValue`.
    pub fn value(&self) -> &RawDocument {
        &self.value
    }
}

impl fmt::Display for DuplicateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, index, value, .. } = self;
        write!(
            f,
            "E11000 duplicate key error collection: {collection} index: {index} dup key: {}",
            Shell(value)
        )
    }
}

impl std::error::Error for DuplicateKey {}
