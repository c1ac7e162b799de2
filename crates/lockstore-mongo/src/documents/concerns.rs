//! What reads may see, and when a write is done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, Timestamp, cstr, rawdoc};
use mongodb::options::{Acknowledgment, ReadConcern, TransactionOptions, WriteConcern};

use super::again::writes;
use super::body::{has_field, name_of};
use crate::options::{Reads, ReplicaSetOptions};

/// The concerns of all commands.
#[derive(Debug)]
pub(super) struct Concerns {
    reads: Reads,
    write_timeout: Duration,
    /// The time of the last write that is known to be on most members: reads see it, whoever is the primary then.
    acknowledged: AtomicU64,
}

impl Concerns {
    pub(super) fn new(options: &ReplicaSetOptions) -> Self {
        let ReplicaSetOptions { reads, write_timeout, .. } = options;
        Self { reads: *reads, write_timeout: *write_timeout, acknowledged: AtomicU64::new(0) }
    }

    /// Adds those that the command `of` has not, outside of transactions.
    pub(super) fn add(&self, body: &mut RawDocumentBuf, of: &RawDocument) {
        if takes_read_concern(of) && !has_field(of, "readConcern") {
            body.append(cstr!("readConcern"), self.read_concern(of));
        }
        if takes_write_concern(of) && !has_field(of, "writeConcern") {
            let timeout = i64::try_from(self.write_timeout.as_millis()).unwrap_or(i64::MAX);
            body.append(cstr!("writeConcern"), rawdoc! { "w": "majority", "wtimeout": timeout });
        }
    }

    /// Those of a transaction: it sees what most members have, as of one moment, and its commit is on most members.
    pub(super) fn of_transaction(&self) -> TransactionOptions {
        let majority = WriteConcern::builder()
            .w(Acknowledgment::Majority)
            .w_timeout(self.write_timeout)
            .build();
        TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(majority)
            .build()
    }

    /// A write is on most members as of this reply.
    pub(super) fn saw(&self, reply: &RawDocument) {
        if let Ok(time) = reply.get_timestamp("operationTime") {
            self.saw_time(time);
        }
    }

    pub(super) fn saw_time(&self, Timestamp { time, increment }: Timestamp) {
        let at = (u64::from(time) << 32) | u64::from(increment);
        self.acknowledged.fetch_max(at, Ordering::AcqRel);
    }

    /// What the next read is to see.
    pub(super) fn acknowledged(&self) -> Option<Timestamp> {
        let at = self.acknowledged.load(Ordering::Acquire);
        let halves = (u32::try_from(at >> 32), u32::try_from(at & u64::from(u32::MAX)));
        let (Ok(time), Ok(increment)) = halves else { return None };
        (at > 0).then_some(Timestamp { time, increment })
    }

    fn read_concern(&self, of: &RawDocument) -> RawDocumentBuf {
        if self.reads == Reads::Linearizable && !writes(of) {
            return rawdoc! { "level": "linearizable" };
        }
        let mut concern = rawdoc! { "level": "majority" };
        if let Some(time) = self.acknowledged() {
            concern.append(cstr!("afterClusterTime"), time);
        }
        concern
    }
}

fn takes_read_concern(command: &RawDocument) -> bool {
    match name_of(command) {
        "aggregate" => !is_about_the_server(command),
        name => matches!(name, "count" | "distinct" | "find"),
    }
}

pub(crate) fn takes_write_concern(command: &RawDocument) -> bool {
    let name = name_of(command);
    WRITES.contains(&name) || (name == "aggregate" && writes(command))
}

/// Whether a pipeline begins with a stage that tells of a server, which MongoDB runs only with what that server has itself.
fn is_about_the_server(aggregate: &RawDocument) -> bool {
    let Ok(pipeline) = aggregate.get_array("pipeline") else { return false };
    let Some(Ok(first)) = pipeline.into_iter().next() else { return false };
    first.as_document().is_some_and(|stage| LOCAL_STAGES.contains(&name_of(stage)))
}

const WRITES: [&str; 14] = [
    "collMod",
    "create",
    "createIndexes",
    "delete",
    "deleteIndexes",
    "drop",
    "dropDatabase",
    "dropIndexes",
    "findAndModify",
    "findandmodify",
    "insert",
    "renameCollection",
    "setIndexCommitQuorum",
    "update",
];

const LOCAL_STAGES: [&str; 6] = [
    "$collStats",
    "$currentOp",
    "$indexStats",
    "$listLocalSessions",
    "$listSessions",
    "$planCacheStats",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_to_see_the_last_write_that_was_acknowledged() {
        let concerns = Concerns::new(&ReplicaSetOptions::new());
        let concern_of = |command: RawDocumentBuf| {
            let mut body = command.clone();
            concerns.add(&mut body, &command);
            body
        };
        let find = rawdoc! { "find": "c" };
        let plain = rawdoc! { "find": "c", "readConcern": { "level": "majority" } };
        assert_eq!(concern_of(find.clone()), plain);
        let (early, late) =
            (Timestamp { time: 7, increment: 1 }, Timestamp { time: 7, increment: 2 });
        for time in [late, early] {
            concerns.saw(&rawdoc! { "ok": 1.0, "operationTime": time });
        }
        let after = rawdoc! { "find": "c", "readConcern": { "level": "majority", "afterClusterTime": late } };
        assert_eq!(concern_of(find), after);
    }

    #[test]
    fn a_concern_that_the_caller_has_given_stays() {
        let concerns = Concerns::new(&ReplicaSetOptions::new());
        for command in [
            rawdoc! { "find": "c", "readConcern": { "level": "local" } },
            rawdoc! { "insert": "c", "writeConcern": { "w": 1 } },
            rawdoc! { "aggregate": "c", "pipeline": [{ "$indexStats": {} }] },
            rawdoc! { "listIndexes": "c" },
        ] {
            let mut body = command.clone();
            concerns.add(&mut body, &command);
            assert_eq!(body, command);
        }
    }
}
