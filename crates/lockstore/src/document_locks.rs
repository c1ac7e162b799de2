//! Document locks: find a document, lock it, change it, release it.
//!
//! The document is the truth: who sets its `lock_id` has locked it, in whatever way. Behind a lock that this library has
//! taken stands a *side grant*, an ordinary grant of the lock table under a key of the document, whose holder is the
//! `lock_id`. So the fencing token, TTL, renewal, session and restart of a document lock are those of any lock. Both change
//! in the same commit: when the document's `lock_id` is no longer the holder, the grant ends; when the grant ends, the
//! document is unlocked. The writer's half is `writer/document_locks.rs`.

pub(crate) mod acquisition;
pub(crate) mod check;
pub(crate) mod fields;
pub(crate) mod held;
pub(crate) mod locking;
pub(crate) mod request;
pub(crate) mod resent;
pub(crate) mod side_grant;
pub(crate) mod stored;
pub(crate) mod task;
pub(crate) mod update;

pub use acquisition::{Acquisition, Found, Look, Looked, Next, Patience, Turn};
pub(crate) use acquisition::{LockableCollection, MAX_WAIT};
pub(crate) use fields::LockFields;
pub(crate) use held::{HeldLocks, StoredLocks};
pub(crate) use locking::Locking;
pub(crate) use request::{Begun, LockDocumentRequest};
pub(crate) use side_grant::DocumentAt;
pub use stored::HeldDocument;
pub(crate) use stored::StoredCollection;
pub(crate) use task::{
    BreakDocument, GiveBack, GivenBack, LockAnswer, Take, Taken, TakenLock, Ticket, Wanted,
};
pub use task::{Meeting, Mode, Release};
pub use update::LockUpdate;
pub(crate) use update::WorkedOut;
