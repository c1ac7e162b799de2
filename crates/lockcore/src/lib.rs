//! The lock state machine and the expiry wheel of [lockstore](https://docs.rs/lockstore).
//!
//! Nothing in this crate reads a clock, does I/O, starts a thread or draws a random number: `now` is
//! an argument, and the seed of the one hash table comes from the caller. The same state and the
//! same commands give the same outcome, always. `#![no_std]` is the proof.
#![no_std]

extern crate alloc;

mod names;
mod time;

pub use names::{Holder, Key, Mode, NameError, SessionId, Token, WaiterId};
pub use time::{Instant, Ttl, TtlError};

pub mod wheel;
