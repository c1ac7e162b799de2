//! Inside a transaction, wherever the store lives.
#![expect(clippy::duplicate_mod, reason = "the scenarios run on each deployment")]

#[path = "transactions/scenarios.rs"]
mod commands;
#[path = "transactions/scenarios.rs"]
mod embedded;
#[path = "transactions/scenarios.rs"]
mod replica_set;
#[path = "transactions/scenarios.rs"]
mod socket;
