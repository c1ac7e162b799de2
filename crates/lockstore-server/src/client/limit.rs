//! How long a call waits for its server.

use std::time::Duration;

use lockstore::{Clock, Instant, SystemClock};

/// Until when a call waits. The clock is the one that leases count by, and that all processes of the machine share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit<'c> {
    clock: &'c SystemClock,
    /// `None`: for ever.
    until: Option<Instant>,
}

impl<'c> Limit<'c> {
    pub(super) fn new(clock: &'c SystemClock, until: Option<Instant>) -> Self {
        Self { clock, until }
    }

    /// A limit that is `time` away, or this one if that is nearer.
    pub(super) fn within(self, time: Duration) -> Self {
        let then = self.clock.now().saturating_add(time);
        Self { until: Some(self.until.map_or(then, |until| until.min(then))), ..self }
    }

    /// How long it is yet; `None` for ever.
    pub(super) fn left(self) -> Option<Duration> {
        self.until.map(|until| until.saturating_since(self.clock.now()))
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }
}
