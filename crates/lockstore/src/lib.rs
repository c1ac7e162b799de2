//! Durable keyed locks with leases and fencing tokens, in one redb file.

mod clock;
mod codec;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
mod disk;
pub mod records;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
mod rows;

pub use clock::{BootId, Clock, SystemClock, WallTime};
pub use disk::{BackupError, DiskError, OpenError};
pub use lockcore::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};
