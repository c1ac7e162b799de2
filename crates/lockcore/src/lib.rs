//! The lock state machine and the expiry wheel of [lockstore](https://docs.rs/lockstore).
//!
//! Nothing in this crate reads a clock, does I/O, starts a thread or draws a random number: `now` is
//! an argument, and the seed of the one hash table comes from the caller. The same state and the
//! same commands give the same outcome, always. `#![no_std]` is the proof.
//!
//! Begin with [`Table`]: its documentation has the calling order.
#![no_std]

extern crate alloc;

mod apply;
mod command;
mod decide;
mod invariants;
mod lock;
mod names;
mod queue;
mod refusal;
mod session;
mod table;
mod time;
mod together;
mod transition;
pub mod wheel;

pub use command::{Acquire, Command, Release, Renew, Wait, WaitUntilFree};
pub use lock::{Grant, Lease, Lock};
pub use names::{Holder, Key, Mode, NameError, SessionId, Token, WaiterId};
pub use refusal::{HeldBy, Limit, Limits, Refusal};
pub use session::{Session, Standing};
pub use table::{Conflict, Poll, Table};
pub use time::{Instant, Now, Ttl, TtlError};
pub use transition::{Change, EndCause, Granted, LeaveCause, Outcome, Transition, Waiter, Want};
