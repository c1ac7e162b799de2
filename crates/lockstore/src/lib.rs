//! Durable keyed locks with leases and fencing tokens, in one redb file.
//!
//! Begin with [`Store`].

mod acquire;
mod background;
mod call;
mod clock;
mod codec;
mod disk;
mod engine;
mod error;
mod events;
mod grants;
mod guard;
mod info;
mod keep_alive;
mod maintenance;
mod manager;
mod numbers;
mod options;
pub mod records;
mod recovery;
mod request;
mod rows;
mod session;
mod slot;
mod store;
mod view;
mod wait;
mod writer;

pub use acquire::{AcquireFuture, LockRequest};
pub use clock::{BootId, Clock, SystemClock, WallTime};
pub use disk::{BackupError, DiskError, OpenError};
pub use error::{
    AcquireError, ArgumentError, BreakError, HeldBy, ReadError, ReleaseError, RenewError,
    ResumeError, SessionError, StoreError, WaitError,
};
pub use events::{Event, EventKind, Subscription};
pub use guard::{LeakedGrant, LockGuard};
pub use info::{BreakRecord, HolderInfo, LockInfo, Stats};
pub use lockcore::{
    EndCause, Holder, Instant, Key, LeaveCause, Limit, Limits, Mode, NameError, SessionId, Token,
    Ttl, TtlError, WaiterId,
};
pub use maintenance::{CheckReport, MaintenanceError};
pub use manager::LockManager;
pub use options::StoreOptions;
pub use recovery::Recovery;
pub use session::Session;
pub use store::Store;
pub use wait::WaitFuture;
