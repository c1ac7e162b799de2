//! The control connection: many calls outstanding at once, answered in any order.
//!
//! Two threads serve it, from the first call on. The *reader* connects, says `lockHello`, and hands replies on; when the
//! connection breaks it connects again, and all that is outstanding is sent again. The *pump* sends, and tells calls whose time is
//! over; it never waits for the server, so that one that was stopped keeps nobody. No caller ever touches the socket.

mod calls;
mod pump;
mod reader;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use bson::RawDocumentBuf;
use lockstore::remote::{Left, OnReply, Outstanding};
use lockstore::{Clock, Instant, StoreError};

use super::limit::Limit;
use super::place::Place;
use calls::Calls;

/// The control connection of a transport.
#[derive(Debug)]
pub(super) struct Control {
    place: Arc<Place>,
    state: Mutex<State>,
    /// Notified when there is something to send, to connect for, or to end.
    changed: Condvar,
    /// Notified when a reply has been handed on.
    answered: Condvar,
    opened_by: u32,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    calls: Calls,
    /// Whether a reply is being handed on. What it grants to somebody who has given up is released by another call.
    handing: bool,
    /// When it was heard last, and when it was asked last for a sign of life.
    heard: Instant,
    asked: Instant,
}

/// How far the connection is.
#[derive(Debug)]
enum Phase {
    /// Nobody has called yet: there are no threads.
    Unused,
    /// The reader is to connect, if there are calls or `stay` is set.
    Down {
        stay: bool,
    },
    /// Calls go out here. The number tells one connection from the next.
    Up {
        link: u64,
        sender: Arc<UnixStream>,
    },
    Closed,
}

impl Control {
    pub(super) fn new(place: Arc<Place>) -> Arc<Self> {
        let calls = Calls::new(place.options().outstanding_max);
        let now = place.clock().now();
        let state = State { phase: Phase::Unused, calls, handing: false, heard: now, asked: now };
        Arc::new(Self {
            place,
            state: Mutex::new(state),
            changed: Condvar::new(),
            answered: Condvar::new(),
            opened_by: std::process::id(),
        })
    }

    /// Begins a call.
    pub(super) fn start(
        self: &Arc<Self>,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        let grace = self.place.options().grace;
        let until = deadline.map(|deadline| deadline.saturating_add(grace));
        let added = self.add(command, until, on_reply);
        match added {
            Ok(id) => {
                let control = Arc::downgrade(self);
                Outstanding::telling(move |left| leave(&control, id, left))
            }
            Err((on_reply, error)) => {
                on_reply(Err(error));
                Outstanding::answered()
            }
        }
    }

    fn add(
        self: &Arc<Self>,
        command: RawDocumentBuf,
        until: Option<Instant>,
        on_reply: OnReply,
    ) -> Result<i32, (OnReply, StoreError)> {
        let mut state = self.state();
        let error = match state.phase {
            Phase::Closed => Some(StoreError::Closed),
            Phase::Unused => self.start_threads(&mut state).err(),
            Phase::Down { .. } | Phase::Up { .. } => None,
        };
        if let Some(error) = error {
            return Err((on_reply, error));
        }
        let is_up = matches!(state.phase, Phase::Up { .. });
        let id = state.calls.add(command, until, on_reply, is_up)?;
        self.changed.notify_all();
        Ok(id)
    }

    fn start_threads(self: &Arc<Self>, state: &mut State) -> Result<(), StoreError> {
        let (reading, pumping) = (Arc::clone(self), Arc::clone(self));
        let reader = thread::Builder::new().name("lockstore-reader".to_owned());
        let pump = thread::Builder::new().name("lockstore-pump".to_owned());
        let started = pump.spawn(move || pumping.pump());
        let started = started.and_then(|_| reader.spawn(move || reading.read()));
        match started {
            Ok(_) => {
                state.phase = Phase::Down { stay: true };
                Ok(())
            }
            Err(error) => {
                // The pump may have started: it ends.
                state.phase = Phase::Closed;
                Err(StoreError::Unreachable {
                    socket: Arc::clone(self.place.socket()),
                    reason: format!("there is no thread for the connection: {error}").into(),
                })
            }
        }
    }

    fn leave(&self, id: i32, left: Left) {
        let mut state = self.state();
        let is_up = matches!(state.phase, Phase::Up { .. });
        let forgotten = state.calls.leave(id, left, is_up);
        drop(state);
        self.changed.notify_all();
        // What it owns may be dropped only without the lock.
        drop(forgotten);
    }

    /// Waits until what nobody waits for is done: releases that are queued, and what was granted to those who gave up. Until `limit` at the latest.
    pub(super) fn settle(&self, limit: Limit<'_>) {
        let mut state = self.state();
        while state.handing || state.calls.has_unattended() {
            let left = limit.left().unwrap_or(Duration::MAX);
            if left.is_zero() || matches!(state.phase, Phase::Closed) {
                return;
            }
            let waited = self.answered.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends the threads of the connection, and tells all calls. Answers what is left if there was one, by which this client was present.
    pub(super) fn close(&self) -> Option<Presence> {
        let mut state = self.state();
        let phase = std::mem::replace(&mut state.phase, Phase::Closed);
        let told = state.calls.take_all();
        drop(state);
        self.changed.notify_all();
        for on_reply in told {
            on_reply(Err(StoreError::Closed));
        }
        match phase {
            Phase::Down { .. } => Some(Presence { sender: None }),
            Phase::Up { sender, .. } => Some(Presence { sender: Some(sender) }),
            Phase::Unused | Phase::Closed => None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The presence of a client that is closed, until this is dropped.
#[derive(Debug)]
pub(super) struct Presence {
    /// The connection, if it was not broken.
    sender: Option<Arc<UnixStream>>,
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(sender) = &self.sender {
            // The reader wakes up.
            let _ = sender.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A caller leaves a call, if it has not ended already.
fn leave(control: &Weak<Control>, id: i32, left: Left) {
    if let Some(control) = control.upgrade()
        // In a forked child the lock may be held for ever, by a thread that is not there.
        && control.opened_by == std::process::id()
    {
        control.leave(id, left);
    }
}
