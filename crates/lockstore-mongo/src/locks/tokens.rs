//! Fencing tokens: the time of the replica set's oplog.
//!
//! A token is given out by the primary in the write that grants: its cluster time, which is what orders the oplog, or one more than the lock's
//! last, if that is higher. So tokens of a lock rise with each grant, and a grant that began when another had been told has the higher
//! token, of whatever lock, also across a fail-over: the cluster time is ahead of every write that most members have. No counter
//! is shared by all locks, and a grant is one write.

use bson::{Bson, bson};

/// One less than the first new token.
pub(super) fn before_the_first() -> Bson {
    bson!({ "$max": [{ "$ifNull": ["$last", 0_i64] }, cluster_time()] })
}

/// The cluster time as a number: its seconds since [`EPOCH`], and how many writes there were in that second.
fn cluster_time() -> Bson {
    let seconds = bson!({ "$subtract": [{ "$tsSecond": "$$CLUSTER_TIME" }, EPOCH] });
    bson!({ "$add": [
        { "$multiply": [seconds, PER_SECOND] },
        { "$tsIncrement": "$$CLUSTER_TIME" },
    ] })
}

/// An array of documents, each new `token` of which is made one that is behind `last`.
pub(super) fn with_tokens(array: &str) -> Bson {
    // Where there is no token, its type is neither.
    let is_new =
        bson!({ "$and": [{ "$isNumber": "$$it.token" }, { "$lt": ["$$it.token", 0_i64] }] });
    bson!({ "$map": { "input": array, "as": "it", "in": { "$cond": [
        is_new,
        { "$mergeObjects": ["$$it", { "token": { "$subtract": ["$last", "$$it.token"] } }] },
        "$$it",
    ] } } })
}

/// The `_id` of the counter by which sessions and records of breaks are numbered.
pub(super) const NUMBERS: &str = "numbers";

/// The seconds since 1970 from which tokens count: 2025-01-01. A long holds those of 68 years.
const EPOCH: i64 = 1_735_689_600;
/// How many tokens there are for each second.
const PER_SECOND: i64 = 1 << 32;
