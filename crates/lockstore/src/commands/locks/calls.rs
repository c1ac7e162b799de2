//! Calls about locks.

use std::future::poll_fn;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error};
use lockcore::{Outcome, Wait};

use crate::call::Call;
use crate::client_sessions::{Lsid, Memo, Origin, Past, ReplyOf, RetryableWrite};
use crate::commands::reply::Reply;
use crate::commands::session_fields::{Part, SessionFields};
use crate::commands::started::{CommandFuture, Started};
use crate::commands::{Within, failed, statements};
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::remote::form::answer::About;
use crate::remote::{LockCall, form};
use crate::request::{Answer, Task};

/// What is to become of a call by the number that it has in its client session.
pub(super) enum Once {
    /// It has none.
    Unnumbered,
    /// It was made, now or before, or it is refused. This is its reply.
    Replied(RawDocumentBuf),
    /// It may wait, and is remembered when its wait is over.
    Waits(Arc<Origin>),
}

/// Makes a call that has a number in its client session: it is made once, however often it comes, and its reply is remembered.
pub(super) fn once(engine: &Arc<Engine>, call: &LockCall, command: &RawDocument) -> Once {
    match SessionFields::parse(Document::from(command)) {
        Ok(SessionFields { part: Part::None, .. }) => Once::Unnumbered,
        Ok(SessionFields { part: Part::Write { lsid, number, resent }, .. }) => {
            once_in(engine, call, (lsid, number, resent)).unwrap_or_else(|error| {
                Once::Replied(Reply::failure(&error, &Within::RetryableWrite.labels(&error)))
            })
        }
        Ok(_) => {
            let message = "a call about a lock that is part of a transaction is not made here";
            Once::Replied(failed(&Error::bad_value(message).into()))
        }
        Err(error) => Once::Replied(failed(&error.into())),
    }
}

fn once_in(
    engine: &Arc<Engine>,
    call: &LockCall,
    (lsid, number, resent): (Lsid, i64, bool),
) -> Result<Once, DocumentError> {
    let session = engine.client_sessions.take(engine, lsid, call.deadline())?;
    let write = RetryableWrite::begin(session, number, resent)?;
    match write.past(0) {
        Some(Past::Replied(reply)) => match statements::remembered(reply)? {
            Some(reply) if still_stands(engine, call, reply)? => {
                return Ok(Once::Replied(reply.to_owned()));
            }
            // Nobody heard of it, and it went to the next: it is asked for once more.
            Some(_) => {}
            None => return Err(statements::incomplete("it has no reply").into()),
        },
        Some(_) => return Err(statements::incomplete("it was another command").into()),
        None => {}
    }
    let (about, clock) = (About::of(call), Arc::clone(&engine.clock));
    let of = ReplyOf::new(move |answer| match answer {
        Answer::Done(Outcome::Waiting(_)) => None,
        Answer::Done(_) | Answer::HandedOff(_) | Answer::Broken(_) => {
            Some(about.reply(&answer.clone().into(), clock.now()))
        }
        _ => None,
    });
    let memo = Memo::Reply { statement: 0, of };
    if call.wait() != Wait::No {
        return Ok(Once::Waits(write.origin(memo)));
    }
    let answer = write.call(call.clone().into(), memo);
    Ok(Once::Replied(About::of(call).reply(&answer.into(), engine.clock.now())))
}

/// Whether what was answered may be answered again: a grant that somebody waited for may have been handed on, if its caller had gone.
fn still_stands(
    engine: &Engine,
    call: &LockCall,
    reply: &RawDocument,
) -> Result<bool, DocumentError> {
    let (Some((key, _)), true) = (call.acquires(), call.wait() != Wait::No) else {
        return Ok(true);
    };
    let Some(token) = form::answer::token(reply) else { return Ok(true) };
    Ok(engine.recall(key, token)?)
}

pub(super) fn run(
    engine: &Arc<Engine>,
    call: LockCall,
    origin: Option<Arc<Origin>>,
) -> RawDocumentBuf {
    let about = About::of(&call);
    let answer = engine.call(Task::from(call).remembered_by(origin)).into();
    about.reply(&answer, engine.clock.now())
}

/// What can be answered at once is, by this thread, if nobody else is at work.
pub(super) fn start(engine: &Arc<Engine>, call: LockCall, origin: Option<Arc<Origin>>) -> Started {
    let about = About::of(&call);
    let mut call = Call::about_lock(engine, call, origin);
    if let Some(answer) = call.start() {
        return Started::Reply(about.reply(&answer.into(), engine.clock.now()));
    }
    let engine = Arc::clone(engine);
    Started::Pending(CommandFuture::new(async move {
        let answer = poll_fn(|context| call.poll(context)).await;
        about.reply(&answer.into(), engine.clock.now())
    }))
}
