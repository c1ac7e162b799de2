//! What the fuzz target `command` does: any commands on a store with a few documents and indexes.

use arbitrary::{Arbitrary, Result, Unstructured};
use bson::raw::CString;
use bson::{RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};
use lockstore::Store;

use crate::any_bson::AnyDocument;
use crate::any_stages::AnyStages;

/// Runs commands, each of them damaged, nonsense, or sensible in parts.
///
/// # Panics
///
/// When a reply does not tell whether it is one, or the store is not sound afterwards.
pub fn command(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(commands) = commands(&mut bytes) else { return };
    let store = Store::in_memory().expect("memory is there");
    let database = store.database("fuzz");
    for command in furniture().iter().chain(&commands) {
        let reply = database.run_command(command);
        let ok = reply.get_f64("ok").unwrap_or_else(|error| panic!("{command:?}: {error}"));
        assert!(ok > 0.0 || reply.get_i32("code").is_ok(), "{command:?}: {reply:?}");
    }
    let report = store.check().expect("the store serves");
    assert!(report.is_sound(), "{commands:?}: {:?}", report.problems);
}

/// What every case begins with.
fn furniture() -> [RawDocumentBuf; 2] {
    let documents = [
        rawdoc! { "_id": 0, "a": [1, { "b": 2 }, [3]], "b": "abc" },
        rawdoc! { "_id": 1, "a": { "b": [1.5, null] }, "x": 1_i64 },
        rawdoc! { "_id": 2, "a": null, "c": { "b": { "c": true } } },
        rawdoc! { "_id": 3 },
    ];
    let documents: RawArrayBuf = documents.into_iter().collect();
    [
        rawdoc! { "createIndexes": "c", "indexes": [
            { "key": { "a": 1 }, "name": "a" },
            { "key": { "a.b": -1, "x": 1 }, "name": "compound", "sparse": true },
            { "key": { "c": 1 }, "name": "c", "partialFilterExpression": { "x": { "$gt": 0 } } },
        ] },
        rawdoc! { "insert": "c", "documents": documents },
    ]
}

fn commands(bytes: &mut Unstructured<'_>) -> Result<Vec<RawDocumentBuf>> {
    let mut commands = Vec::new();
    for _ in 0..bytes.int_in_range(1..=3)? {
        commands.push(any_command(bytes)?);
    }
    Ok(commands)
}

fn any_command(bytes: &mut Unstructured<'_>) -> Result<RawDocumentBuf> {
    if bytes.ratio(1, 16)? {
        let length = bytes.int_in_range(0..=256)?;
        let damaged = RawDocumentBuf::from_bytes(bytes.bytes(length)?.to_vec());
        return Ok(damaged.unwrap_or_default());
    }
    let name = *bytes.choose(COMMANDS)?;
    let mut command = RawDocumentBuf::new();
    let target = if bytes.ratio(1, 16)? { any_value(bytes)? } else { RawBson::from("c") };
    append(&mut command, name, target);
    for _ in 0..bytes.int_in_range(0..=4)? {
        let argument = *bytes.choose(ARGUMENTS)?;
        let value = argument_value(bytes, argument)?;
        append(&mut command, argument, value);
    }
    Ok(command)
}

/// A value for an argument: of the kind that it takes, most of the time.
fn argument_value(bytes: &mut Unstructured<'_>, argument: &str) -> Result<RawBson> {
    if bytes.ratio(1, 8)? {
        return any_value(bytes);
    }
    Ok(match argument {
        "updates" => statements(bytes, &["q", "u", "arrayFilters", "multi", "upsert", "hint"])?,
        "deletes" => statements(bytes, &["q", "limit", "hint"])?,
        "indexes" => statements(bytes, &["key", "name", "unique", "partialFilterExpression"])?,
        "documents" | "arrayFilters" => {
            let documents = Vec::<AnyDocument>::arbitrary(bytes)?;
            RawBson::Array(documents.into_iter().take(4).map(|any| any.0).collect())
        }
        "pipeline" => RawBson::Array(AnyStages::arbitrary(bytes)?.stages().to_owned()),
        "u" | "update" if bytes.ratio(1, 4)? => {
            RawBson::Array(AnyStages::arbitrary(bytes)?.stages().to_owned())
        }
        "limit" | "skip" | "batchSize" => RawBson::Int32(bytes.int_in_range(-1..=3)?),
        "multi" | "upsert" | "unique" | "new" | "remove" | "ordered" | "singleBatch" => {
            RawBson::Boolean(bool::arbitrary(bytes)?)
        }
        "name" | "hint" | "index" | "key" if bytes.ratio(1, 2)? => {
            RawBson::from(*bytes.choose(&["a", "compound", "c", "a.b", "_id_", "_id"])?)
        }
        "key" | "sort" | "projection" | "fields" | "keyPattern" if bytes.ratio(1, 2)? => {
            let mut key = RawDocumentBuf::new();
            for _ in 0..bytes.int_in_range(1..=3)? {
                let path = *bytes.choose(&["a", "a.b", "x", "c", "_id", "a.0"])?;
                append(
                    &mut key,
                    path,
                    RawBson::Int32(if bool::arbitrary(bytes)? { 1 } else { -1 }),
                );
            }
            RawBson::Document(key)
        }
        "cursor" => RawBson::Document(RawDocumentBuf::new()),
        _ => RawBson::Document(AnyDocument::arbitrary(bytes)?.0),
    })
}

/// The statements of a command that takes many: each has the first two fields, and perhaps others.
fn statements(bytes: &mut Unstructured<'_>, fields: &[&str]) -> Result<RawBson> {
    let mut statements = RawArrayBuf::new();
    for _ in 0..bytes.int_in_range(1..=2)? {
        let mut statement = RawDocumentBuf::new();
        for (place, field) in fields.iter().enumerate() {
            if place < 2 || bytes.ratio(1, 3)? {
                let value = argument_value(bytes, field)?;
                append(&mut statement, field, value);
            }
        }
        statements.push(statement);
    }
    Ok(RawBson::Array(statements))
}

pub(crate) fn any_value(bytes: &mut Unstructured<'_>) -> Result<RawBson> {
    let document = AnyDocument::arbitrary(bytes)?.0;
    let first = document.iter().next().and_then(std::result::Result::ok);
    let first = first.map(|(_, value)| RawBson::from(value));
    Ok(first.unwrap_or(RawBson::Document(document)))
}

pub(crate) fn append(document: &mut RawDocumentBuf, name: &str, value: RawBson) {
    let name = CString::try_from(name).expect("a name without zero bytes");
    document.append(name, value);
}

const COMMANDS: &[&str] = &[
    "find",
    "find",
    "insert",
    "update",
    "update",
    "delete",
    "findAndModify",
    "aggregate",
    "count",
    "distinct",
    "createIndexes",
    "dropIndexes",
    "listIndexes",
    "listCollections",
    "collMod",
    "create",
    "drop",
    "explain",
    "getMore",
    "killCursors",
    "dropDatabase",
    "ping",
    "nothing",
];

const ARGUMENTS: &[&str] = &[
    "filter",
    "query",
    "q",
    "sort",
    "projection",
    "fields",
    "skip",
    "limit",
    "batchSize",
    "singleBatch",
    "hint",
    "documents",
    "ordered",
    "updates",
    "deletes",
    "indexes",
    "index",
    "update",
    "u",
    "new",
    "upsert",
    "remove",
    "arrayFilters",
    "pipeline",
    "cursor",
    "key",
    "collation",
    "let",
    "writeConcern",
    "readConcern",
    "maxTimeMS",
    "expireAfterSeconds",
    "validator",
    "min",
    "max",
    "collection",
    "cursors",
    "$db",
];
