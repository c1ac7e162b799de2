//! Telling what has happened to those who have subscribed to it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bson::{RawDocumentBuf, Uuid};
use lockcore::{EndCause, LeaveCause, WaiterId};
use lockstore::remote::OnEvents;
use lockstore::{Event, EventKind, StoreError};
use mongodb::change_stream::event::{ChangeStreamEvent, OperationType};

use super::lock_document::StoredLease;
use super::log::{Cause, Entry, Happened, Page};
use super::stored::{holder, key, session, token};
use crate::document_locks::is_side_key;
use crate::time::{Moment, instant};

/// All subscriptions of this process.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<u64, Subscribed>,
    last: u64,
    /// A moment by both clocks: leases are told by ours.
    moment: Option<Moment>,
}

struct Subscribed {
    prefix: Box<str>,
    /// How many wait to be read at most.
    events_max: usize,
    events: VecDeque<Event>,
    /// Who asks for the next ones.
    on_events: Option<OnEvents>,
}

impl Subscriptions {
    /// Begins one, and gives its number.
    pub(super) fn open(
        &self,
        prefix: &str,
        events_max: Option<usize>,
        moment: Moment,
    ) -> Result<u64, StoreError> {
        let mut state = self.lock();
        if state.open.len() >= SUBSCRIPTIONS_MAX {
            return Err(StoreError::TooManySubscriptions { subscriptions_max: SUBSCRIPTIONS_MAX });
        }
        state.last += 1;
        state.moment = Some(moment);
        let number = state.last;
        state.open.insert(
            number,
            Subscribed {
                prefix: prefix.into(),
                events_max: events_max.unwrap_or(EVENTS_MAX).max(1),
                events: VecDeque::new(),
                on_events: None,
            },
        );
        Ok(number)
    }

    /// Ends one.
    pub(super) fn close(&self, number: u64) {
        let closed = self.lock().open.remove(&number);
        drop(closed);
    }

    /// Ends all, since the store is closed.
    pub(super) fn close_all(&self) {
        let open = std::mem::take(&mut self.lock().open);
        for on_events in open.into_values().filter_map(|subscribed| subscribed.on_events) {
            on_events(Err(StoreError::Closed));
        }
    }

    /// Whether anybody has subscribed.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().open.is_empty()
    }

    /// Asks for the next events of one.
    pub(super) fn next(&self, number: u64, on_events: OnEvents) {
        let mut state = self.lock();
        let Some(subscribed) = state.open.get_mut(&number) else {
            drop(state);
            return on_events(Ok(None));
        };
        if subscribed.events.is_empty() {
            subscribed.on_events = Some(on_events);
            return;
        }
        let events = Vec::from(std::mem::take(&mut subscribed.events));
        drop(state);
        on_events(Ok(Some(events)));
    }

    /// Whoever has asked for the next events of one does not wait any more.
    pub(super) fn leave(&self, number: u64) {
        let left = self.lock().open.get_mut(&number).and_then(|it| it.on_events.take());
        drop(left);
    }

    /// A lock was written.
    pub(super) fn lock_changed(
        &self,
        event: &ChangeStreamEvent<RawDocumentBuf>,
        key: &str,
        page: &Page,
    ) {
        let mut state = self.lock();
        // What is behind the lock of a document is nobody's business.
        if state.open.is_empty() || is_side_key(key) {
            return;
        }
        let Some(moment) = state.moment else { return };
        let kinds: Vec<EventKind> =
            page.entries.iter().filter_map(|entry| kind(key, entry, moment)).collect();
        state.tell(sequence(event), kinds);
    }

    /// A session was written.
    pub(super) fn session_changed(&self, event: &ChangeStreamEvent<RawDocumentBuf>) {
        let number = event.document_key.as_ref().and_then(|key| key.get_i64("_id").ok());
        let Some(session) = number.and_then(|number| session(number).ok()) else { return };
        let was_closed = || {
            let update = event.update_description.as_ref()?;
            update.updated_fields.get_bool("closed").ok()
        };
        let kind = match event.operation_type {
            OperationType::Insert => EventKind::SessionOpened { session },
            OperationType::Update if was_closed() == Some(true) => {
                EventKind::SessionClosed { session }
            }
            _ => return,
        };
        self.lock().tell(sequence(event), vec![kind]);
    }

    /// Nobody knows what has happened meanwhile.
    pub(super) fn miss(&self) {
        self.lock().tell(0, vec![EventKind::Gap]);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tell(&mut self, sequence: u64, kinds: Vec<EventKind>) {
        for kind in kinds {
            for subscribed in self.open.values_mut() {
                let concerns = kind.key().is_none_or(|key| key.starts_with(&*subscribed.prefix));
                if concerns {
                    subscribed.push(Event { sequence, kind: kind.clone() });
                }
            }
        }
        for subscribed in self.open.values_mut() {
            if !subscribed.events.is_empty()
                && let Some(on_events) = subscribed.on_events.take()
            {
                on_events(Ok(Some(Vec::from(std::mem::take(&mut subscribed.events)))));
            }
        }
    }
}

impl Subscribed {
    /// Of too many, the rest is a gap.
    fn push(&mut self, event: Event) {
        if self.events.len() < self.events_max {
            self.events.push_back(event);
        } else if self.events.back().is_some_and(|last| last.kind != EventKind::Gap) {
            self.events.push_back(Event { sequence: event.sequence, kind: EventKind::Gap });
        }
    }
}

impl std::fmt::Debug for Subscribed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscribed")
            .field("prefix", &self.prefix)
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

/// What an entry of a lock's log is called as an event.
fn kind(name: &str, entry: &Entry, moment: Moment) -> Option<EventKind> {
    let key = key(name).ok()?;
    let by = || holder(entry.holder.as_deref()?).ok();
    let with = || token(entry.token?).ok();
    let ends =
        |lease: Option<StoredLease>| lease.map(|lease| moment.here_at(instant(lease.expires_at)));
    Some(match entry.what {
        Happened::Granted { mode, lease, waited } => EventKind::Granted {
            key,
            holder: by()?,
            token: with()?,
            mode,
            expires_at: ends(lease),
            waiter: entry.request.filter(|_| waited).and_then(waiter),
        },
        Happened::Renewed { lease, .. } => {
            EventKind::Renewed { key, holder: by()?, token: with()?, expires_at: ends(lease) }
        }
        Happened::Ended { cause } => EventKind::Ended {
            key,
            holder: by()?,
            token: with()?,
            cause: match cause {
                Cause::Expired => EndCause::Expired,
                Cause::Broken => EndCause::Broken,
                Cause::SessionEnded => EndCause::SessionEnded,
                Cause::Released | Cause::TimedOut | Cause::Cancelled => EndCause::Released,
            },
        },
        Happened::Waiting => EventKind::Waiting { key, waiter: entry.request.and_then(waiter)? },
        Happened::Left { cause } => EventKind::Left {
            key,
            waiter: entry.request.and_then(waiter)?,
            cause: match cause {
                Cause::TimedOut => LeaveCause::TimedOut,
                Cause::SessionEnded => LeaveCause::SessionEnded,
                Cause::Released | Cause::Expired | Cause::Broken | Cause::Cancelled => {
                    LeaveCause::Cancelled
                }
            },
        },
    })
}

/// The number of a wait: a part of its call's id.
fn waiter(request: Uuid) -> Option<WaiterId> {
    let bytes = request.bytes();
    let (number, _) = bytes.split_first_chunk::<8>()?;
    WaiterId::new(u64::from_be_bytes(*number))
}

/// The time of the oplog: rises from write to write, and all that one write did has the same.
fn sequence(event: &ChangeStreamEvent<RawDocumentBuf>) -> u64 {
    event.cluster_time.map_or(0, |time| (u64::from(time.time) << 32) | u64::from(time.increment))
}

/// How many events wait to be read at most, where nobody says.
const EVENTS_MAX: usize = 10_000;
/// How many subscriptions a process may have.
const SUBSCRIPTIONS_MAX: usize = 1_000;
