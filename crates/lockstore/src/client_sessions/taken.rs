//! A session in which somebody writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Last, Lsid, State, Use};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::request::Task;

/// A session that its holder has for itself, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'e> {
    engine: &'e Arc<Engine>,
    lsid: Lsid,
    has_rows: AtomicBool,
    last: Option<Last>,
}

impl<'e> Taken<'e> {
    pub(super) fn new(engine: &'e Arc<Engine>, lsid: Lsid, state: State) -> Self {
        let State { has_rows, last } = state;
        Self { engine, lsid, has_rows: AtomicBool::new(has_rows), last }
    }

    pub(crate) fn engine(&self) -> &'e Arc<Engine> {
        self.engine
    }

    pub(crate) fn lsid(&self) -> Lsid {
        self.lsid
    }

    /// Its last number, and what it is used for.
    pub(crate) fn last(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// Goes on to a number. A transaction that is open under another one is aborted.
    pub(crate) fn go_on(&mut self, number: i64, used: Use) {
        if let Some(Last { number: before, used: Use::Open(transaction) }) = &self.last
            && *before != number
        {
            transaction.abort(self.engine);
        }
        self.last = Some(Last { number, used });
    }

    /// Whether anything is remembered of it on disk.
    pub(crate) fn has_rows(&self) -> bool {
        self.has_rows.load(Ordering::Relaxed)
    }

    /// What is to be told of a command that came again, when nothing is known of its session any more.
    pub(crate) fn outcome_unknown(&self) -> StoreError {
        let what = format!(
            "the client session {} of a command that was sent again has ended, so nobody knows whether it was done",
            self.lsid
        );
        StoreError::OutcomeUnknown { what: what.into() }
    }

    /// Something is remembered from now on.
    pub(super) fn has_got_rows(&self) {
        self.has_rows.store(true, Ordering::Relaxed);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let state = State { has_rows: self.has_rows(), last: self.last.take() };
        if self.engine.client_sessions.give_back(self.lsid, state, self.engine) {
            self.engine.post_or_warn(Task::EndClientSessions(vec![self.lsid]));
        }
    }
}
