//! Migrations from one store to another: of files and of replica sets.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod cut_off;
mod document_locks;
mod documents;
mod locks;
mod refusals;
mod resuming;
mod support;
