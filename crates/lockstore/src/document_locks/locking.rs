//! A document that is being locked, without blocking a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use lockcore::Instant;

use super::{Begun, Found, HeldDocument, LockableCollection, Looked, Next};
use crate::call::Call;
use crate::error::LockDocumentError;

/// A document of a store in this process that is being locked. It looks in the thread that polls it, and waits in none. Dropping it
/// ends the wait, and a document that was locked meanwhile is released.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Locking {
    state: State,
}

#[derive(Debug)]
enum State {
    /// A look is to be taken.
    Looking(Box<Begun>),
    /// It was taken, and has come to this.
    Looked(Box<Begun>, Looked<HeldDocument>),
    /// The writer was asked then, and its answer is to come.
    Asked(Box<Begun>, Instant, Call),
    /// The result was given.
    Done,
}

impl Locking {
    /// Nothing is looked for until it is first polled.
    pub(crate) fn new(begun: Begun) -> Self {
        Self { state: State::Looking(Box::new(begun)) }
    }

    /// Looks at once, and has this thread do what the writer is asked to do, if nobody sits in the writer's seat: so a document that is
    /// free is locked when this returns, and polling it tells so.
    pub(crate) fn started(begun: Begun) -> Result<Self, LockDocumentError> {
        let mut begun = Box::new(begun);
        let asked_at = begun.stored.now();
        let look = begun.acquisition.look(asked_at);
        let Some(task) = begun.stored.plan(look)? else {
            return Ok(Self { state: State::Looked(begun, Looked::Nothing) });
        };
        let mut call = Call::new(&begun.stored.engine, task, None);
        let state = match call.start() {
            Some(answer) => {
                let looked = begun.stored.looked(asked_at, answer)?;
                State::Looked(begun, looked)
            }
            None => State::Asked(begun, asked_at, call),
        };
        Ok(Self { state })
    }
}

impl Future for Locking {
    type Output = Result<Found<HeldDocument>, LockDocumentError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            // Whatever the state was, it is `Done` unless something is still to come.
            let (mut begun, looked) = match std::mem::replace(&mut self.state, State::Done) {
                State::Looking(mut begun) => {
                    let asked_at = begun.stored.now();
                    let look = begun.acquisition.look(asked_at);
                    match begun.stored.plan(look)? {
                        Some(task) => {
                            let call = Call::new(&begun.stored.engine, task, None);
                            self.state = State::Asked(begun, asked_at, call);
                            continue;
                        }
                        None => (begun, Looked::Nothing),
                    }
                }
                State::Looked(begun, looked) => (begun, looked),
                State::Asked(begun, asked_at, mut call) => match call.poll(context) {
                    Poll::Ready(answer) => {
                        let looked = begun.stored.looked(asked_at, answer)?;
                        (begun, looked)
                    }
                    Poll::Pending => {
                        self.state = State::Asked(begun, asked_at, call);
                        return Poll::Pending;
                    }
                },
                State::Done => panic!("a future of the store was polled after it was ready"),
            };
            let now = begun.stored.now();
            match begun.acquisition.looked(looked, now) {
                Next::Done(found) => return Poll::Ready(begun.show(found)),
                Next::Look => self.state = State::Looking(begun),
                Next::Wait(_) => unreachable!("a stored collection waits in its writer"),
            }
        }
    }
}
