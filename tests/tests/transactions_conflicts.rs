//! Transactions beside each other, wherever the store lives.
#![expect(clippy::duplicate_mod, reason = "the scenarios run on each deployment")]

#[path = "transactions_conflicts/scenarios.rs"]
mod commands;
#[path = "transactions_conflicts/scenarios.rs"]
mod embedded;
#[path = "transactions_conflicts/scenarios.rs"]
mod replica_set;
#[path = "transactions_conflicts/scenarios.rs"]
mod socket;
