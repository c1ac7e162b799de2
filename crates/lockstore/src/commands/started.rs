//! Commands that were started: most are done then, and some wait.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bson::RawDocumentBuf;

/// A command that was started.
#[derive(Debug)]
pub enum Started {
    /// It is done, and this is its reply.
    Reply(RawDocumentBuf),
    /// It waits for somebody else.
    Pending(CommandFuture),
}

/// A command that waits. It needs no particular runtime; dropping it gives the wait up, and what was granted meanwhile is handed on.
#[must_use = "dropping it gives the command up"]
pub struct CommandFuture(Pin<Box<dyn Future<Output = RawDocumentBuf> + Send>>);

impl CommandFuture {
    pub(super) fn new(future: impl Future<Output = RawDocumentBuf> + Send + 'static) -> Self {
        Self(Box::pin(future))
    }
}

impl Started {
    /// The reply, for which the thread blocks.
    pub(crate) fn wait(self) -> RawDocumentBuf {
        match self {
            Self::Reply(reply) => reply,
            Self::Pending(future) => block_on(future),
        }
    }
}

impl Future for CommandFuture {
    type Output = RawDocumentBuf;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RawDocumentBuf> {
        self.0.as_mut().poll(context)
    }
}

impl fmt::Debug for CommandFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandFuture").finish_non_exhaustive()
    }
}

/// What a thread blocks on. Not its park token: that is the program's own.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    something_new: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.something_new.notify_one();
    }
}

fn block_on(mut future: CommandFuture) -> RawDocumentBuf {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        if let Poll::Ready(reply) = Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            return reply;
        }
        let rung = bell.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let rung = bell.something_new.wait_while(rung, |rung| !*rung);
        *rung.unwrap_or_else(PoisonError::into_inner) = false;
    }
}
