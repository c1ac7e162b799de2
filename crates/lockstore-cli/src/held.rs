//! A lock that is held for as long as this program lives.
//!
//! It is bound to a session at the store's server, so that it is free at once when this process dies, whatever kills it.

use std::sync::mpsc::Sender;

use lockstore::{
    AcquireError, EventKind, Holder, Instant, Key, LockGuard, ReleaseError, Session, Store,
    Subscription, Token,
};

use crate::event::{Event, Events, start_thread};
use crate::failure::{Failure, Kind};
use crate::holders;
use crate::store_place::StorePlace;
use crate::times::Patience;
use crate::wanted::Wanted;

/// A lock that is held, with a lease that is kept alive.
#[derive(Debug)]
pub(crate) struct Held {
    store: Store,
    /// It ends with the process. To end it takes an answer of the server, for which a program that is told to end cannot wait.
    session: Session,
    guard: LockGuard,
}

impl Held {
    /// Acquires a lock, or fails when it has not become free in time. Two of one holder exclude each other like any two.
    pub(crate) fn acquire(
        wanted: &Wanted,
        place: &StorePlace,
        patience: Patience,
        events: &Events,
    ) -> Result<Self, Failure> {
        let until = patience.until(place.now());
        let (store, session) = begin(place, wanted, events)?;
        let guard = loop {
            let left = until.map(|until| until.saturating_since(place.now()));
            let request = wanted.request(&store).session(&session);
            match wanted.wait(request, left, events)? {
                Ok(guard) => break guard,
                Err(AcquireError::TimedOut { .. }) => {
                    return Err(wanted.not_acquired(&store, patience));
                }
                Err(
                    AcquireError::OtherSession { holder, .. }
                    | AcquireError::OtherMode { holder, .. },
                ) => {
                    // It is not in the queue: a holder that waits for itself would wait for ever.
                    if !ends_before(until, events)? {
                        let why = format!("the same holder, {holder:?}, has it already");
                        return Err(wanted.not_acquired_since(&why, patience));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        guard.keep_alive();
        Ok(Self { store, session, guard })
    }

    pub(crate) fn key(&self) -> &Key {
        self.guard.key()
    }

    pub(crate) fn holder(&self) -> &Holder {
        self.guard.holder()
    }

    pub(crate) fn token(&self) -> Token {
        self.guard.token()
    }

    /// Until when it is surely held, as it was renewed last; `None` when it has no end.
    pub(crate) fn valid_until(&self) -> Option<Instant> {
        self.guard.valid_until()
    }

    /// Asks the store whether it is still held. [`Event::Lost`] comes if it is not.
    pub(crate) fn look(&self, events: &Events) {
        let (store, key, token) = (self.store.clone(), self.key().clone(), self.token());
        let news = events.sender();
        let look = move || match store.inspect(&key) {
            Ok(Some(lock)) if lock.holders.iter().any(|holder| holder.token == token) => {}
            Ok(_) => {
                // Nobody listens any more when the command is over.
                let _ = news.send(Event::Lost(what_became(&store, &key, token)));
            }
            Err(error) => tracing::warn!(%error, "whether the lock is still held is not known"),
        };
        if let Err(failure) = start_thread("look", look) {
            tracing::warn!(%failure, "whether the lock is still held is not known");
        }
    }

    /// Gives the lock back, until `until` at the latest. Fails with [`Kind::Lost`] when it was lost before.
    pub(crate) fn release(self, until: Instant, events: &Events) -> Result<(), Failure> {
        let Self { store, session, guard } = self;
        let (key, token) = (guard.key().clone(), guard.token());
        let release = move || {
            let released = match guard.release() {
                Ok(()) => Ok(()),
                Err(ReleaseError::Store(error)) => Err(error.into()),
                Err(_) => Err(Failure::lost(what_became(&store, &key, token))),
            };
            if let Err(error) = session.end() {
                tracing::debug!(%error, "the session ends with this process");
            }
            // What the server remembers for this client ends at once then.
            if let Err(error) = store.close() {
                tracing::debug!(%error, "the connection to the store was not closed");
            }
            released
        };
        // Signals that came before were for the command, which has ended.
        events.forget();
        let released = events.wait_for_call(Some(until), release);
        released.and_then(|released| released).map_err(|failure| match failure.kind() {
            Kind::Lost => failure,
            _ => Failure::store(format!("the lock could not be released: {failure}")),
        })
    }

    /// Leaves a lock alone that is lost.
    pub(crate) fn forget(self) {
        self.guard.leak();
    }
}

/// A session at the server, and news of what happens to the lock.
fn begin(
    place: &StorePlace,
    wanted: &Wanted,
    events: &Events,
) -> Result<(Store, Session), Failure> {
    let (place, key, news) = (place.clone(), wanted.key.clone(), events.sender());
    events.wait_for_call(None, move || {
        let store = place.connect()?;
        follow(store.subscribe(&key)?, key, news)?;
        let session = store.session()?.leak();
        let session = store.session_with(session);
        Ok((store, session))
    })?
}

/// Tells of what may end a grant of `key`, until the store is closed.
fn follow(changes: Subscription, key: Key, news: Sender<Event>) -> Result<(), Failure> {
    let follow = move || {
        for change in changes.iter() {
            let event = match change.kind {
                EventKind::Ended { key: ended, token, .. } if ended == key => Event::Ended(token),
                EventKind::Gap => Event::Missed,
                // Other keys begin like this one.
                _ => continue,
            };
            if news.send(event).is_err() {
                return;
            }
        }
    };
    start_thread("news", follow)
}

/// Whether a grant of the lock ends, or may have ended, before the time is over.
fn ends_before(until: Option<Instant>, events: &Events) -> Result<bool, Failure> {
    loop {
        match events.next_before(until)? {
            Some(Event::Ended(_) | Event::Missed) => return Ok(true),
            Some(_) => {}
            None => return Ok(false),
        }
    }
}

/// What became of a grant that is over, as far as the store tells: for people.
fn what_became(store: &Store, key: &Key, token: Token) -> String {
    let breaks = store.audit(None, BREAKS_READ_MAX).unwrap_or_default();
    let cause = match breaks.iter().find(|record| record.token == token) {
        Some(record) => format!("it was broken ({})", record.reason),
        None => "its lease had ended, or it was released".to_owned(),
    };
    let now = match store.inspect(key) {
        Ok(Some(lock)) => format!("it is held {} now", holders::by_all(&lock)),
        Ok(None) => "nobody holds it now".to_owned(),
        Err(_) => "who holds it now is not known".to_owned(),
    };
    format!("the lock of {key:?} (token {token}) was lost: {cause}, and {now}")
}

/// Enough to find a break that was made a moment ago.
const BREAKS_READ_MAX: usize = 100;
