//! Durable keyed locks with leases and fencing tokens, in one redb file.

mod clock;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
mod codec;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
mod disk;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
pub mod records;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the store is built on this next")
)]
mod rows;

pub use clock::{BootId, Clock, SystemClock, WallTime};
pub use lockcore::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};
