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

use super::started::Started;
use crate::engine::Engine;
use crate::remote::LockCall;
use crate::remote::form::call;
use crate::remote::form::query::Query;

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
                Some(reply) => reply,
                None => calls::run(engine, call),
            },
            Self::Query(query) => queries::run(engine, &query),
        }
    }

    /// Starts it. It does not block as long as it would have to wait for a lock, or for events.
    pub(super) fn start(self, engine: &Arc<Engine>, command: &RawDocument) -> Started {
        match self {
            Self::Call(call) => match calls::once(engine, &call, command) {
                Some(reply) => Started::Reply(reply),
                None => calls::start(engine, call),
            },
            Self::Query(Query::NextEvents { subscription }) => {
                next_events::start(engine, subscription)
            }
            Self::Query(query) => Started::Reply(queries::run(engine, &query)),
        }
    }
}
