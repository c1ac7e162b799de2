//! Events: what has changed, told to those who asked, after the commit that carries it.

mod elsewhere;
mod listener;

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use lockcore::{
    Change, EndCause, Holder, Instant, Key, LeaveCause, Mode, SessionId, Token, WaiterId,
};

use crate::clock::WallTime;
use crate::engine::Engine;
use crate::error::StoreError;
use elsewhere::Feed;
use listener::{Listener, Told};

/// Something that has become durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The batch that carried it: rises from batch to batch, and all events of one batch share it.
    pub sequence: u64,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A lock was granted.
    Granted {
        /// The lock.
        key: Key,
        /// Who holds it now.
        holder: Holder,
        /// Its fencing token.
        token: Token,
        /// Its mode.
        mode: Mode,
        /// When its lease runs out; `None` when it has no end.
        expires_at: Option<Instant>,
        /// The wait that this ended, when the lock was handed to a waiter.
        waiter: Option<WaiterId>,
    },
    /// A grant got a new lease: it was renewed, or acquired again by its holder.
    Renewed {
        /// The lock.
        key: Key,
        /// Who holds it.
        holder: Holder,
        /// Its fencing token, as before.
        token: Token,
        /// When its lease runs out now; `None` when it has no end.
        expires_at: Option<Instant>,
    },
    /// A grant is over.
    Ended {
        /// The lock.
        key: Key,
        /// Who held it.
        holder: Holder,
        /// The token it was held with.
        token: Token,
        /// Why it is over.
        cause: EndCause,
    },
    /// Somebody waits for a lock.
    Waiting {
        /// The lock.
        key: Key,
        /// The number of the wait.
        waiter: WaiterId,
    },
    /// Somebody waits no longer, and got no grant.
    Left {
        /// The lock.
        key: Key,
        /// The number of the wait.
        waiter: WaiterId,
        /// Why.
        cause: LeaveCause,
    },
    /// A session has begun.
    SessionOpened {
        /// Its number.
        session: SessionId,
    },
    /// A session is gone, and all that was bound to it.
    SessionClosed {
        /// Its number.
        session: SessionId,
    },
    /// The wall clock stands before a time that the store has seen. Leases were not shortened for it.
    ClockWentBackwards {
        /// The latest time seen.
        mark: WallTime,
        /// What the clock shows.
        now: WallTime,
    },
    /// Events are missing here: the receiver was full. Look at the state again before going on.
    Gap,
}

impl EventKind {
    /// The key that it is about; `None` where it is about none.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Granted { key, .. }
            | Self::Renewed { key, .. }
            | Self::Ended { key, .. }
            | Self::Waiting { key, .. }
            | Self::Left { key, .. } => Some(key),
            Self::SessionOpened { .. }
            | Self::SessionClosed { .. }
            | Self::ClockWentBackwards { .. }
            | Self::Gap => None,
        }
    }

    /// What a change of the table is called as an event.
    pub(crate) fn of(change: &Change) -> Option<Self> {
        Some(match change.clone() {
            Change::Granted { key, mode, grant, waiter } => Self::Granted {
                key,
                mode,
                holder: grant.holder,
                token: grant.token,
                expires_at: grant.lease.map(|lease| lease.expires_at),
                waiter,
            },
            Change::Renewed { key, holder, token, lease, waiter: _ } => {
                let expires_at = lease.map(|lease| lease.expires_at);
                Self::Renewed { key, holder, token, expires_at }
            }
            Change::Ended { key, holder, token, cause } => {
                Self::Ended { key, holder, token, cause }
            }
            Change::Queued { key, waiter } => Self::Waiting { key, waiter: waiter.id },
            Change::Left { key, waiter, cause } => Self::Left { key, waiter, cause },
            Change::SessionOpened { session } => Self::SessionOpened { session },
            Change::SessionLost { .. }
            | Change::SessionTakenUp { .. }
            | Change::SessionClosing { .. } => return None,
            Change::SessionClosed { session } => Self::SessionClosed { session },
        })
    }
}

/// Events on their way to one who asked for them; see [`Store::subscribe`](crate::Store::subscribe). It is used
/// as the [`Receiver`] that it holds; dropping it ends the subscription.
#[derive(Debug)]
pub struct Subscription {
    receiver: Receiver<Event>,
    /// The channel alone does not tell the store that nobody listens any more while nothing is sent.
    listener: Arc<Listener>,
    /// What brings the events of a store elsewhere.
    _feed: Option<Feed>,
}

impl Subscription {
    /// The next event, for who waits without blocking a thread: `None` when nothing comes any more. Until there is one, the waker
    /// of the last call is woken when there may be. One receiver may be polled or read, not both at once.
    pub fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        if let Ok(event) = self.receiver.try_recv() {
            return Poll::Ready(Some(event));
        }
        let goes_on = self.wake_with(context.waker());
        // What has come before the waker was there woke nobody.
        match self.receiver.try_recv() {
            Ok(event) => Poll::Ready(Some(event)),
            Err(TryRecvError::Empty) if goes_on => Poll::Pending,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => Poll::Ready(None),
        }
    }

    /// Has `waker` woken when there is something to be read. `false` when nothing comes any more.
    pub(crate) fn wake_with(&self, waker: &Waker) -> bool {
        self.listener.wake_with(waker)
    }
}

impl Deref for Subscription {
    type Target = Receiver<Event>;

    fn deref(&self) -> &Receiver<Event> {
        &self.receiver
    }
}

/// Those who asked to be told.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    list: Mutex<Vec<Subscriber>>,
    /// The length of the list, so that the writer makes no events for nobody.
    len: AtomicUsize,
    /// Those who are to be woken when the writer's seat is free: who is woken may use the store.
    told: Told,
}

#[derive(Debug)]
struct Subscriber {
    prefix: Box<str>,
    sender: Sender<Event>,
    /// The bound. The channel has one place more, for [`EventKind::Gap`].
    events_max: usize,
    missed: bool,
    listens: Weak<Listener>,
}

impl Subscribers {
    /// Adds one that is told of keys that begin with `prefix`, and of what has no key.
    /// `None` when there are as many as [`SUBSCRIPTIONS_MAX`].
    pub(crate) fn add(
        &self,
        prefix: &str,
        events_max: usize,
        first: Option<Event>,
    ) -> Option<Subscription> {
        let (sender, receiver) = crossbeam_channel::bounded(events_max.saturating_add(1));
        let listener = Arc::new(Listener::default());
        let listens = Arc::downgrade(&listener);
        let prefix = prefix.into();
        let mut subscriber = Subscriber { prefix, sender, events_max, missed: false, listens };
        if let Some(event) = first {
            subscriber.tell(&event);
        }
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(Subscriber::listens);
        if list.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        list.push(subscriber);
        self.len.store(list.len(), Ordering::Release);
        Some(Subscription { receiver, listener, _feed: None })
    }

    /// Whether anybody wants to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Tells everybody, and waits for nobody.
    pub(crate) fn publish(&self, sequence: u64, kinds: impl Iterator<Item = EventKind>) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        for kind in kinds {
            let event = Event { sequence, kind };
            list.retain_mut(|subscriber| subscriber.tell(&event));
        }
        self.len.store(list.len(), Ordering::Release);
        self.told.extend(list.iter().filter_map(|it| it.listens.upgrade()?.told()));
    }

    /// Ends all subscriptions: the receivers read what is left, and then find the channel closed.
    pub(crate) fn end(&self) {
        let list = std::mem::take(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner));
        self.len.store(0, Ordering::Release);
        self.told.extend(list.iter().filter_map(|it| it.listens.upgrade()?.ended()));
    }

    /// Wakes those who were told since the last time. Nobody sits in the seat.
    pub(crate) fn wake(&self) {
        self.told.wake();
    }
}

impl Engine {
    /// Begins a subscription to what happens to keys that begin with `prefix`, of which `events_max` wait at most; by default as many as the
    /// options say, which is the most.
    pub(crate) fn subscribe(
        &self,
        prefix: &str,
        events_max: Option<usize>,
    ) -> Result<Subscription, StoreError> {
        self.check_usable()?;
        // Nobody could subscribe before the opening that found this out.
        let backwards = self.recovery.clock_went_backwards.map(|mark| {
            let now = self.clock.wall();
            Event { sequence: 0, kind: EventKind::ClockWentBackwards { mark, now } }
        });
        let most = self.settings.events_max;
        let events_max = events_max.map_or(most, |events| events.clamp(1, most));
        let events = self.subscribers.add(prefix, events_max, backwards);
        let subscriptions_max = SUBSCRIPTIONS_MAX;
        let events = events.ok_or(StoreError::TooManySubscriptions { subscriptions_max })?;
        // The end of a store that was closed or has stopped meanwhile may have passed this one by.
        self.check_usable()?;
        Ok(events)
    }
}

impl Subscriber {
    fn listens(&self) -> bool {
        self.listens.strong_count() > 0
    }

    /// Tells one subscriber, or notes a gap. `false` when it is gone.
    fn tell(&mut self, event: &Event) -> bool {
        if !self.listens() {
            return false;
        }
        if event.kind.key().is_some_and(|key| !key.starts_with(&*self.prefix)) {
            return true;
        }
        // The last place of the channel is kept for a gap, which is told once until the receiver reads.
        let full = self.sender.len() >= self.events_max;
        if !full || !self.missed {
            let kind = if full { EventKind::Gap } else { event.kind.clone() };
            // There is a place for it, and who stops listening meanwhile misses nothing.
            let _ = self.sender.try_send(Event { sequence: event.sequence, kind });
        }
        self.missed = full;
        true
    }
}

/// How many may be told at once.
pub(crate) const SUBSCRIPTIONS_MAX: usize = 1_024;
