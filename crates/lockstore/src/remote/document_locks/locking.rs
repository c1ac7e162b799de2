//! A document that is being locked elsewhere.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bson::RawDocumentBuf;
use lockcore::Instant;

use super::asked;
use super::replied::Replied;
use crate::document_locks::{Found, HeldDocument, Release};
use crate::error::{LockDocumentError, StoreError};
use crate::remote::{Outstanding, Remote};

/// A document that is being locked elsewhere. Nothing is asked before it is first polled or waited for. Dropping it gives the command
/// up, and a document that was locked meanwhile is released.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct RemoteLocking {
    asker: Asker,
    state: State,
}

/// Who asks for what.
#[derive(Clone, Debug)]
struct Asker {
    remote: Arc<dyn Remote>,
    database: Box<str>,
    collection: Box<str>,
}

#[derive(Debug)]
enum State {
    /// The command is to be sent.
    Unasked(RawDocumentBuf, Option<Instant>),
    /// Its reply comes into the mailbox.
    Asked(Arc<Mailbox>, Outstanding),
    /// The result was given.
    Done,
}

/// A place for one reply.
#[derive(Debug, Default)]
struct Mailbox {
    state: Mutex<Mail>,
    something_new: Condvar,
}

#[derive(Debug)]
enum Mail {
    /// No reply yet.
    None(Option<Waker>),
    /// The reply, not yet taken.
    Come(Result<RawDocumentBuf, StoreError>),
    /// Taken, or given up.
    Closed,
}

impl Default for Mail {
    fn default() -> Self {
        Self::None(None)
    }
}

impl RemoteLocking {
    pub(super) fn new(
        remote: &Arc<dyn Remote>,
        database: &str,
        collection: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
    ) -> Self {
        let remote = Arc::clone(remote);
        let asker = Asker { remote, database: database.into(), collection: collection.into() };
        Self { asker, state: State::Unasked(command, deadline) }
    }

    /// Blocks the thread until there is a reply.
    pub(super) fn wait(mut self) -> Result<Found<HeldDocument>, LockDocumentError> {
        let reply = self.mailbox().wait();
        self.state = State::Done;
        Replied::found(&reply?)
    }

    /// Where the reply comes, once it is asked for.
    fn mailbox(&mut self) -> Arc<Mailbox> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Unasked(command, deadline) => {
                let mailbox = Arc::new(Mailbox::default());
                let outstanding = self.asker.ask(command, deadline, Arc::clone(&mailbox));
                self.state = State::Asked(Arc::clone(&mailbox), outstanding);
                mailbox
            }
            State::Asked(mailbox, outstanding) => {
                self.state = State::Asked(Arc::clone(&mailbox), outstanding);
                mailbox
            }
            State::Done => panic!("a future of the store was polled after it was ready"),
        }
    }
}

impl Future for RemoteLocking {
    type Output = Result<Found<HeldDocument>, LockDocumentError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Poll::Ready(reply) = self.mailbox().poll(context) else { return Poll::Pending };
        self.state = State::Done;
        Poll::Ready(Replied::found(&reply?))
    }
}

impl Drop for RemoteLocking {
    fn drop(&mut self) {
        if let State::Asked(mailbox, _) = &self.state
            && let Some(Ok(reply)) = mailbox.close()
        {
            self.asker.hand_on(&reply);
        }
    }
}

impl Asker {
    fn ask(
        &self,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        mailbox: Arc<Mailbox>,
    ) -> Outstanding {
        let asker = self.clone();
        let on_reply = move |reply| {
            if let Err(Ok(reply)) = mailbox.deliver(reply) {
                asker.hand_on(&reply);
            }
        };
        self.remote.start_command(&self.database, command, deadline, Box::new(on_reply))
    }

    /// A document that was locked for somebody who has given up is released, unless somebody else shares its lock.
    fn hand_on(&self, reply: &RawDocumentBuf) {
        if let Some(fence) = Replied::new_grant(reply) {
            let command = asked::unlock(&self.collection, &fence, &Release::HandOn, &[]);
            let told = |reply: Result<_, StoreError>| {
                if let Err(error) = reply {
                    tracing::warn!(%error, "a document that nobody waited for was not released");
                }
            };
            self.remote.start_command(&self.database, command, None, Box::new(told)).detach();
        }
    }
}

impl Mailbox {
    /// Gives the reply. It comes back when nobody waits for it any more.
    fn deliver(
        &self,
        reply: Result<RawDocumentBuf, StoreError>,
    ) -> Result<(), Result<RawDocumentBuf, StoreError>> {
        let mut state = self.lock();
        if matches!(*state, Mail::Closed) {
            return Err(reply);
        }
        let before = std::mem::replace(&mut *state, Mail::Come(reply));
        drop(state);
        self.something_new.notify_one();
        if let Mail::None(Some(waker)) = before {
            waker.wake();
        }
        Ok(())
    }

    /// Blocks the thread until the reply is there.
    fn wait(&self) -> Result<RawDocumentBuf, StoreError> {
        let nothing = |mail: &mut Mail| !matches!(mail, Mail::Come(_));
        let state = self.something_new.wait_while(self.lock(), nothing);
        take(&mut state.unwrap_or_else(PoisonError::into_inner))
            .expect("it was waited for until it came")
    }

    /// Takes the reply, or has the task woken when it comes.
    fn poll(&self, context: &Context<'_>) -> Poll<Result<RawDocumentBuf, StoreError>> {
        let mut state = self.lock();
        if let Some(reply) = take(&mut state) {
            return Poll::Ready(reply);
        }
        let before = std::mem::replace(&mut *state, Mail::None(Some(context.waker().clone())));
        drop(state);
        // A waker may own anything, what waits here included.
        drop(before);
        Poll::Pending
    }

    /// Gives up. A reply that has come already is given.
    fn close(&self) -> Option<Result<RawDocumentBuf, StoreError>> {
        let before = std::mem::replace(&mut *self.lock(), Mail::Closed);
        match before {
            Mail::Come(reply) => Some(reply),
            Mail::None(_) | Mail::Closed => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reply, if it has come.
fn take(state: &mut Mail) -> Option<Result<RawDocumentBuf, StoreError>> {
    if !matches!(state, Mail::Come(_)) {
        return None;
    }
    match std::mem::replace(state, Mail::Closed) {
        Mail::Come(reply) => Some(reply),
        Mail::None(_) | Mail::Closed => None,
    }
}
