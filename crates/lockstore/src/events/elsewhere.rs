//! The events of a store elsewhere, on their way to one who asked for them here.

use std::sync::Arc;
use std::task::Waker;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::{Event, EventKind, Listener, Subscriber, Subscription};
use crate::error::StoreError;
use crate::remote::Remote;

/// The thread that asks for events, and ends with this.
#[derive(Debug)]
pub(super) struct Feed {
    _ends: Sender<()>,
}

/// What the thread works with.
#[derive(Debug)]
struct Source {
    remote: Arc<dyn Remote>,
    prefix: Box<str>,
    /// Its number at the other end.
    number: u64,
    /// Whom it tells here.
    subscriber: Subscriber,
    /// Disconnected when nobody listens any more.
    ends: Receiver<()>,
}

impl Subscription {
    /// A subscription to the events of a store elsewhere.
    pub(crate) fn elsewhere(remote: &Arc<dyn Remote>, prefix: &str) -> Result<Self, StoreError> {
        let number = remote.subscribe(prefix, None)?;
        let (sender, receiver) = bounded(EVENTS_MAX + 1);
        let listener = Arc::new(Listener::default());
        let listens = Arc::downgrade(&listener);
        let subscriber = Subscriber {
            // The other end has chosen them.
            prefix: "".into(),
            sender,
            events_max: EVENTS_MAX,
            missed: false,
            listens,
        };
        let (end, ends) = bounded(0);
        let (remote, prefix) = (Arc::clone(remote), prefix.into());
        let mut source = Source { remote, prefix, number, subscriber, ends };
        let started = thread::Builder::new().name("lockstore-events".into()).spawn(move || {
            while source.tell_next() {
                source.wake(Listener::told);
            }
            source.wake(Listener::ended);
            source.remote.unsubscribe(source.number);
        });
        match started {
            Ok(_) => Ok(Self { receiver, listener, _feed: Some(Feed { _ends: end }) }),
            Err(error) => Err(StoreError::Internal {
                what: format!("there is no thread for a subscription: {error}").into(),
            }),
        }
    }
}

impl Source {
    /// Tells what has happened next. `false` when nothing comes any more, or nobody listens.
    fn tell_next(&mut self) -> bool {
        let (tell, told) = bounded(1);
        // Whoever gives up does not read the answer that may come all the same.
        let on_events = Box::new(move |events| drop(tell.send(events)));
        let outstanding = self.remote.next_events(self.number, on_events);
        let events = select! {
            recv(self.ends) -> _ => return false,
            recv(told) -> events => events,
        };
        outstanding.detach();
        match events {
            Ok(Ok(Some(events))) => events.iter().all(|event| self.subscriber.tell(event)),
            Ok(Ok(None)) => self.begin_again(),
            Ok(Err(error)) if error.may_pass() => self.pause(),
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Wakes who waits without blocking a thread.
    fn wake(&self, whom: fn(&Listener) -> Option<Waker>) {
        if let Some(waker) = self.subscriber.listens.upgrade().and_then(|it| whom(&it)) {
            waker.wake();
        }
    }

    /// The other end has forgotten the subscription, for it was started anew: nobody knows what has happened meanwhile.
    fn begin_again(&mut self) -> bool {
        match self.remote.subscribe(&self.prefix, None) {
            Ok(number) => {
                self.number = number;
                self.subscriber.tell(&Event { sequence: 0, kind: EventKind::Gap })
            }
            Err(error) if error.may_pass() => self.pause(),
            Err(_) => false,
        }
    }

    /// Leaves the other end alone for a moment.
    fn pause(&self) -> bool {
        select! {
            recv(self.ends) -> _ => false,
            default(PAUSE) => true,
        }
    }
}

/// How many events wait here at most, beside those that wait at the other end.
const EVENTS_MAX: usize = 4_096;

/// How long the other end is left alone after it could not be reached.
const PAUSE: Duration = Duration::from_millis(100);
