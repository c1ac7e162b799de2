//! The program as its users meet it: what it prints, what it changes, and what it exits with.
//!
//! No test is decided by timing: what takes a while is waited for, and the times that appear are only long
//! enough never to matter.

#![allow(clippy::unwrap_used, reason = "these are tests, and so are the functions that they share")]

mod bad_input;
mod document_locks;
mod documents;
mod help;
mod indexes;
mod looking;
mod lost_commits;
mod migrate;
mod readme;
mod replica_set;
mod run;
mod run_lost;
mod run_signals;
mod scripts;
mod sharing;
mod store_file;
mod support;
mod transfer;
mod transfer_ended;
mod waiting;
