//! Durable keyed locks with leases and fencing tokens, in one redb file.

mod clock;

pub use clock::{BootId, Clock, SystemClock, WallTime};
pub use lockcore::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};
