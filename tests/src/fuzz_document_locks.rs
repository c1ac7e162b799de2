//! Any commands about locks of documents, on a store in which some documents are locked.

use arbitrary::{Arbitrary, Result, Unstructured};
use bson::{RawBson, RawDocumentBuf, rawdoc};
use lockstore::{Started, Store};

use crate::any_bson::AnyDocument;
use crate::any_stages::AnyStages;
use crate::fuzz_commands::{any_value, append};

/// Runs commands that are sensible in parts. Those that would wait are given up.
///
/// # Panics
///
/// When a reply does not tell whether it is one, or the store is not sound afterwards.
pub fn document_lock_commands(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let store = Store::in_memory().expect("memory is there");
    let jobs = store.database("fuzz");
    for command in furniture() {
        jobs.run_command(&command);
    }
    while let (false, Ok(command)) = (bytes.is_empty(), any_command(&mut bytes)) {
        if let Started::Reply(reply) = jobs.start_command(&command) {
            let ok = reply.get_f64("ok").unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert!(ok > 0.0 || reply.get_i32("code").is_ok(), "{command:?}: {reply:?}");
        }
        let report = store.check().expect("the store serves");
        assert!(report.is_sound(), "{command:?}: {:?}", report.problems);
    }
}

/// Four documents. The first is locked by "a" with the token 1, the second by an update.
fn furniture() -> [RawDocumentBuf; 2] {
    let documents = [
        rawdoc! { "_id": 0, "a": [1, { "b": 2 }], "b": "abc" },
        rawdoc! { "_id": 1, "a": null, "lock_id": "by hand" },
        rawdoc! { "_id": 2, "a": 5, "lock_id": null },
        rawdoc! { "_id": 3, "lock_id": { "x": 1 } },
    ];
    [
        rawdoc! { "insert": "c", "documents": documents.into_iter().collect::<bson::RawArrayBuf>() },
        rawdoc! { "lockDocument": "c", "lockId": "a", "ttlMS": 60_000 },
    ]
}

fn any_command(bytes: &mut Unstructured<'_>) -> Result<RawDocumentBuf> {
    let (name, arguments) = *bytes.choose(COMMANDS)?;
    let mut command = RawDocumentBuf::new();
    let target = if bytes.ratio(1, 16)? { any_value(bytes)? } else { RawBson::from("c") };
    append(&mut command, name, target);
    for argument in arguments {
        if bytes.ratio(1, 3)? {
            let any = bytes.ratio(1, 8)?;
            let value = if any { any_value(bytes)? } else { argument_value(bytes, argument)? };
            append(&mut command, argument, value);
        }
    }
    Ok(command)
}

/// A value of the kind that an argument takes.
fn argument_value(bytes: &mut Unstructured<'_>, argument: &str) -> Result<RawBson> {
    Ok(match argument {
        "fence" => RawBson::Document(rawdoc! {
            "key": *bytes.choose(&["\0document/1/1", "\0document/1/3", "\0document/9/9", "k"])?,
            "holder": *bytes.choose(&["a", "b"])?,
            "token": bytes.int_in_range(0..=4_i64)?,
        }),
        "update" if bytes.ratio(1, 3)? => {
            RawBson::Array(AnyStages::arbitrary(bytes)?.stages().to_owned())
        }
        "update" => {
            let path = *bytes.choose(&["a", "b", "a.b", "lock_id", "lock_time"])?;
            let mut fields = RawDocumentBuf::new();
            append(&mut fields, path, any_value(bytes)?);
            RawBson::Document(rawdoc! { "$set": fields })
        }
        "arrayFilters" => {
            let filters = Vec::<AnyDocument>::arbitrary(bytes)?;
            RawBson::Array(filters.into_iter().take(2).map(|any| any.0).collect())
        }
        "lockId" | "reason" => RawBson::from(*bytes.choose(&["a", "b", ""])?),
        "sleepMS" | "maxWaitMS" | "waitUntilNS" | "ttlMS" | "session" | "batchSize" => {
            RawBson::Int64(*bytes.choose(&[-1, 0, 1, 50_000, i64::MAX])?)
        }
        "breakLock" | "getLockedDoc" | "showToken" | "delete" | "unlessRejoined" => {
            RawBson::Boolean(bool::arbitrary(bytes)?)
        }
        _ => RawBson::Document(AnyDocument::arbitrary(bytes)?.0),
    })
}

const COMMANDS: &[(&str, &[&str])] = &[
    (
        "lockDocument",
        &[
            "filter",
            "sort",
            "hint",
            "let",
            "collation",
            "update",
            "arrayFilters",
            "projection",
            "lockId",
            "breakLock",
            "getLockedDoc",
            "sleepMS",
            "maxWaitMS",
            "waitUntilNS",
            "ttlMS",
            "session",
            "showToken",
            "lockFences",
        ],
    ),
    ("lockDocument", &["update", "lockId", "breakLock", "getLockedDoc", "ttlMS", "showToken"]),
    ("unlockDocument", &["fence", "update", "arrayFilters", "let", "delete", "unlessRejoined"]),
    ("unlockDocument", &["fence"]),
    ("renewDocumentLock", &["fence", "ttlMS"]),
    ("inspectDocumentLock", &["fence"]),
    ("lockedDocuments", &["batchSize"]),
    ("breakDocumentLocks", &["filter", "hint", "let", "reason"]),
];
