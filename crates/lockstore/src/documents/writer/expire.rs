//! Documents that expire: an index with `expireAfterSeconds` is the queue, and one timer for each such index says
//! when to look at its head.
//!
//! A document expires when the wall clock passes the earliest date in its field by that many seconds. What is no date
//! never expires. As the wall clock may be set, no timer is further away than [`TIMER_MAX`].

use std::collections::BTreeMap;
use std::time::Duration;

use docquery::Value;
use docquery::key::{Direction as Order, encode};
use lockcore::Instant;
use lockcore::wheel::{Poll, TimerId, Wheel};

use super::{Batch, DocumentWriter};
use crate::clock::WallTime;
use crate::disk::Direction;
use crate::documents::overlay::Ground;
use crate::documents::{Collection, CollectionId, Edge, Index, IndexId, RecordId};
use crate::error::DocumentError;

/// The indexes whose documents expire, and when to look at them.
#[derive(Debug)]
pub(super) struct Expiry {
    wheel: Wheel<IndexId>,
    watched: BTreeMap<IndexId, Watched>,
    /// The moment of the batch that is being served.
    now: Instant,
    wall: WallTime,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    collection: CollectionId,
    order: Order,
    after_ms: i64,
    /// `None` while the index has no dates.
    timer: Option<TimerId>,
}

/// What the head of an index has come to.
struct Head {
    /// The documents that have expired.
    expired: Vec<RecordId>,
    /// Whether there are more of them.
    more: bool,
    /// The earliest date of those that have not.
    next: Option<i64>,
}

impl DocumentWriter {
    /// A batch begins at this moment.
    pub(crate) fn begin(&mut self, now: Instant, wall: WallTime) {
        self.batch = Batch::default();
        self.expiry.now = now;
        self.expiry.wall = wall;
    }

    /// Deletes documents that have expired: a bounded number.
    pub(crate) fn expire(&mut self, ground: &Ground<'_>) {
        let (mut documents_left, mut moves_left) = (EXPIRED_PER_BATCH, TIMERS_MOVED_MAX);
        while documents_left > 0
            && let Poll::Due { value: &index, .. } =
                self.expiry.wheel.poll(self.expiry.now, &mut moves_left)
        {
            if let Err(error) = self.expire_in(index, &mut documents_left, ground) {
                tracing::warn!(%error, "documents that have expired are left for now");
                self.expiry.arm(index, Some(TIMER_MAX));
            }
        }
    }

    /// When documents are to be expired next.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.wheel.next_deadline()
    }

    /// Watches those indexes of a collection whose documents expire.
    pub(super) fn watch_all(&mut self, collection: &Collection) {
        for index in collection.indexes() {
            match index.expire_after_seconds() {
                Some(seconds) if index.is_ready() => {
                    self.expiry.watch(collection.id(), index, seconds.saturating_mul(1_000));
                }
                Some(_) | None => self.expiry.unwatch(index.id()),
            }
        }
    }

    pub(super) fn unwatch(&mut self, index: IndexId) {
        self.expiry.unwatch(index);
    }

    /// A document has got this key.
    pub(super) fn saw_key(&mut self, index: IndexId, key: &[u8]) {
        self.expiry.saw_key(index, key);
    }

    fn expire_in(
        &mut self,
        index: IndexId,
        documents_left: &mut usize,
        ground: &Ground<'_>,
    ) -> Result<(), DocumentError> {
        let watched = *self.expiry.watched.get(&index).expect("its timer was set");
        let head = self.head(index, watched, *documents_left, ground)?;
        for record in head.expired {
            *documents_left -= 1;
            if let Some(set) = self.change_set(watched.collection, record, None, ground)? {
                self.write(watched.collection, record, None, set, true);
            }
        }
        let delay = match head.next {
            _ if head.more => Some(Duration::ZERO),
            Some(date) => Some(self.expiry.delay(date, watched.after_ms)),
            None => None,
        };
        self.expiry.arm(index, delay);
        Ok(())
    }

    /// Looks at the head of an index.
    fn head(
        &self,
        index: IndexId,
        watched: Watched,
        documents_max: usize,
        ground: &Ground<'_>,
    ) -> Result<Head, DocumentError> {
        let tag = date_tag(watched.order);
        let edges = (Edge::Before(&tag), Edge::Behind(&tag));
        // The earliest date comes first in an ascending index, and last in a descending one.
        let direction = match watched.order {
            Order::Ascending => Direction::Forward,
            Order::Descending => Direction::Backward,
        };
        let mut head = Head { expired: Vec::new(), more: false, next: None };
        for entry in ground.rows()?.entries(index, edges, direction)? {
            let entry = entry?;
            let Some(date) = date_in(entry.key(), watched.order) else { continue };
            if self.batch.overlay.has_removed(entry.row()) {
                continue;
            }
            if !self.expiry.is_past(date, watched.after_ms) {
                head.next = Some(date);
                break;
            }
            if head.expired.len() >= documents_max {
                head.more = true;
                break;
            }
            head.expired.push(entry.record());
        }
        Ok(head)
    }
}

impl Expiry {
    pub(super) fn new(now: Instant, wall: WallTime) -> Self {
        Self { wheel: Wheel::new(now), watched: BTreeMap::new(), now, wall }
    }

    /// Watches an index, or does so by another number of seconds: its head is looked at soon.
    fn watch(&mut self, collection: CollectionId, index: &Index, after_ms: i64) {
        let Some(field) = index.pattern().fields().first() else { return };
        let order = field.direction();
        let watched = self.watched.entry(index.id()).or_insert(Watched {
            collection,
            order,
            // No index has this, so that it is seen as changed below.
            after_ms: i64::MIN,
            timer: None,
        });
        if watched.after_ms != after_ms {
            watched.after_ms = after_ms;
            self.arm(index.id(), Some(Duration::ZERO));
        }
    }

    fn unwatch(&mut self, index: IndexId) {
        if let Some(Watched { timer: Some(timer), .. }) = self.watched.remove(&index) {
            self.wheel.cancel(timer);
        }
    }

    fn saw_key(&mut self, index: IndexId, key: &[u8]) {
        let Some(watched) = self.watched.get(&index) else { return };
        let Some(date) = date_in(key, watched.order) else { return };
        let delay = self.delay(date, watched.after_ms);
        let set = watched.timer.and_then(|timer| self.wheel.get(timer));
        if set.is_none_or(|(_, deadline)| self.now.saturating_add(delay) < deadline) {
            self.arm(index, Some(delay));
        }
    }

    /// Sets the timer of a watched index, or takes it away.
    fn arm(&mut self, index: IndexId, delay: Option<Duration>) {
        let Some(watched) = self.watched.get_mut(&index) else { return };
        let deadline = delay.map(|delay| self.now.saturating_add(delay));
        match (watched.timer, deadline) {
            (Some(timer), Some(deadline)) => {
                self.wheel.reset(timer, deadline);
            }
            (None, Some(deadline)) => watched.timer = Some(self.wheel.set(deadline, index)),
            (Some(timer), None) => {
                self.wheel.cancel(timer);
                watched.timer = None;
            }
            (None, None) => {}
        }
    }

    fn is_past(&self, date: i64, after_ms: i64) -> bool {
        self.due_in_ms(date, after_ms) <= 0
    }

    /// How long to wait until a date expires, or before looking at it again.
    fn delay(&self, date: i64, after_ms: i64) -> Duration {
        let delay = u64::try_from(self.due_in_ms(date, after_ms)).unwrap_or(0);
        Duration::from_millis(delay).min(TIMER_MAX)
    }

    fn due_in_ms(&self, date: i64, after_ms: i64) -> i64 {
        let wall = i64::try_from(self.wall.as_millis()).unwrap_or(i64::MAX);
        date.saturating_add(after_ms).saturating_sub(wall)
    }
}

/// What the keys of all dates begin with.
fn date_tag(order: Order) -> [u8; 1] {
    let mut key = Vec::new();
    encode(Value::DateTime(0), &mut key);
    match order {
        Order::Ascending => [key[0]],
        Order::Descending => [!key[0]],
    }
}

/// The date that a key is, in milliseconds since the epoch; `None` when it is something else.
fn date_in(key: &[u8], order: Order) -> Option<i64> {
    let millis = key.strip_prefix(&date_tag(order))?.try_into().ok().map(u64::from_be_bytes)?;
    let millis = match order {
        Order::Ascending => millis,
        Order::Descending => !millis,
    };
    Some((millis ^ (1 << 63)).cast_signed())
}

/// How many documents expire in one batch at most: the rest is due in the next.
const EXPIRED_PER_BATCH: usize = 256;

/// How far away a timer is at most: so late is an expiry at most after the wall clock was set forward.
const TIMER_MAX: Duration = Duration::from_secs(60);

/// How many timers one batch moves inside the wheel.
const TIMERS_MOVED_MAX: u32 = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_read_back_from_its_key() {
        for date in [0, 1, -1, i64::MAX, i64::MIN, 1_700_000_000_123] {
            let mut key = Vec::new();
            encode(Value::DateTime(date), &mut key);
            assert_eq!(date_in(&key, Order::Ascending), Some(date));
            for byte in &mut key {
                *byte = !*byte;
            }
            assert_eq!(date_in(&key, Order::Descending), Some(date));
        }
        let mut key = Vec::new();
        encode(Value::Timestamp(7), &mut key);
        assert_eq!(date_in(&key, Order::Ascending), None);
    }
}
