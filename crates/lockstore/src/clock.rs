//! The one place that reads a clock. Everything else is told the time.

use std::fmt::Debug;
use std::sync::Arc;

use lockcore::Instant;
use rustix::time::{ClockId, clock_gettime};

/// What the store asks of time. [`SystemClock`] is the real one; tests inject their own.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The time since boot, suspended time included. Never goes back while a store is open.
    fn now(&self) -> Instant;

    /// The wall clock. It may jump; it is asked only to carry leases over a reboot.
    fn wall(&self) -> WallTime;

    /// Which boot of which machine [`Clock::now`] counts from.
    fn boot_id(&self) -> BootId;

    /// Has `wake` called whenever [`Clock::now`] moves other than by the passing of real time, so that
    /// the store looks at its timers again. Real clocks do not, and keep this default.
    fn on_jump(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        drop(wake);
    }
}

/// A wall-clock time: milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// The time `millis` milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same time as the standard library has it.
    pub fn to_system_time(self) -> std::time::SystemTime {
        std::time::UNIX_EPOCH + std::time::Duration::from_millis(self.0)
    }
}

/// Names one boot of one machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

/// The machine's clocks: `CLOCK_BOOTTIME`, `CLOCK_REALTIME` and the kernel's boot id.
#[derive(Clone, Debug)]
pub struct SystemClock {
    boot_id: BootId,
}

impl SystemClock {
    /// Reads the boot id once.
    ///
    /// # Errors
    ///
    /// When `/proc/sys/kernel/random/boot_id` cannot be read: without it a lease could not be
    /// carried over a restart.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { boot_id: read_boot_id()? })
    }
}

/// The machine's present boot, as the kernel names it.
pub(crate) fn read_boot_id() -> std::io::Result<BootId> {
    let text = std::fs::read_to_string(BOOT_ID_PATH)?;
    let id = uuid::Uuid::parse_str(text.trim())
        .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))?;
    Ok(BootId(id.into_bytes()))
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let time = clock_gettime(ClockId::Boottime);
        Instant::from_nanos(
            nanos(time.tv_sec).saturating_mul(NANOS_PER_SECOND) + nanos(time.tv_nsec),
        )
    }

    fn wall(&self) -> WallTime {
        let time = clock_gettime(ClockId::Realtime);
        WallTime(nanos(time.tv_sec).saturating_mul(1_000) + nanos(time.tv_nsec) / 1_000_000)
    }

    fn boot_id(&self) -> BootId {
        self.boot_id
    }
}

/// A clock set before 1970 reads as 1970: the wall clock is never trusted further than that.
fn nanos(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

const BOOT_ID_PATH: &str = "/proc/sys/kernel/random/boot_id";
const NANOS_PER_SECOND: u64 = 1_000_000_000;
