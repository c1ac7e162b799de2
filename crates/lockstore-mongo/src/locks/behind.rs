//! What goes on behind the answer of a call, for as long as the store is open: whoever ends with its outcome unknown leaves nothing behind.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bson::Uuid;
use lockcore::{Key, Release};

use super::Locks;
use super::acquiring::{Acquiring, Willing};
use super::attempts::{Attempts, between};
use super::step::{Does, Step};
use crate::failure::Failure;
use crate::numbered::Lent;

/// A call that goes on, perhaps behind its answer: closing waits for it.
pub(super) struct UnderWay(Arc<Locks>);

impl UnderWay {
    pub(super) fn begin(locks: &Arc<Locks>) -> Self {
        locks.begun();
        Self(Arc::clone(locks))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.done();
    }
}

/// What is to be done, each as long as it fails.
#[derive(Default)]
struct Behind {
    /// What was sent there is made void, first of all.
    sent_in: Option<Lent>,
    step: Option<(Key, Does)>,
}

impl Locks {
    /// Has a call that has ended have nothing of a lock: neither a place in the line, nor what it was granted, nor what an attempt that is on its way
    /// would bring it.
    pub(super) fn leave_later(self: &Arc<Self>, acquiring: Acquiring, attempts: Attempts) {
        let key = acquiring.wanted.key.clone();
        let does = Does::Acquire { acquiring, willing: Willing::GiveUp };
        self.go_on(Behind { sent_in: attempts.sent_in, step: Some((key, does)) });
    }

    /// Ends a grant of which nobody was told, unless another call of its holder has joined it.
    pub(super) fn hand_on_later(self: &Arc<Self>, granted: Release) {
        let key = granted.key.clone();
        let does = Does::HandOn { granted, request: Uuid::new() };
        self.go_on(Behind { step: Some((key, does)), ..Behind::default() });
    }

    /// Makes void what was sent in a session.
    pub(super) fn void_later(self: &Arc<Self>, sent_in: Lent) {
        self.go_on(Behind { sent_in: Some(sent_in), ..Behind::default() });
    }

    fn go_on(self: &Arc<Self>, Behind { sent_in, step }: Behind) {
        let under_way = UnderWay::begin(self);
        tokio::spawn(async move {
            let (locks, mut failed) = (&under_way.0, 0);
            if let Some(mut sent_in) = sent_in {
                while let Err(failure) = locks.void(&mut sent_in).await {
                    pause_after(&mut failed, &failure).await;
                }
            }
            if let Some((key, does)) = step {
                // What was tried before may be done yet.
                let again = || Step { does: does.clone(), is_uncertain: true };
                while let Err(failure) = locks.step(key.as_str(), again()).await {
                    pause_after(&mut failed, &failure).await;
                }
            }
        });
    }
}

/// Waits until it is worth another try.
pub(crate) async fn pause(failed: &mut u32, failure: &(impl Debug + Sync)) {
    tracing::debug!(?failure, "what a call has left behind is not seen to yet");
    tokio::time::sleep(between(SHORTEST_PAUSE, *failed)).await;
    *failed = failed.saturating_add(1);
}

/// The same, and for long where nothing here can help.
async fn pause_after(failed: &mut u32, failure: &Failure) {
    pause(failed, failure).await;
    if let Failure::Refused(_) | Failure::Store(_) = failure {
        tracing::warn!(?failure, "what a call has left behind cannot be seen to");
        tokio::time::sleep(REFUSED_PAUSE).await;
    }
}

/// At first; they grow to about a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Where it was refused: that ends when somebody has seen to it.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);
