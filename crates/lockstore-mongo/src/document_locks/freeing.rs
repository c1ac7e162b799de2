//! Documents whose locks are over are freed by every process that has locked some, so that also those find them free who know of no leases and no
//! sessions.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::task::JoinHandle;

use super::run_out::sweep;
use crate::locks::{Locks, OWN_KEYS};

/// What frees them, once it has begun.
#[derive(Debug, Default)]
pub(super) struct Freeing {
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Freeing {
    /// Begins, if it has not. To be called on the driver's threads.
    pub(super) fn begin(&self, locks: &Arc<Locks>) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.is_none() {
            *task = Some(tokio::spawn(free_now_and_then(Arc::downgrade(locks))));
        }
    }

    pub(super) fn end(&self) {
        if let Some(task) = &*self.task.lock().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
    }
}

impl Drop for Freeing {
    fn drop(&mut self) {
        self.end();
    }
}

async fn free_now_and_then(locks: Weak<Locks>) {
    while let Some(pause) = locks.upgrade().map(|locks| locks.look_again() * LOOKS) {
        // Never all processes at the same time.
        let random = f64::from(bson::Uuid::new().bytes()[15]) / 256.0;
        tokio::time::sleep(pause.mul_f64(0.75 + random / 2.0)).await;
        let Some(locks) = locks.upgrade() else { return };
        if let Err(error) = sweep(&locks, OWN_KEYS).await {
            tracing::debug!(%error, "locks of documents that have run out were not looked for");
        }
    }
}

/// How many times longer than [`look_again`](crate::ReplicaSetOptions::look_again) the pause is.
const LOOKS: u32 = 5;
