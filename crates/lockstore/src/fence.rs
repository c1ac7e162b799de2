//! Fences: what a write relies on.

use lockcore::{Holder, Key, Token};

use crate::error::ArgumentError;

/// A grant of a lock that a write relies on: its key, its holder and its fencing token.
///
/// A write that carries a fence is done only if that grant is still there, which is looked at in the very commit that does it. So a
/// holder that was paused, by a debugger, a full disk or a suspended machine, and goes on when its lease is over, changes nothing
/// any more: it is told [`LockLost`](crate::LockLost). A lease that has run out counts until its expiry is committed, and before that
/// nobody else can have the lock.
///
/// ```
/// use lockstore::bson::{Document, doc};
/// use lockstore::{DocumentError, Store};
///
/// let store = Store::in_memory()?;
/// let reports = store.database("factory").collection::<Document>("reports");
/// let guard = store.lock("nightly-report").acquire()?;
/// let fenced = reports.fenced_by(guard.fence());
/// fenced.insert_one(doc! { "_id": 1 })?;
/// guard.release()?;
/// let late = fenced.insert_one(doc! { "_id": 2 });
/// assert!(matches!(late, Err(DocumentError::LockLost(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub(crate) key: Key,
    pub(crate) holder: Holder,
    pub(crate) token: Token,
}

impl Fence {
    /// A fence made of its parts: those of a guard are given by [`LockGuard::fence`](crate::LockGuard::fence).
    ///
    /// # Errors
    ///
    /// The key or the holder cannot be one.
    pub fn new(key: &str, holder: &str, token: Token) -> Result<Self, ArgumentError> {
        Ok(Self { key: Key::new(key)?, holder: Holder::new(holder)?, token })
    }

    /// The lock.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Who must hold it.
    pub fn holder(&self) -> &Holder {
        &self.holder
    }

    /// The fencing token that it must be held with.
    pub fn token(&self) -> Token {
        self.token
    }
}
