//! The lock commands: what [`form`](crate::remote::form) reads is asked of the engine, and what that answers is written.

mod calls;
pub(super) mod changes;
pub(crate) mod documents;
mod next_events;
mod queries;
mod subscriptions;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error};
use lockcore::Wait;

use super::Waits;
use super::caller::Caller;
use super::started::Started;
use crate::engine::Engine;
use crate::remote::LockCall;
use crate::remote::form::call;
use crate::remote::form::query::Query;

use calls::Once;
pub(crate) use subscriptions::Subscriptions;

/// A lock command.
pub(super) enum LockCommand<'a> {
    /// A call about a lock.
    Call(LockCall),
    /// Anything else.
    Query(Query<'a>),
}

impl<'a> LockCommand<'a> {
    /// The lock command that `name` names; `None` when there is none of that name.
    pub(super) fn parse(
        engine: &Engine,
        name: &str,
        command: Document<'a>,
    ) -> Option<Result<Self, Error>> {
        if !name.starts_with("lock") {
            return None;
        }
        call::parse(name, command, engine.clock.now())
            .map(|call| call.map(Self::Call))
            .or_else(|| Query::parse(name, command).map(|query| query.map(Self::Query)))
    }

    /// Runs it. It blocks as long as it has to wait for a lock.
    pub(super) fn run(self, engine: &Arc<Engine>, command: &RawDocument) -> RawDocumentBuf {
        match self {
            Self::Call(call) => match calls::once(engine, &call, command) {
                Once::Replied(reply) => reply,
                Once::Unnumbered => calls::run(engine, call, None),
                Once::Waits(origin) => calls::run(engine, call, Some(origin)),
            },
            Self::Query(query) => queries::run(engine, Caller::Owner, &query),
        }
    }

    /// Starts it. It is pending when it has to wait for what `waits` leaves out.
    pub(super) fn start(
        self,
        engine: &Arc<Engine>,
        caller: Caller,
        waits: Waits,
        command: &RawDocument,
    ) -> Started {
        match self {
            Self::Call(call) => match calls::once(engine, &call, command) {
                Once::Replied(reply) => Started::Reply(reply),
                Once::Unnumbered if waits.cover(call.wait() != Wait::No) => {
                    Started::Reply(calls::run(engine, call, None))
                }
                Once::Unnumbered => calls::start(engine, call, None),
                Once::Waits(origin) => calls::start(engine, call, Some(origin)),
            },
            Self::Query(Query::NextEvents { subscription }) => {
                next_events::start(engine, subscription)
            }
            Self::Query(query) => Started::Reply(queries::run(engine, caller, &query)),
        }
    }
}
