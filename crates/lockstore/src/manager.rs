//! Prefect's lock protocol.

use std::future::Future;
use std::time::Duration;

use crate::error::{AcquireError, ReadError, ReleaseError, WaitError};
use crate::store::Store;

/// The five methods of Prefect's `LockManager` protocol, and the twins of those that wait as futures which
/// need no particular runtime and end their wait when they are dropped.
///
/// A timeout of `None` waits for ever, one of zero tries once. Where the protocol's own implementations
/// differ from each other, the documentation of each method says what holds here.
pub trait LockManager {
    /// Acquires the lock of `key` for `holder`, and answers whether it was acquired within
    /// `acquire_timeout`. It is held for `hold_timeout`, or until it is released. The holder may acquire
    /// again what it holds: the same grant, and its expiry as if it were new.
    ///
    /// # Errors
    ///
    /// [`AcquireError`], but neither [`Held`](AcquireError::Held) nor [`TimedOut`](AcquireError::TimedOut).
    fn acquire_lock(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, AcquireError>;

    /// Releases the lock that `holder` holds on `key`. Where nobody holds it, this does nothing, unless the
    /// store is [strict](crate::StoreOptions::strict_release).
    ///
    /// # Errors
    ///
    /// [`ReleaseError::HeldByOther`] when somebody else holds it; its lock is untouched.
    fn release_lock(&self, key: &str, holder: &str) -> Result<(), ReleaseError>;

    /// Whether anybody holds the lock of `key`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn is_locked(&self, key: &str) -> Result<bool, ReadError>;

    /// Whether `holder` holds the lock of `key`.
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, ReadError>;

    /// Waits until nobody holds the lock of `key`, and answers whether that came within `timeout`. The holder
    /// itself waits like anybody else.
    ///
    /// # Errors
    ///
    /// [`WaitError`].
    fn wait_for_lock(&self, key: &str, timeout: Option<Duration>) -> Result<bool, WaitError>;

    /// As [`LockManager::acquire_lock`], without blocking the thread.
    fn acquire_lock_async(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> impl Future<Output = Result<bool, AcquireError>> + Send + 'static
    where
        Self: Sized;

    /// As [`LockManager::wait_for_lock`], without blocking the thread.
    fn wait_for_lock_async(
        &self,
        key: &str,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<bool, WaitError>> + Send + 'static
    where
        Self: Sized;
}

impl LockManager for Store {
    fn acquire_lock(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> Result<bool, AcquireError> {
        let mut request = self.lock(key).holder(holder);
        if let Some(ttl) = hold_timeout {
            request = request.ttl(ttl);
        }
        acquired(match acquire_timeout {
            None => request.acquire(),
            Some(timeout) => request.acquire_timeout(timeout),
        })
    }

    fn release_lock(&self, key: &str, holder: &str) -> Result<(), ReleaseError> {
        match self.release(key, holder, None) {
            Err(ReleaseError::NotHeld { .. }) if !self.backend().strict_release() => Ok(()),
            released => released,
        }
    }

    fn is_locked(&self, key: &str) -> Result<bool, ReadError> {
        Store::is_locked(self, key)
    }

    fn is_lock_holder(&self, key: &str, holder: &str) -> Result<bool, ReadError> {
        Store::is_lock_holder(self, key, holder)
    }

    fn wait_for_lock(&self, key: &str, timeout: Option<Duration>) -> Result<bool, WaitError> {
        self.wait_until_free(key, timeout)
    }

    fn acquire_lock_async(
        &self,
        key: &str,
        holder: &str,
        acquire_timeout: Option<Duration>,
        hold_timeout: Option<Duration>,
    ) -> impl Future<Output = Result<bool, AcquireError>> + Send + 'static {
        let mut request = self.lock(key).holder(holder);
        if let Some(ttl) = hold_timeout {
            request = request.ttl(ttl);
        }
        let guard = match acquire_timeout {
            None => request.acquire_async(),
            Some(timeout) => request.acquire_timeout_async(timeout),
        };
        async move { acquired(guard.await) }
    }

    fn wait_for_lock_async(
        &self,
        key: &str,
        timeout: Option<Duration>,
    ) -> impl Future<Output = Result<bool, WaitError>> + Send + 'static {
        self.wait_until_free_async(key, timeout)
    }
}

/// The protocol knows holders, not guards: the lock outlives this call.
fn acquired(guard: Result<crate::LockGuard, AcquireError>) -> Result<bool, AcquireError> {
    match guard {
        Ok(guard) => {
            guard.leak();
            Ok(true)
        }
        Err(AcquireError::Held { .. } | AcquireError::TimedOut { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
