//! What can happen to a command while it waits.

use std::cell::Cell;
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
    /// News of the lock may be missing here: its server was started anew, say, or something else was waited for.
    Missed,
    /// The lock that was held is lost, and what became of it.
    Lost(String),
}

/// What happens, one after the other.
#[derive(Debug)]
pub(crate) struct Events {
    sender: Sender<Event>,
    receiver: Receiver<Event>,
    /// Whether there was news of the lock while something else was waited for: whoever reads next is told that it missed some.
    passed_over: Cell<bool>,
    clock: SystemClock,
}

impl Events {
    /// Signals are among them from now on, and do nothing else.
    pub(crate) fn with_signals(clock: SystemClock) -> Result<Self, Failure> {
        let events = Self::new(clock);
        signals::catch(events.sender())?;
        Ok(events)
    }

    fn new(clock: SystemClock) -> Self {
        let (sender, receiver) = channel();
        Self { sender, receiver, passed_over: Cell::new(false), clock }
    }

    pub(crate) fn sender(&self) -> Sender<Event> {
        self.sender.clone()
    }

    /// The next one, if it comes in `time`.
    pub(crate) fn next(&self, time: Duration) -> Option<Event> {
        if self.passed_over.take() {
            return Some(Event::Missed);
        }
        // There is a sender in here, so only the time can be over.
        self.receiver.recv_timeout(time).ok()
    }

    /// The next one; `None` when `until` comes before. Fails when it is a signal that is to end this program.
    pub(crate) fn next_before(&self, until: Option<Instant>) -> Result<Option<Event>, Failure> {
        if self.passed_over.take() {
            return Ok(Some(Event::Missed));
        }
        self.receive_before(until)
    }

    /// Fails when a signal has come that is to end this program.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        self.receiver.try_iter().try_for_each(|event| {
            self.pass_over(&event);
            not_an_end(&event)
        })
    }

    /// Forgets what has happened up to now.
    pub(crate) fn forget(&self) {
        self.receiver.try_iter().for_each(drop);
        self.passed_over.set(false);
    }

    /// Waits for a future. It is dropped, and this fails, when a signal comes that is to end this program.
    pub(crate) fn wait_for<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let waker = Waker::from(Arc::new(Bell(self.sender())));
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Ok(done);
            }
            if let Some(event) = self.receive_before(None)? {
                self.pass_over(&event);
            }
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
            match self.receive_before(until)? {
                Some(event) => self.pass_over(&event),
                None => return Err(Failure::store("the store has not answered in time")),
            }
        }
    }

    /// What comes next, whatever was passed over before; else as [`Events::next_before`].
    fn receive_before(&self, until: Option<Instant>) -> Result<Option<Event>, Failure> {
        loop {
            let left = until.map_or(SLEEP_MAX, |until| until.saturating_since(self.clock.now()));
            // A sleeping thread does not see the time that passes while the machine is suspended.
            match self.receiver.recv_timeout(left.min(SLEEP_MAX)) {
                Ok(event) => return not_an_end(&event).map(|()| Some(event)),
                Err(_) if left.is_zero() => return Ok(None),
                Err(_) => {}
            }
        }
    }

    /// Who waits for something else has no use for an event. News of the lock is not lost all the same: a wait may be long, so of all that
    /// comes only that there was some is kept.
    fn pass_over(&self, event: &Event) {
        match event {
            Event::Ended(_) | Event::Missed | Event::Lost(_) => self.passed_over.set(true),
            Event::Signal(_) | Event::Woken => {}
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

#[cfg(test)]
mod tests {
    use std::future::{poll_fn, ready};

    use super::*;

    fn events() -> Events {
        Events::new(SystemClock::new().unwrap())
    }

    /// What is told next, in the order in which it comes, until nothing is there.
    fn told(events: &Events) -> Vec<Event> {
        std::iter::from_fn(|| events.next(Duration::ZERO)).collect()
    }

    fn ended() -> Event {
        Event::Ended(Token::new(7).unwrap())
    }

    #[test]
    fn news_that_comes_while_something_else_is_waited_for_is_not_lost() {
        let waits: [fn(&Events); 3] = [
            |events| events.check().unwrap(),
            |events| {
                let news = events.sender();
                let call = move || news.send(ended()).unwrap();
                events.wait_for_call(None, call).unwrap();
            },
            |events| {
                let mut polled = false;
                let future = poll_fn(|_| {
                    let is_ready = std::mem::replace(&mut polled, true);
                    if is_ready { Poll::Ready(()) } else { Poll::Pending }
                });
                events.wait_for(future).unwrap();
            },
        ];
        for wait in waits {
            for news in [ended, || Event::Missed] {
                let events = events();
                events.sender().send(news()).unwrap();
                wait(&events);
                events.wait_for(ready(())).unwrap();
                let told = told(&events);
                let is_news = |event: &Event| matches!(event, Event::Ended(_) | Event::Missed);
                assert!(told.iter().any(is_news), "{told:?}");
            }
        }
    }

    #[test]
    fn what_was_passed_over_is_told_once() {
        let events = events();
        for news in [ended(), Event::Missed, ended()] {
            events.sender().send(news).unwrap();
        }
        events.check().unwrap();
        events.check().unwrap();
        assert!(matches!(*told(&events), [Event::Missed]));
    }

    #[test]
    fn nothing_is_missed_where_there_was_no_news() {
        let events = events();
        events.sender().send(Event::Woken).unwrap();
        events.check().unwrap();
        events.wait_for_call(None, || {}).unwrap();
        events.check().unwrap();
        assert!(told(&events).is_empty());
    }
}
