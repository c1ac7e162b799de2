//! What can happen to a command while it waits.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel, sync_channel};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use lockstore::{Clock, Instant, SystemClock, Token};

use crate::failure::{Failure, Kind};
use crate::signals::{self, Caught, SIGCHLD};

/// Something happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A signal came.
    Signal(Caught),
    /// What is waited for may be there.
    Woken,
    /// A grant of the lock that is followed is over: the one of this token.
    Ended(Token),
    /// News of the lock may be missing here: its server was started anew, say.
    Missed,
    /// The lock that was held is lost, and what became of it.
    Lost(String),
}

/// What happens, one after the other.
#[derive(Debug)]
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    clock: SystemClock,
}

impl Events {
    /// Signals are among them from now on, and do nothing else.
    pub(crate) fn with_signals(clock: SystemClock) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        signals::catch(sender.clone())?;
        Ok(Self { sender, receiver, clock })
    }

    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// The next one, if it comes in `time`.
    pub(crate) fn next(&self, time: Duration) -> Option<Event> {
        // There is a sender in here, so only the time can be over.
        self.receiver.recv_timeout(time).ok()
    }

    /// The next one; `None` when `until` comes before. Fails when it is a signal that is to end this program.
    pub(crate) fn next_before(&self, until: Option<Instant>) -> Result<Option<Event>, Failure> {
        loop {
            let left = until.map_or(SLEEP_MAX, |until| until.saturating_since(self.clock.now()));
            // A sleeping thread does not see the time that passes while the machine is suspended.
            match self.next(left.min(SLEEP_MAX)) {
                Some(event) => return not_an_end(&event).map(|()| Some(event)),
                None if left.is_zero() => return Ok(None),
                None => {}
            }
        }
    }

    /// Fails when a signal has come that is to end this program.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.receiver.try_iter().try_for_each(|event| not_an_end(&event))
    }

    /// Forgets what has happened up to now.
    pub(crate) fn forget(&self) {
        self.receiver.try_iter().for_each(drop);
    }

    /// Waits for a future. It is dropped, and this fails, when a signal comes that is to end this program.
    pub(crate) fn wait_for<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let waker = Waker::from(Arc::new(Bell(self.sender())));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(done);
            }
            self.next_before(None)?;
        }
    }

    /// Does what blocks, on a thread of its own, and waits for it: until `until`, if that is a time, and until a signal comes that is to end
    /// this program. Then this fails, and the thread is left to itself.
    pub(crate) fn wait_for_call<T: Send + 'static>(
        &self,
        until: Option<Instant>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (tell, told) = sync_channel(1);
        let bell = self.sender();
        let call = move || {
            // Nobody listens any more when this program ends.
            let _ = tell.send(call());
            drop(tell);
            let _ = bell.send(Event::Woken);
        };
        start_thread("call", call)?;
        loop {
            match told.try_recv() {
                Ok(done) => return Ok(done),
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::mistake(&"a thread has ended without a word"));
                }
                Err(TryRecvError::Empty) => {}
            }
            if self.next_before(until)?.is_none() {
                return Err(Failure::store("the store has not answered in time"));
            }
        }
    }
}

/// Starts a thread that ends by itself, or with this program.
pub(crate) fn start_thread(name: &str, act: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    match thread::Builder::new().name(name.to_owned()).spawn(act) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::store(format!("a thread cannot be started: {error}"))),
    }
}

/// Wakes who waits for a future.
struct Bell(Sender<Event>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody waits any more when the program ends.
        let _ = self.0.send(Event::Woken);
    }
}

fn not_an_end(event: &Event) -> Result<(), Failure> {
    match event {
        Event::Signal(caught) if caught.number != SIGCHLD => {
            let sentence = format!("ended by {}", caught.name());
            Err(Failure::new(Kind::Signal(caught.exit_number()), sentence))
        }
        Event::Signal(_) | Event::Woken | Event::Ended(_) | Event::Missed | Event::Lost(_) => {
            Ok(())
        }
    }
}

const SLEEP_MAX: Duration = Duration::from_secs(1);
