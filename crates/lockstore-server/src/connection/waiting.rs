//! The calls that wait on a connection with many calls outstanding: a small executor.
//!
//! Its one thread starts with the first call that must wait. It owns the futures, and is told by a channel of new ones, of
//! those that can go on, and of those that the client gives up.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Scope;

use bson::{RawDocumentBuf, rawdoc};
use lockstore::{CommandFuture, ErrorCode};

use super::output::Output;
use super::{Service, Style};
use crate::commands::failure;

/// The calls of one connection that wait. Dropping it gives them up.
#[derive(Debug)]
pub(super) struct Waiting<'s> {
    service: Service<'s>,
    notes: Sender<Note>,
    /// How many wait on this connection.
    here: Arc<AtomicUsize>,
}

/// What the executor is told.
#[derive(Debug)]
enum Note {
    /// The call of a request waits from now on.
    Wait(i32, Call),
    /// It can go on.
    GoOn(i32),
    /// The client gives it up, and is told by the reply to another request when it has ended.
    Kill { killed: i32, request_id: i32 },
    /// The connection is over.
    End,
}

/// A call that waits.
struct Call {
    future: CommandFuture,
    alarm: Arc<Alarm>,
    _places: [Place; 2],
}

/// A place among those that may wait; free again when this is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

/// Tells the executor that a call can go on: once, until it has looked.
#[derive(Debug)]
struct Alarm {
    request_id: i32,
    told: AtomicBool,
    notes: Sender<Note>,
}

/// The thread of the executor.
struct Executor<'s> {
    calls: HashMap<i32, Call>,
    output: &'s Output<'s>,
}

impl<'s> Waiting<'s> {
    /// Starts the executor, which answers on `output`.
    pub(super) fn start(
        service: Service<'s>,
        output: &'s Output<'s>,
        scope: &'s Scope<'s, '_>,
    ) -> Self {
        let (notes, received) = mpsc::channel();
        scope.spawn(move || Executor { calls: HashMap::new(), output }.run(&received));
        Self { service, notes, here: Arc::default() }
    }

    /// Has the call of a request wait, and be answered by the executor; or says why it may not.
    pub(super) fn add(&self, request_id: i32, call: CommandFuture) -> Result<(), RawDocumentBuf> {
        let options = self.service.options;
        let places = [
            Place::take(&self.here, options.waiting_per_connection_max, "connection"),
            Place::take(self.service.waiting, options.waiting_max, "server"),
        ];
        let [Ok(here), Ok(everywhere)] = places else {
            let [here, everywhere] = places;
            return Err(here.and(everywhere).expect_err("one is"));
        };
        let notes = self.notes.clone();
        let alarm = Arc::new(Alarm { request_id, told: AtomicBool::new(true), notes });
        let call = Call { future: call, alarm, _places: [here, everywhere] };
        self.tell(Note::Wait(request_id, call));
        Ok(())
    }

    /// Gives up the wait of a request, which may be over already. Whatever reply it has got goes out before the reply to
    /// this one.
    pub(super) fn kill(&self, killed: i32, request_id: i32) {
        self.tell(Note::Kill { killed, request_id });
    }

    fn tell(&self, note: Note) {
        // The executor is gone when the client is: then nobody waits for this.
        let _ = self.notes.send(note);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.tell(Note::End);
    }
}

impl Executor<'_> {
    fn run(mut self, notes: &Receiver<Note>) {
        while let Ok(note) = notes.recv() {
            match note {
                Note::Wait(request_id, call) => {
                    // A number that is used twice at once names the later call.
                    self.calls.insert(request_id, call);
                    self.go_on(request_id);
                }
                Note::GoOn(request_id) => self.go_on(request_id),
                Note::Kill { killed, request_id } => {
                    drop(self.calls.remove(&killed));
                    let _ = self.output.send(request_id, &rawdoc! { "ok": 1.0 }, Style::Message);
                }
                Note::End => return,
            }
        }
    }

    fn go_on(&mut self, request_id: i32) {
        let Some(call) = self.calls.get_mut(&request_id) else { return };
        call.alarm.told.store(false, Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&call.alarm));
        if let Poll::Ready(reply) =
            Pin::new(&mut call.future).poll(&mut Context::from_waker(&waker))
        {
            self.calls.remove(&request_id);
            // When it cannot be sent the connection is over, which its reading thread finds out.
            let _ = self.output.send(request_id, &reply, Style::Message);
        }
    }
}

impl Place {
    fn take(places: &Arc<AtomicUsize>, max: usize, whose: &str) -> Result<Self, RawDocumentBuf> {
        let place = Self(Arc::clone(places));
        if places.fetch_add(1, Ordering::Relaxed) < max {
            return Ok(place);
        }
        let message = format!("{max} calls of this {whose} wait already; try again later");
        Err(failure(ErrorCode::LOCK_BUSY, &message))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if !self.told.swap(true, Ordering::SeqCst) {
            let _ = self.notes.send(Note::GoOn(self.request_id));
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("alarm", &self.alarm).finish_non_exhaustive()
    }
}
