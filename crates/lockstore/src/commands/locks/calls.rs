//! Calls about locks.

use std::future::poll_fn;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error};
use lockcore::Wait;

use crate::call::Call;
use crate::client_sessions::{Lsid, Memo, Past, ReplyOf, RetryableWrite};
use crate::commands::reply::Reply;
use crate::commands::session_fields::{Part, SessionFields};
use crate::commands::started::{CommandFuture, Started};
use crate::commands::{Within, failed, statements};
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::remote::LockCall;
use crate::remote::form::answer::About;
use crate::request::Answer;

/// Makes a call that has a number in its client session: it is made once, however often it comes, and its reply is remembered. `None`
/// for one that has no number. One that waits has none: who waits asks again, and a holder that has its lock already gets the same grant.
pub(super) fn once(
    engine: &Arc<Engine>,
    call: &LockCall,
    command: &RawDocument,
) -> Option<RawDocumentBuf> {
    let fields = SessionFields::parse(Document::from(command));
    match fields {
        Ok(SessionFields { part: Part::None, .. }) => None,
        Ok(SessionFields { part: Part::Write { lsid, number, resent }, .. })
            if call.wait() == Wait::No =>
        {
            let reply = once_in(engine, call, (lsid, number, resent));
            Some(reply.unwrap_or_else(|error| {
                Reply::failure(&error, &Within::RetryableWrite.labels(&error))
            }))
        }
        Ok(_) => {
            let message = "a call that waits for a lock has no number";
            Some(failed(&Error::bad_value(message).into()))
        }
        Err(error) => Some(failed(&error.into())),
    }
}

fn once_in(
    engine: &Arc<Engine>,
    call: &LockCall,
    (lsid, number, resent): (Lsid, i64, bool),
) -> Result<RawDocumentBuf, DocumentError> {
    let session = engine.client_sessions.take(engine, lsid, call.deadline())?;
    let write = RetryableWrite::begin(session, number, resent)?;
    match write.past(0) {
        Some(Past::Replied(reply)) => match statements::remembered(reply)? {
            Some(reply) => return Ok(reply.to_owned()),
            None => return Err(statements::incomplete("it has no reply").into()),
        },
        Some(_) => return Err(statements::incomplete("it was another command").into()),
        None => {}
    }
    let (about, clock) = (About::of(call), Arc::clone(&engine.clock));
    let of = ReplyOf::new(move |answer| match answer {
        Answer::Done(_) | Answer::Broken(_) => {
            Some(about.reply(&answer.clone().into(), clock.now()))
        }
        _ => None,
    });
    let answer = write.call(call.clone().into(), Memo::Reply { statement: 0, of });
    Ok(About::of(call).reply(&answer.into(), engine.clock.now()))
}

pub(super) fn run(engine: &Arc<Engine>, call: LockCall) -> RawDocumentBuf {
    let about = About::of(&call);
    let answer = engine.call(call.into()).into();
    about.reply(&answer, engine.clock.now())
}

/// What can be answered at once is, by this thread, if nobody else is at work.
pub(super) fn start(engine: &Arc<Engine>, call: LockCall) -> Started {
    let about = About::of(&call);
    let mut call = Call::about_lock(engine, call);
    if let Some(answer) = call.start() {
        return Started::Reply(about.reply(&answer.into(), engine.clock.now()));
    }
    let engine = Arc::clone(engine);
    Started::Pending(CommandFuture::new(async move {
        let answer = poll_fn(|context| call.poll(context)).await;
        about.reply(&answer.into(), engine.clock.now())
    }))
}
