//! What a command may be in a client session, by its name.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, ErrorCode};

use super::session_fields::{Part, SessionFields};
use super::{failed, name_of};

/// The refusal of a command that is answered by whoever serves the store, such as `hello`, and says that it is part of a transaction, or a write
/// that may come again: it can be neither. `None` where it says no such thing. MongoDB 6.0's.
#[must_use]
pub fn refusal_in_session(command: &RawDocument) -> Option<RawDocumentBuf> {
    let checked = name_of(command).map_or(Ok(()), |name| check(name, Document::from(command)));
    checked.err().map(|error| failed(&error.into()))
}

fn check(name: &str, command: Document<'_>) -> Result<(), Error> {
    check_attached(name, command)?;
    match SessionFields::parse(command)?.part {
        Part::None => Ok(()),
        Part::Write { .. } => check_retryable(name),
        Part::Transaction(_) => check_in_transaction(name),
    }
}

/// Checks that a command which belongs to no session, whatever it says, is no part of what is done in one.
pub(super) fn check_attached(name: &str, command: Document<'_>) -> Result<(), Error> {
    let says = |field| !command.get(field).is_missing();
    match UNATTACHED.contains(&name) {
        true if says("autocommit") => check_in_transaction(name),
        true if says("txnNumber") && !says("startTransaction") => check_retryable(name),
        _ => Ok(()),
    }
}

/// Checks that a command may run in a transaction.
pub(super) fn check_in_transaction(name: &str) -> Result<(), Error> {
    if IN_TRANSACTIONS.contains(&name) {
        return Ok(());
    }
    let message = if UNATTACHED.contains(&name) {
        "This command is not supported in transactions".to_owned()
    } else {
        format!("Cannot run '{name}' in a multi-document transaction.")
    };
    Err(Error::new(ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION, message))
}

/// Checks that a command may come again under its number.
pub(super) fn check_retryable(name: &str) -> Result<(), Error> {
    if RETRYABLE.contains(&name) {
        return Ok(());
    }
    if UNATTACHED.contains(&name) || name.ends_with("Session") || name.ends_with("Sessions") {
        let message = "It is illegal to provide a txnNumber for this command";
        return Err(Error::location(50889, message));
    }
    let message = format!(
        "txnNumber may only be provided for multi-document transactions and retryable write commands. autocommit:false was not \
         provided, and {name} is not a retryable write command."
    );
    Err(Error::new(ErrorCode::NOT_A_RETRYABLE_WRITE_COMMAND, message))
}

/// The commands that may run in a transaction; these are MongoDB's, but for those that make collections and indexes, and of ours one
/// that only reads, and those that are for the commit.
pub(super) const IN_TRANSACTIONS: [&str; 14] = [
    "aggregate",
    "delete",
    "distinct",
    "find",
    "findAndModify",
    "findandmodify",
    "getMore",
    "insert",
    "killCursors",
    "lockAcquire",
    "lockRelease",
    "lockRenew",
    "lockedDocuments",
    "update",
];

/// The commands that are done once under a number, however often they come.
const RETRYABLE: [&str; 7] = [
    "delete",
    "findAndModify",
    "findandmodify",
    "insert",
    "lockDocument",
    "unlockDocument",
    "update",
];

/// The commands about a connection, which belong to no session.
const UNATTACHED: [&str; 8] = [
    "buildInfo",
    "buildinfo",
    "connectionStatus",
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "whatsmyuri",
];
