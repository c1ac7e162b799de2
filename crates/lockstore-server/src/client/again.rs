//! Whether a command may be sent again when its connection has broken.

use bson::{RawBsonRef, RawDocument};

/// What is to be done with a command of which nobody knows whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It can be sent again: it only reads, or to do it twice is to do it once.
    Freely,
    /// It can be sent again where the server remembers that it was done: it carries a client session and a number, of
    /// ours or of the caller's.
    Remembered,
    /// It can be sent again if it says that it comes again: the server looks first whether it was done.
    Announced,
    /// It must not be sent again.
    Never,
}

impl Again {
    pub(super) fn of(command: &RawDocument) -> Self {
        let Some(Ok((name, _))) = command.iter().next() else { return Self::Freely };
        let name = name.as_str();
        let in_transaction = matches!(command.get_bool("autocommit"), Ok(false));
        if in_transaction {
            // The transaction is in a server that is gone, or has done the command already.
            if ENDS.contains(&name) { Self::Freely } else { Self::Never }
        } else if FREELY.contains(&name) {
            Self::Freely
        } else if name == "lockDocument" {
            // What is locked with a new `lockId` was locked by this very command; of another, nobody knows what it has locked before.
            let is_new = matches!(command.get_bool("newLockId"), Ok(true));
            if is_new { Self::Announced } else { Self::Remembered }
        } else if name == "aggregate" {
            if writes(command) { Self::Never } else { Self::Freely }
        } else if REMEMBERED.contains(&name) && !is_of_many(command) {
            Self::Remembered
        } else {
            Self::Never
        }
    }
}

/// Whether a command that may wait is remembered by a client session of its own.
pub(super) fn waits_remembered(command: &RawDocument) -> bool {
    let Some(Ok((name, _))) = command.iter().next() else { return false };
    let takes = matches!(name.as_str(), "lockAcquire" | "lockDocument");
    takes && Again::of(command) == Again::Remembered && matches!(command.get("lsid"), Ok(None))
}

/// Whether a pipeline ends in a stage that writes.
fn writes(aggregate: &RawDocument) -> bool {
    let Ok(pipeline) = aggregate.get_array("pipeline") else { return false };
    pipeline.into_iter().flatten().any(|stage| {
        let Some(stage) = stage.as_document() else { return false };
        stage.iter().flatten().any(|(name, _)| matches!(name.as_str(), "$out" | "$merge"))
    })
}

/// Whether one of its statements changes many documents: as in MongoDB, such a one is not remembered.
fn is_of_many(command: &RawDocument) -> bool {
    let has = |list: &str, is_of_many: fn(&RawDocument) -> bool| {
        let Ok(statements) = command.get_array(list) else { return false };
        statements.into_iter().flatten().any(|one| one.as_document().is_some_and(is_of_many))
    };
    has("updates", |update| update.get_bool("multi").unwrap_or(false))
        || has("deletes", |delete| !matches!(delete.get("limit"), Ok(Some(limit)) if is_one(limit)))
}

fn is_one(limit: RawBsonRef<'_>) -> bool {
    limit.as_i32() == Some(1) || limit.as_i64() == Some(1) || limit.as_f64() == Some(1.0)
}

/// The ends of transactions. What a commit came to is remembered.
const ENDS: &[&str] = &["abortTransaction", "commitTransaction"];

/// They only read, or say something about the server, or can be done twice.
const FREELY: &[&str] = &[
    "buildInfo",
    "buildinfo",
    "collStats",
    "connectionStatus",
    "count",
    "createIndexes",
    "dbStats",
    "distinct",
    "endSessions",
    "explain",
    "find",
    "hello",
    "inspectDocumentLock",
    "killCursors",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "lockAudit",
    "lockCheck",
    "lockCompact",
    "lockInspect",
    "lockIsHeld",
    "lockList",
    "lockRecovery",
    "lockRenew",
    "lockReserveTokens",
    "lockStats",
    "lockStoreId",
    "lockSubscribe",
    "lockUnsubscribe",
    "lockWait",
    "lockedDocuments",
    "ping",
    "refreshSessions",
    "renewDocumentLock",
    "startSession",
];

/// The server remembers what they came to.
const REMEMBERED: &[&str] = &[
    "delete",
    "findAndModify",
    "findandmodify",
    "insert",
    "lockAcquire",
    "lockBreak",
    "lockRelease",
    "unlockDocument",
    "update",
];

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn what_would_be_done_twice_is_not_sent_twice() {
        let cases = [
            (rawdoc! { "find": "c" }, Again::Freely),
            (rawdoc! { "aggregate": "c", "pipeline": [{ "$match": {} }] }, Again::Freely),
            (rawdoc! { "aggregate": "c", "pipeline": [{ "$out": "d" }] }, Again::Never),
            (rawdoc! { "insert": "c" }, Again::Remembered),
            (rawdoc! { "insert": "c", "autocommit": false }, Again::Never),
            (rawdoc! { "find": "c", "autocommit": false }, Again::Never),
            (rawdoc! { "lockAcquire": "k" }, Again::Remembered),
            (rawdoc! { "lockAcquire": "k", "autocommit": false }, Again::Never),
            (rawdoc! { "commitTransaction": 1, "autocommit": false }, Again::Freely),
            (rawdoc! { "update": "c", "updates": [{ "multi": false }] }, Again::Remembered),
            (rawdoc! { "update": "c", "updates": [{}, { "multi": true }] }, Again::Never),
            (rawdoc! { "delete": "c", "deletes": [{ "limit": 1 }] }, Again::Remembered),
            (rawdoc! { "delete": "c", "deletes": [{ "limit": 0 }] }, Again::Never),
            (rawdoc! { "lockDocument": "c", "lockId": "a", "newLockId": true }, Again::Announced),
            (rawdoc! { "lockDocument": "c", "lockId": "a" }, Again::Remembered),
            (rawdoc! { "drop": "c" }, Again::Never),
            (rawdoc! { "getMore": 1_i64 }, Again::Never),
            (rawdoc! { "somethingNew": 1 }, Again::Never),
        ];
        for (command, expected) in cases {
            assert_eq!(Again::of(&command), expected, "{command:?}");
        }
    }
}
