//! Whether a command may be sent again when it is not known what has become of it.

use bson::{RawBsonRef, RawDocument};

use super::body::name_of;

/// What is to be done with a command of which nobody knows whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It is sent again: it only reads, or doing it twice is doing it once.
    Freely,
    /// It is sent again under its number, by which the replica set knows whether it has done it.
    Numbered,
    /// It is sent again. When it makes what is there already, nobody knows by whom.
    UnlessThere,
    /// It must not be sent again.
    Never,
}

impl Again {
    pub(super) fn of(command: &RawDocument) -> Self {
        let name = name_of(command);
        match name {
            "aggregate" if writes(command) => Self::Never,
            "insert" | "findAndModify" | "findandmodify" => Self::Numbered,
            "update" | "delete" if !is_of_many(command) => Self::Numbered,
            "create" => Self::UnlessThere,
            _ if FREELY.contains(&name) => Self::Freely,
            _ => Self::Never,
        }
    }
}

/// Whether a pipeline has a stage that writes.
pub(super) fn writes(aggregate: &RawDocument) -> bool {
    let Ok(pipeline) = aggregate.get_array("pipeline") else { return false };
    pipeline.into_iter().flatten().any(|stage| {
        let Some(stage) = stage.as_document() else { return false };
        stage.iter().flatten().any(|(name, _)| matches!(name.as_str(), "$out" | "$merge"))
    })
}

/// Whether one of its statements changes many documents: MongoDB does not number such.
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

/// They only read, or say something about the server, or can be done twice.
const FREELY: &[&str] = &[
    "aggregate",
    "buildInfo",
    "buildinfo",
    "collMod",
    "collStats",
    "connectionStatus",
    "count",
    "createIndexes",
    "dbStats",
    "distinct",
    "explain",
    "find",
    "hello",
    "listCollections",
    "listDatabases",
    "listIndexes",
    "ping",
    "refreshSessions",
    "serverStatus",
];

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[test]
    fn what_would_be_done_twice_is_not_sent_twice() {
        for (command, expected) in [
            (rawdoc! { "find": "c" }, Again::Freely),
            (rawdoc! { "aggregate": "c", "pipeline": [{ "$match": {} }] }, Again::Freely),
            (rawdoc! { "aggregate": "c", "pipeline": [{ "$out": "d" }] }, Again::Never),
            (rawdoc! { "aggregate": "c", "pipeline": [{ "$merge": "d" }] }, Again::Never),
            (rawdoc! { "insert": "c" }, Again::Numbered),
            (rawdoc! { "findAndModify": "c" }, Again::Numbered),
            (rawdoc! { "update": "c", "updates": [{ "multi": false }] }, Again::Numbered),
            (rawdoc! { "update": "c", "updates": [{}, { "multi": true }] }, Again::Never),
            (rawdoc! { "delete": "c", "deletes": [{ "limit": 1 }] }, Again::Numbered),
            (rawdoc! { "delete": "c", "deletes": [{ "limit": 0 }] }, Again::Never),
            (rawdoc! { "createIndexes": "c" }, Again::Freely),
            (rawdoc! { "create": "c" }, Again::UnlessThere),
            (rawdoc! { "drop": "c" }, Again::Never),
            (rawdoc! { "dropIndexes": "c" }, Again::Never),
            (rawdoc! { "renameCollection": "a.b" }, Again::Never),
            (rawdoc! { "somethingNew": 1 }, Again::Never),
            (rawdoc! {}, Again::Never),
        ] {
            assert_eq!(Again::of(&command), expected, "{command:?}");
        }
    }
}
