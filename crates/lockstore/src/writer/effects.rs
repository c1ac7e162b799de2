//! What a batch does to the world: its rows on the disk, the view of the readers, events, answers.

use lockcore::{Change, Granted, Key, Lease, LeaveCause, Token, Transition};

use super::{Batch, Moment, Writer};
use crate::disk::DiskError;
use crate::document_locks::side_grant::is_side_key;
use crate::events::EventKind;
use crate::grants;
use crate::records::Record;
use crate::request::Answer;
use crate::rows::{RowChange, RowKey, TableId};

impl Writer {
    /// Makes a transition come true in the table and in the batch. It is durable, and anybody is told,
    /// only after the commit; a commit that fails stops the store, so the table need not be undone.
    pub(super) fn apply(&mut self, transition: &Transition, moment: Moment<'_>) {
        self.table.apply(transition);
        for change in &transition.changes {
            self.persist(change, moment);
            self.wake(change);
            self.document_locks.note(change);
            if let Change::SessionClosing { session } = change {
                self.end_waits_of(*session);
            }
            if moment.tell && !is_about_side_grant(change) {
                self.batch.events.extend(EventKind::of(change));
            }
        }
    }

    fn persist(&mut self, change: &Change, moment: Moment<'_>) {
        let key = match change {
            Change::Granted { key, grant, .. } => {
                self.put_grant(key, &grant.holder, moment);
                key
            }
            Change::Renewed { key, holder, .. } => {
                self.put_grant(key, holder, moment);
                key
            }
            Change::Ended { key, token, .. } => {
                self.joined.remove(token);
                self.recalled.remove(token);
                self.batch.rows.push(RowChange::delete(TableId::Grants, RowKey::grant(*token)));
                key
            }
            // Waiters are not persisted: who waits is there to ask again.
            Change::Queued { key, .. } | Change::Left { key, .. } => key,
            Change::SessionOpened { session }
            | Change::SessionLost { session, .. }
            | Change::SessionTakenUp { session }
            | Change::SessionClosing { session } => return self.put_session(*session),
            Change::SessionClosed { session } => return self.delete_session(*session),
        };
        self.batch.touched.push(key.clone());
    }

    fn put_grant(&mut self, key: &Key, holder: &str, moment: Moment<'_>) {
        let lock = self.table.lock(key).expect("what was just granted is held");
        let grant = lock.grant_of(holder).expect("what was just granted is held");
        let (clock, wall) = (moment.around.clock, self.numbers.wall_seen());
        let record = grants::to_record(lock, grant, moment.now.instant, wall, clock.boot_id());
        let row = RowKey::grant(grant.token);
        let value = record.to_row(&row);
        self.batch.rows.push(RowChange::put(TableId::Grants, row, value));
    }

    /// Notes who is to be told that its wait is over.
    fn wake(&mut self, change: &Change) {
        let (waiter, answer) = match change {
            Change::Granted { waiter: Some(waiter), grant, .. } => {
                (waiter, handed_off(grant.token, grant.lease, false))
            }
            Change::Renewed { waiter: Some(waiter), token, lease, .. } => {
                self.joined.insert(*token);
                (waiter, handed_off(*token, *lease, true))
            }
            // Who cancelled its wait does not wait for an answer.
            Change::Left { waiter, cause: LeaveCause::Cancelled, .. } => {
                self.waiting.remove(waiter);
                return;
            }
            Change::Left { waiter, cause, .. } => (waiter, Answer::Left(*cause)),
            Change::Granted { waiter: None, .. }
            | Change::Renewed { waiter: None, .. }
            | Change::Ended { .. }
            | Change::Queued { .. }
            | Change::SessionOpened { .. }
            | Change::SessionLost { .. }
            | Change::SessionTakenUp { .. }
            | Change::SessionClosing { .. }
            | Change::SessionClosed { .. } => return,
        };
        if let Some(slot) = self.waiting.remove(waiter) {
            self.answer_waiter(slot, answer);
        }
    }

    /// Makes the batch durable. Answers whether there was anything to make durable.
    pub(super) fn commit(&mut self, moment: Moment<'_>) -> Result<bool, DiskError> {
        self.documents.drain_into(&mut self.batch.rows);
        self.batch.rows.extend(self.numbers.reserve(self.table.next_token()));
        if self.batch.rows.is_empty() {
            return Ok(false);
        }
        self.batch.rows.extend(self.numbers.move_mark());
        let documents = &self.documents;
        self.format.rise_for(&mut self.batch.rows, || documents.ids_row());
        moment.around.disk.commit(&self.batch.rows)?;
        self.batch.rows.clear();
        self.figures.commits += 1;
        Ok(true)
    }

    /// Shows readers and subscribers what the batch has changed; `has_committed` tells whether rows were among that.
    pub(super) fn publish(
        &mut self,
        moment: Moment<'_>,
        has_committed: bool,
    ) -> Result<(), DiskError> {
        let around = moment.around;
        let Batch { touched, events, .. } = &mut self.batch;
        if !moment.tell && !touched.is_empty() && !around.subscribers.is_empty() {
            // Somebody subscribed while this batch was on its way to the disk.
            events.push(EventKind::Gap);
        }
        if touched.is_empty() && events.is_empty() && !self.documents.has_written() {
            return Ok(());
        }
        let changed = touched.iter().map(|key| (key, self.table.lock(key)));
        let catalog = self.documents.catalog();
        let disk = has_committed.then_some(around.disk);
        let sequence = around.published.publish(changed, catalog, disk)?;
        touched.clear();
        self.documents.published(sequence);
        around.subscribers.publish(sequence, events.drain(..));
        Ok(())
    }
}

/// Who subscribes is told of locks that have a name; of documents, the documents tell.
fn is_about_side_grant(change: &Change) -> bool {
    match change {
        Change::Granted { key, .. }
        | Change::Renewed { key, .. }
        | Change::Ended { key, .. }
        | Change::Queued { key, .. }
        | Change::Left { key, .. } => is_side_key(key),
        Change::SessionOpened { .. }
        | Change::SessionLost { .. }
        | Change::SessionTakenUp { .. }
        | Change::SessionClosing { .. }
        | Change::SessionClosed { .. } => false,
    }
}

fn handed_off(token: Token, lease: Option<Lease>, rejoined: bool) -> Answer {
    Answer::HandedOff(Granted { token, lease, rejoined })
}
