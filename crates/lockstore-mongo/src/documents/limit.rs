//! How long a command may take.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use lockcore::Instant;
use lockstore::Clock;
use tokio::time::{Instant as Moment, sleep, timeout_at};

/// By when a command is to be answered, and for how long it is worth trying after something has gone wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Nobody waits after it.
    deadline: Option<Moment>,
    patience: Duration,
}

/// The tries of one command.
#[derive(Debug)]
pub(crate) struct Tries {
    limit: Limit,
    /// Nothing is tried again after it: set when something first goes wrong.
    until: Option<Moment>,
    pause: Duration,
}

impl Limit {
    pub(crate) fn new(clock: &dyn Clock, deadline: Option<Instant>, patience: Duration) -> Self {
        let left = deadline.map(|deadline| deadline.saturating_since(clock.now()));
        // Far away is never.
        let deadline = left.and_then(|left| Moment::now().checked_add(left));
        Self { deadline, patience }
    }

    /// The same for one try.
    pub(super) fn once(self) -> Self {
        Self { patience: Duration::ZERO, ..self }
    }

    /// The same for work that goes on when nobody waits for it any more.
    pub(super) fn without_deadline(self) -> Self {
        Self { deadline: None, ..self }
    }

    pub(crate) fn tries(self) -> Tries {
        Tries { limit: self, until: None, pause: FIRST_PAUSE }
    }

    /// What `work` comes to; `None` when nobody waits for that any more. MongoDB, which knows the time too, answers before.
    pub(crate) async fn bound<T>(self, work: impl IntoFuture<Output = T>) -> Option<T> {
        let work = work.into_future();
        match self.deadline.and_then(|deadline| deadline.checked_add(GRACE)) {
            Some(deadline) => timeout_at(deadline, work).await.ok(),
            None => Some(work.await),
        }
    }

    /// The same of work that is not left in its middle: when nobody waits for it any more, it goes on, and what it comes to is dropped.
    pub(super) async fn bound_whole<T: Send + 'static>(
        self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        if self.deadline.is_none() {
            return Some(work.await);
        }
        self.bound(tokio::spawn(work)).await?.ok()
    }
}

impl Tries {
    /// Makes a pause before the next try, which is longer each time. `false` if there is no time for one.
    pub(crate) async fn pause(&mut self) -> bool {
        let now = Moment::now();
        let until = *self.until.get_or_insert_with(|| {
            let patient = now + self.limit.patience;
            self.limit.deadline.map_or(patient, |deadline| deadline.min(patient))
        });
        if now >= until {
            return false;
        }
        sleep(self.pause.min(until - now)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// How long after the deadline a reply may still be on its way.
const GRACE: Duration = Duration::from_secs(1);

/// The pause before the second try. The driver waits by itself until there is a primary.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
