//! The thread that sends, and that tells calls whose time is over.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use lockstore::{Clock, StoreError};

use super::super::limit::Limit;
use super::super::link::{send_some, wait_for_room};
use super::super::transport::OnReply;
use super::{Control, Phase, State};

/// What is to be done next.
enum Job {
    /// Tell a call that its time is over.
    Tell(OnReply),
    /// Go on sending.
    Send,
    End,
}

/// What has been taken to be sent on a connection.
struct Unsent {
    link: u64,
    sender: Arc<UnixStream>,
    bytes: Vec<u8>,
    sent: usize,
}

impl Control {
    /// Sends what there is, and ends calls whose time is over, until the connection is closed.
    pub(super) fn pump(&self) {
        let mut unsent: Option<Unsent> = None;
        loop {
            match self.next_job(&mut unsent) {
                Job::End => return,
                Job::Tell(on_reply) => {
                    let pid = self.place.server_pid();
                    on_reply(Err(StoreError::ServerUnresponsive { pid }));
                }
                Job::Send => {
                    if let Some(sending) = &mut unsent
                        && self.send(sending)
                    {
                        unsent = None;
                    }
                }
            }
        }
    }

    fn next_job(&self, unsent: &mut Option<Unsent>) -> Job {
        let mut state = self.state();
        loop {
            let now = self.place.clock().now();
            let up = match &state.phase {
                Phase::Closed => return Job::End,
                Phase::Up { link, sender } => Some((*link, Arc::clone(sender))),
                Phase::Unused | Phase::Down { .. } => None,
            };
            if let Some(on_reply) = state.calls.take_over(now, up.is_some()) {
                return Job::Tell(on_reply);
            }
            // What was for an earlier connection is not for this one.
            unsent.take_if(|unsent| up.as_ref().is_none_or(|(link, _)| *link != unsent.link));
            if unsent.is_some() {
                return Job::Send;
            }
            if let Some((link, sender)) = up {
                self.see_whether_it_lives(&mut state);
                if state.calls.has_messages() {
                    let bytes = state.calls.take_messages();
                    *unsent = Some(Unsent { link, sender, bytes, sent: 0 });
                    return Job::Send;
                }
            }
            state = self.sleep(state);
        }
    }

    /// Sends what there is room for, and waits a moment for more. `true` when all is out, or nothing more can be sent.
    fn send(&self, unsent: &mut Unsent) -> bool {
        let moment = Limit::new(self.place.clock(), None).within(MOMENT);
        let sent = send_some(&unsent.sender, &unsent.bytes[unsent.sent..]);
        let sent = sent.and_then(|sent| {
            unsent.sent += sent;
            let all = unsent.sent == unsent.bytes.len();
            if all { Ok(true) } else { wait_for_room(&unsent.sender, moment).map(|()| false) }
        });
        sent.unwrap_or_else(|error| {
            // The reader finds out too, and connects again.
            tracing::debug!(%error, "the control connection breaks");
            let _ = unsent.sender.shutdown(std::net::Shutdown::Both);
            true
        })
    }

    /// Calls without a deadline wait for as long as it takes; when nothing has been heard for a while, that is said.
    fn see_whether_it_lives(&self, state: &mut State) {
        let now = self.place.clock().now();
        let silent = now.saturating_since(state.heard.max(state.asked));
        if state.calls.is_empty() || silent < SILENCE {
            return;
        }
        if state.asked > state.heard {
            let pid = self.place.server_pid();
            tracing::warn!(
                pid,
                "the store's server does not answer; calls without a deadline go on waiting"
            );
        } else {
            state.calls.ping();
        }
        state.asked = now;
    }

    fn sleep<'c>(&'c self, state: MutexGuard<'c, State>) -> MutexGuard<'c, State> {
        let now = self.place.clock().now();
        let until_end = state.calls.next_end().map(|end| end.saturating_since(now));
        let until_look = (!state.calls.is_empty()).then_some(SILENCE);
        match until_end.into_iter().chain(until_look).min() {
            Some(time) => {
                // Times are in whole nanoseconds, and a sleep may end a moment early.
                let waited = self.changed.wait_timeout(state, time + Duration::from_micros(50));
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// How long one wait for room takes at most: deadlines are looked at in between.
const MOMENT: Duration = Duration::from_millis(20);

/// When nothing has been heard for so long, the server is asked for a sign of life.
const SILENCE: Duration = Duration::from_secs(10);
