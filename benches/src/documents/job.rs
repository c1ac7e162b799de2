//! The documents that are measured with: jobs of a workflow, about 600 bytes each.

use bson::oid::ObjectId;
use bson::{DateTime, RawDocumentBuf, rawdoc};
use serde_json::json;

use crate::random::Random;

/// What a job is found by.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) id: ObjectId,
    /// The same as text.
    pub(crate) id_text: String,
    pub(crate) db_id: String,
    pub(crate) uuid: String,
}

/// What an update sets.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) priority: i32,
    pub(crate) updated_on_ms: i64,
    pub(crate) lock_id: String,
}

impl Names {
    /// Those of the job with this number.
    pub(crate) fn new(number: usize) -> Self {
        let mut bytes = *b"lock\0\0\0\0\0\0\0\0";
        bytes[4..].copy_from_slice(&(number as u64).to_be_bytes());
        let id = ObjectId::from_bytes(bytes);
        Self {
            id,
            id_text: id.to_hex(),
            db_id: format!("job-{number:08}"),
            uuid: format!("{number:08x}-5bd1-4e95-91e5-{:012x}", number * 7919),
        }
    }

    /// Those of jobs chosen at random from the ones whose number `among` gives.
    pub(crate) fn sample(among: impl Iterator<Item = usize>) -> Vec<Self> {
        let mut numbers: Vec<_> = among.collect();
        Random::new().shuffle(&mut numbers);
        numbers.truncate(SAMPLE);
        numbers.into_iter().map(Self::new).collect()
    }
}

impl Mark {
    /// The mark that the update with this number sets.
    pub(crate) fn new(number: usize) -> Self {
        let number = number as u64;
        Self {
            priority: i32::try_from(number % 1_000).expect("it is below 1,000"),
            updated_on_ms: FIRST_MS + number.cast_signed(),
            lock_id: format!("worker-{:02}/{number:016x}", number % 64),
        }
    }
}

/// A job as BSON.
pub(crate) fn bson(number: usize) -> RawDocumentBuf {
    let (names, mark) = (Names::new(number), Mark::new(number));
    rawdoc! {
        "_id": names.id,
        "db_id": names.db_id,
        "uuid": names.uuid,
        "index": index(number),
        "name": name(number),
        "state": state(number),
        "priority": mark.priority,
        "created_on": DateTime::from_millis(FIRST_MS),
        "updated_on": DateTime::from_millis(mark.updated_on_ms),
        "parents": ["8c1f1c2e-0b7a-4a55-9a34-2f4dd8ab4f10", "f2a9d3b0-5cf2-4f39-b5b0-7ac7d2a9b1c4"],
        "worker": "cluster-a",
        "remote": {
            "step_attempts": attempts(number),
            "queue_state": "FINISHED",
            "process_id": "4711",
            "retry_time_limit": null,
            "error": null,
            "run_dir": run_dir(number),
        },
        "run": { "start_time": DateTime::from_millis(FIRST_MS), "exit_code": 0, "cpu_hours": 1.25 },
        "lock_id": mark.lock_id,
        "lock_time": null,
        "tags": ["relax", "pbe", "batch-2026-11"],
    }
}

/// The same job as JSON, its dates as numbers.
pub(crate) fn json(number: usize) -> String {
    let (names, mark) = (Names::new(number), Mark::new(number));
    let job = json!({
        "_id": names.id_text,
        "db_id": names.db_id,
        "uuid": names.uuid,
        "index": index(number),
        "name": name(number),
        "state": state(number),
        "priority": mark.priority,
        "created_on": FIRST_MS,
        "updated_on": mark.updated_on_ms,
        "parents": ["8c1f1c2e-0b7a-4a55-9a34-2f4dd8ab4f10", "f2a9d3b0-5cf2-4f39-b5b0-7ac7d2a9b1c4"],
        "worker": "cluster-a",
        "remote": {
            "step_attempts": attempts(number),
            "queue_state": "FINISHED",
            "process_id": "4711",
            "retry_time_limit": null,
            "error": null,
            "run_dir": run_dir(number),
        },
        "run": { "start_time": FIRST_MS, "exit_code": 0, "cpu_hours": 1.25 },
        "lock_id": mark.lock_id,
        "lock_time": null,
        "tags": ["relax", "pbe", "batch-2026-11"],
    });
    job.to_string()
}

/// Where the job stands in the queue.
pub(crate) fn index(number: usize) -> i64 {
    i64::try_from(number).expect("there are not so many")
}

fn name(number: usize) -> String {
    format!("static calculation {number:08}")
}

fn state(number: usize) -> &'static str {
    if number.is_multiple_of(QUEUED_EACH) { READY } else { "COMPLETED" }
}

fn attempts(number: usize) -> i32 {
    i32::try_from(number % 5).expect("it is below 5")
}

fn run_dir(number: usize) -> String {
    format!("/scratch/runs/{:02x}/{number:08}_1", number % 256)
}

/// The state of a job that waits in the queue.
pub(crate) const READY: &str = "READY";
/// The state of a job that was taken from the queue, as long as the other.
pub(crate) const TAKEN: &str = "TAKEN";

/// One job of so many is in the queue.
const QUEUED_EACH: usize = 10;
/// How many jobs are asked for again and again.
const SAMPLE: usize = 10_000;
const FIRST_MS: i64 = 1_790_000_000_000;
