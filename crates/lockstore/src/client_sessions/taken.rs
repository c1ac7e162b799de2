//! A session in which somebody writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Last, Lsid, Memory, Rows, State, Use, Waits};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::request::Task;

/// A session that its holder has for itself, until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken<'e> {
    engine: &'e Arc<Engine>,
    lsid: Lsid,
    memory: Mutex<Memory>,
    last: Option<Last>,
}

impl<'e> Taken<'e> {
    pub(super) fn new(engine: &'e Arc<Engine>, lsid: Lsid, state: State) -> Self {
        let State { memory, last } = state;
        Self { engine, lsid, memory: Mutex::new(memory), last }
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

    /// Whether anything may be remembered of it on disk.
    pub(crate) fn has_rows(&self) -> bool {
        self.memory().may_have_rows()
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
        self.memory().rows = Rows::There;
    }

    /// Something waits in it from now on, and may be remembered from some time on. The session is in use for as long as that holds this.
    pub(super) fn wait(&self) -> Arc<Waits> {
        self.memory().wait()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut *self.memory());
        let state = State { memory, last: self.last.take() };
        if self.engine.client_sessions.give_back(self.lsid, state, self.engine) {
            self.engine.post_or_warn(Task::EndClientSessions(vec![self.lsid]));
        }
    }
}
