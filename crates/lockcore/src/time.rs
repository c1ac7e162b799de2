//! Points in time and lengths of leases. Both are given by the caller; nothing here reads a clock.

use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

/// A point in time: nanoseconds on a monotonic clock that counts suspended time, from an origin
/// that the caller chooses (the boot of the machine, in lockstore).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);
    /// Later than any deadline that is ever reached.
    pub const MAX: Self = Self(u64::MAX);

    /// The point `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The point `millis` milliseconds after the origin; [`Instant::MAX`] where that cannot be expressed.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin, rounded down: the tick that a clock showing this time has reached.
    pub const fn millis_floor(self) -> u64 {
        self.0 / NANOS_PER_MILLI
    }

    /// Whole milliseconds since the origin, rounded up: the first tick that is not before this time.
    pub const fn millis_ceil(self) -> u64 {
        self.0.div_ceil(NANOS_PER_MILLI)
    }

    /// This point `duration` later; [`Instant::MAX`] where that cannot be expressed.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long it is from `earlier` to this point; zero when `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The time at which a command is decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What decides: deadlines are compared with it.
    pub instant: Instant,
    /// The same moment in the caller's own calendar. It is carried into [`Grant`](crate::Grant)s
    /// and never compared.
    pub stamp: u64,
}

impl From<Instant> for Now {
    fn from(instant: Instant) -> Self {
        Self { instant, stamp: 0 }
    }
}

/// How long a lease lasts: at least 1 ms, at most [`Ttl::MAX`], in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ttl(NonZeroU64);

impl Ttl {
    /// The longest lease: 3,650 days. What lasts longer than a machine is held without end.
    pub const MAX: Self = match NonZeroU64::new(3_650 * 24 * 60 * 60 * 1_000) {
        Some(millis) => Self(millis),
        None => unreachable!(),
    };

    /// A lease of `duration`, rounded up to a whole millisecond so that it never lasts less.
    ///
    /// # Errors
    ///
    /// [`TtlError::Zero`] for a duration of zero, [`TtlError::TooLong`] beyond [`Ttl::MAX`].
    pub fn new(duration: Duration) -> Result<Self, TtlError> {
        let millis = duration.as_nanos().div_ceil(u128::from(NANOS_PER_MILLI));
        let millis = u64::try_from(millis).map_err(|_| TtlError::TooLong)?;
        Self::from_millis(millis)
    }

    /// A lease of `millis` milliseconds.
    ///
    /// # Errors
    ///
    /// [`TtlError::Zero`] for 0, [`TtlError::TooLong`] beyond [`Ttl::MAX`].
    pub fn from_millis(millis: u64) -> Result<Self, TtlError> {
        let ttl = Self(NonZeroU64::new(millis).ok_or(TtlError::Zero)?);
        if ttl > Self::MAX {
            return Err(TtlError::TooLong);
        }
        Ok(ttl)
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0.get()
    }

    /// The length as a [`Duration`].
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0.get())
    }

    /// When a lease that begins at `start` ends, rounded up to a whole millisecond: never early.
    pub const fn deadline(self, start: Instant) -> Instant {
        Instant::from_millis(start.millis_ceil().saturating_add(self.0.get()))
    }
}

/// Why a duration is no TTL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TtlError {
    /// A lease of no length would end before it is granted.
    Zero,
    /// Longer than [`Ttl::MAX`].
    TooLong,
}

impl fmt::Display for TtlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero => f.write_str("a TTL must be longer than 0"),
            Self::TooLong => {
                f.write_str("a TTL may be at most 3650 days; leave it out to hold without end")
            }
        }
    }
}

impl core::error::Error for TtlError {}

const NANOS_PER_MILLI: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_rounded_up_never_down() {
        let ttl = Ttl::new(Duration::from_nanos(1)).unwrap();
        assert_eq!(ttl.as_millis(), 1);
        let start = Instant::from_nanos(10_000_001);
        assert_eq!(ttl.deadline(start), Instant::from_millis(12));
        assert_eq!(ttl.deadline(Instant::from_millis(10)), Instant::from_millis(11));
    }

    #[test]
    fn a_ttl_outside_its_bounds_is_refused() {
        assert_eq!(Ttl::new(Duration::ZERO), Err(TtlError::Zero));
        assert_eq!(Ttl::new(Duration::MAX), Err(TtlError::TooLong));
        assert_eq!(Ttl::from_millis(Ttl::MAX.as_millis() + 1), Err(TtlError::TooLong));
        assert_eq!(Ttl::new(Ttl::MAX.as_duration()), Ok(Ttl::MAX));
    }

    #[test]
    fn a_far_deadline_saturates() {
        assert_eq!(Ttl::MAX.deadline(Instant::MAX), Instant::MAX);
        assert_eq!(Instant::MAX.saturating_add(Duration::MAX), Instant::MAX);
    }
}
