//! Commands that are not waited for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bson::RawDocumentBuf;

/// What a command that was started has come to; see [`Database::start_command`](crate::Database::start_command).
#[derive(Debug)]
pub enum Started {
    /// It is done, and this is its reply.
    Reply(RawDocumentBuf),
    /// It waits for somebody else, or for a commit.
    Pending(CommandFuture),
}

/// A command that waits. It gives the reply when it is there, which tells of errors too; dropping it gives the wait up, and what was granted
/// meanwhile is handed on.
#[must_use = "dropping it gives the command up"]
pub struct CommandFuture {
    reply: Pin<Box<dyn Future<Output = RawDocumentBuf> + Send>>,
}

impl CommandFuture {
    pub(crate) fn new(reply: impl Future<Output = RawDocumentBuf> + Send + 'static) -> Self {
        Self { reply: Box::pin(reply) }
    }
}

impl Future for CommandFuture {
    type Output = RawDocumentBuf;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<RawDocumentBuf> {
        self.reply.as_mut().poll(context)
    }
}

impl fmt::Debug for CommandFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandFuture").finish_non_exhaustive()
    }
}
