//! A task whose answer is to come, and whose caller does not block.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::Engine;
use crate::error::StoreError;
use crate::request::{Answer, Reply, Task};
use crate::slot::Slot;

/// A task that was asked for. Dropping it gives it up, and what it was granted meanwhile is handed on.
#[derive(Debug)]
pub(crate) struct Pending {
    engine: Arc<Engine>,
    slot: Arc<Slot>,
}

impl Pending {
    /// Asked for, and served by another thread.
    pub(crate) fn queued(engine: &Arc<Engine>, task: Task) -> Result<Self, StoreError> {
        let pending = Self::new(engine);
        engine.submit(task, &pending.slot)?;
        Ok(pending)
    }

    /// As [`queued`](Self::queued), and served by this thread if nobody sits in the writer's seat: then the answer is there, unless
    /// it has to wait.
    pub(crate) fn served(engine: &Arc<Engine>, task: Task) -> Result<Self, StoreError> {
        let pending = Self::new(engine);
        engine.submit_and_serve(task, &pending.slot)?;
        Ok(pending)
    }

    fn new(engine: &Arc<Engine>) -> Self {
        Self { engine: Arc::clone(engine), slot: Arc::new(Slot::for_task(None)) }
    }

    /// The answer, once; until then, the task is woken when it comes.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        self.slot.poll(context)
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        // Where the answer was taken, nothing is left to give up.
        self.engine.give_up(&self.slot);
    }
}

impl Engine {
    /// Has `task` done, by this thread if the writer's seat is free; the answer comes into `slot`.
    fn submit_and_serve(&self, task: Task, slot: &Arc<Slot>) -> Result<(), StoreError> {
        let queue_max = self.settings.queue_max;
        if self.queued.len() >= queue_max {
            return Err(StoreError::Busy { queue_max });
        }
        self.enqueue(task, Reply::Caller(Arc::clone(slot)))?;
        // Who sits there otherwise looks at the queue when it leaves.
        if let Some(seat) = self.try_seat()
            && let Some(deadline) = self.serve(seat)
        {
            self.background.wake_by(deadline);
        }
        if self.closed.load(Ordering::SeqCst) {
            // It was closed just now, and nobody may look at the queue any more.
            self.serve_now();
        }
        Ok(())
    }
}
