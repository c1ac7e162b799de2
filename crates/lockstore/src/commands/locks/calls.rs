//! Calls about locks.

use std::future::poll_fn;
use std::sync::Arc;

use bson::RawDocumentBuf;

use crate::call::Call;
use crate::commands::started::{CommandFuture, Started};
use crate::engine::Engine;
use crate::remote::LockCall;
use crate::remote::form::answer::About;

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
