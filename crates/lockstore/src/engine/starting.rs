//! Calls whose callers do not block: futures, and commands that are parked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Engine;
use crate::error::StoreError;
use crate::request::{Reply, Task};
use crate::slot::Slot;

impl Engine {
    /// Has `task` done by another thread; the answer comes into `slot`.
    pub(crate) fn submit(&self, task: Task, slot: &Arc<Slot>) -> Result<(), StoreError> {
        self.post(task, Reply::Caller(Arc::clone(slot)))
    }

    /// Has `task` done by another thread; the answer goes to `reply`.
    pub(crate) fn post(&self, task: Task, reply: Reply) -> Result<(), StoreError> {
        self.enqueue_bounded(task, reply)?;
        self.background.wake();
        self.serve_if_closed();
        Ok(())
    }

    /// Has `task` done by this thread if nobody sits in the writer's seat, and otherwise by whoever does next. The answer comes into
    /// `slot`, often before this returns.
    pub(crate) fn start(&self, task: Task, slot: &Arc<Slot>) -> Result<(), StoreError> {
        self.enqueue_bounded(task, Reply::Caller(Arc::clone(slot)))?;
        // Whoever sits there has yet to look at the queue.
        if let Some(seat) = self.try_seat()
            && let Some(deadline) = self.serve(seat)
        {
            self.background.wake_by(deadline);
        }
        self.serve_if_closed();
        Ok(())
    }

    fn enqueue_bounded(&self, task: Task, reply: Reply) -> Result<(), StoreError> {
        let queue_max = self.settings.queue_max;
        if self.queued.len() >= queue_max {
            return Err(StoreError::Busy { queue_max });
        }
        self.enqueue(task, reply)
    }

    /// It may have been closed just now, and the background thread have ended without seeing what was queued.
    fn serve_if_closed(&self) {
        if self.closed.load(Ordering::SeqCst) {
            self.serve_now();
        }
    }
}
