//! What the scenario, crash and conformance tests share; the tests are in the `tests` folder.

pub mod account;
pub mod any_bson;
pub mod any_row;
pub mod any_stages;
pub mod call;
pub mod conformance;
pub mod contender;
pub mod decode_row;
pub mod deployment;
pub mod dice;
pub mod document_contender;
pub mod document_script;
pub mod document_worker;
pub mod fact;
pub mod fuzz_commands;
pub mod fuzz_document_locks;
pub mod fuzz_documents;
pub mod fuzz_message;
pub mod journal_bytes;
pub mod machine;
pub mod open_bytes;
pub mod patience;
pub mod polling;
pub mod presence;
pub mod queue_worker;
#[cfg(feature = "replica-set")]
pub mod replicated;
pub mod script;
pub mod served;
pub mod storage;
pub mod task;
pub mod worker;

use std::time::Duration;

/// How many threads are busy in a process that is killed.
pub const THREADS: u64 = 8;

/// The restart grace of a store that is opened again and again within seconds.
pub const GRACE: Duration = Duration::from_millis(10);
