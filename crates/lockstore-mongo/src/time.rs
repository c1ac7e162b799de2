//! The replica set's time, and ours.
//!
//! Leases count by the primary's clock (`$$NOW`). Ours only tells how long one may be relied on: from before it was asked for.

use std::time::Duration;

use bson::DateTime;
use lockcore::{Granted, HeldBy, Instant, Lease, Refusal};

/// One moment by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// By the primary's: its milliseconds since 1970.
    pub(crate) there: Instant,
    /// By ours: not later than that.
    pub(crate) here: Instant,
}

impl Moment {
    /// A point of the primary's time by our clock, rather too early than too late.
    pub(crate) fn here_at(self, there: Instant) -> Instant {
        self.here.saturating_add(there.saturating_since(self.there))
    }

    /// How long it is until then.
    pub(crate) fn until(self, there: Instant) -> Duration {
        there.saturating_since(self.there)
    }

    /// A grant with its lease by our clock.
    pub(crate) fn granted(self, granted: Granted) -> Granted {
        let here = |lease: Lease| Lease { expires_at: self.here_at(lease.expires_at), ..lease };
        Granted { lease: granted.lease.map(here), ..granted }
    }

    /// A refusal with its times by our clock.
    pub(crate) fn refusal(self, refusal: Refusal) -> Refusal {
        let here =
            |by: HeldBy| HeldBy { expires_at: by.expires_at.map(|at| self.here_at(at)), ..by };
        match refusal {
            Refusal::Held(by) => Refusal::Held(here(by)),
            Refusal::HeldByOther(by) => Refusal::HeldByOther(here(by)),
            refusal => refusal,
        }
    }

    /// As a date.
    pub(crate) fn date(self) -> DateTime {
        date(self.there)
    }
}

/// A date as a point of the primary's time.
pub(crate) fn instant(date: DateTime) -> Instant {
    Instant::from_millis(u64::try_from(date.timestamp_millis()).unwrap_or(0))
}

/// A point of the primary's time as a date, never earlier.
pub(crate) fn date(at: Instant) -> DateTime {
    DateTime::from_millis(i64::try_from(at.millis_ceil()).unwrap_or(i64::MAX))
}
