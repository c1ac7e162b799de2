//! Collections as programs use them, wherever the store lives.
#![expect(clippy::duplicate_mod, reason = "the scenarios run on each deployment")]

#[path = "documents_typed/scenarios.rs"]
mod commands;
#[path = "documents_typed/scenarios.rs"]
mod embedded;
#[path = "documents_typed/scenarios.rs"]
mod replica_set;
#[path = "documents_typed/scenarios.rs"]
mod socket;
