//! A call that waits, on a connection that waits with it.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bson::RawDocumentBuf;
use rustix::event::{PollFd, PollFlags, poll};

use crate::bell::Bell;
use crate::commands::CommandFuture;

/// Waits for the reply. `None` when the client hangs up meanwhile, or the server stops reading from it: the call is given up.
pub(super) fn wait(
    mut call: CommandFuture,
    stream: &UnixStream,
) -> io::Result<Option<RawDocumentBuf>> {
    let bell = Arc::new(Bell::new()?);
    let waker = Waker::from(Arc::clone(&bell));
    loop {
        bell.hush();
        if let Poll::Ready(reply) = call.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Ok(Some(reply));
        }
        let mut ready = [PollFd::new(stream, PollFlags::RDHUP), PollFd::new(&*bell, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) if !ready[0].revents().is_empty() => return Ok(None),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the client has hung up.
pub(super) fn has_hung_up(stream: &UnixStream) -> io::Result<bool> {
    let mut ready = [PollFd::new(stream, PollFlags::RDHUP)];
    poll(&mut ready, Some(&rustix::event::Timespec::default()))?;
    Ok(!ready[0].revents().is_empty())
}
