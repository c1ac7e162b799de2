//! Client sessions in the writer: what is remembered of a task goes into the batch that does it, and the rows of sessions that have
//! ended go in steps.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use lockcore::Instant;

use super::{Moment, Writer};
use crate::client_sessions::{Lsid, Origin};
use crate::disk::DiskError;
use crate::request::{Answer, Reply, Request, Task};
use crate::rows::{RowChange, RowKey, TableId};
use crate::slot::Slot;

/// What is still to be done about sessions.
#[derive(Debug)]
pub(super) struct Sweeping {
    /// Sessions that have ended, and may still have rows.
    ending: VecDeque<Lsid>,
    /// When it is looked again who has not been here for long.
    next_look: Instant,
    /// Whether anybody was known in the last batch.
    somebody: bool,
}

impl Sweeping {
    pub(super) fn new(now: Instant) -> Self {
        Self { ending: VecDeque::new(), next_look: now, somebody: true }
    }

    /// When there is something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if !self.ending.is_empty() {
            return Some(Instant::ZERO);
        }
        self.somebody.then_some(self.next_look)
    }

    /// These have ended.
    pub(super) fn end(&mut self, sessions: Vec<Lsid>) {
        self.ending.extend(sessions);
    }
}

impl Writer {
    /// Does a task whose answer is remembered, if it tells of a change.
    pub(super) fn serve_once(
        &mut self,
        origin: &Arc<Origin>,
        task: Task,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let (answers, unfinished) = (self.batch.answers.len(), self.batch.unfinished.len());
        let id = reply.id();
        self.serve_task(task, reply, moment);
        // What it could not finish is asked for again as it was.
        for Request { task, .. } in &mut self.batch.unfinished[unfinished..] {
            let unfinished = std::mem::replace(task, Task::OpenClientSession);
            let origin = Arc::clone(origin);
            *task = Task::Once { origin, task: Box::new(unfinished) };
        }
        let own = self.batch.answers[answers..].iter().rev().find(|(reply, _)| reply.id() == id);
        let row =
            own.and_then(|(_, answer)| origin.row(answer, self.numbers.wall_seen().as_millis()));
        self.batch.rows.extend(row);
    }

    /// Answers somebody who has waited. What it comes to is remembered in the batch that ends its wait, if it is.
    pub(super) fn answer_waiter(&mut self, slot: Arc<Slot>, answer: Answer) {
        let wall_ms = self.numbers.wall_seen().as_millis();
        let row = slot.origin().and_then(|origin| origin.row(&answer, wall_ms));
        self.batch.rows.extend(row);
        self.batch.answers.push((Reply::Caller(slot), answer));
    }

    /// Ends the client sessions that nobody has used for long, and deletes some of the rows of those that have ended.
    pub(super) fn sweep_client_sessions(&mut self, moment: Moment<'_>) -> Result<(), DiskError> {
        let sessions = moment.around.client_sessions;
        let now = moment.now.instant;
        self.sweeping.somebody = sessions.len() > 0;
        if self.sweeping.somebody && self.sweeping.next_look <= now {
            self.sweeping.ending.extend(sessions.sweep(now));
            self.sweeping.next_look = now.saturating_add(LOOK_EVERY);
        }
        let mut rows_left = ROWS_PER_BATCH;
        while let Some(&session) = self.sweeping.ending.front() {
            // Somebody may use it again. What was done before is overtaken then by what is written from now on.
            if !sessions.knows(session) {
                let chunks = moment.ground.rows()?.client_session_chunks(session, rows_left)?;
                rows_left -= chunks.len();
                self.batch.rows.extend(chunks.into_iter().map(|chunk| {
                    RowChange::delete(
                        TableId::ClientSessions,
                        RowKey::client_session(session, chunk),
                    )
                }));
                if rows_left == 0 {
                    break;
                }
            }
            self.sweeping.ending.pop_front();
        }
        Ok(())
    }
}

/// How often it is looked who has not been here for long.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How many rows of sessions that have ended one batch deletes.
const ROWS_PER_BATCH: usize = 1_024;
