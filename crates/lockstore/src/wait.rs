//! Waiting for a free key without blocking a thread.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use lockcore::{Wait, WaitUntilFree};

use crate::call::LockFuture;
use crate::document_locks::side_grant::user_key;
use crate::error::{ArgumentError, WaitError};
use crate::remote::LockCall;
use crate::store::{Store, freed};

/// A wait for a free key; see [`Store::wait_until_free_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct WaitFuture {
    call: Result<LockFuture, ArgumentError>,
}

impl WaitFuture {
    pub(crate) fn new(store: &Store, key: &str, timeout: Option<Duration>) -> Self {
        let now = store.backend().now();
        let wait =
            timeout.map_or(Wait::Forever, |timeout| Wait::Until(now.saturating_add(timeout)));
        let call = user_key(key).map(|key| {
            let watch = WaitUntilFree { key, wait, session: None };
            LockFuture::new(store, LockCall::WaitUntilFree(watch))
        });
        Self { call }
    }
}

impl Future for WaitFuture {
    type Output = Result<bool, WaitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.call {
            Ok(call) => call.poll(context).map(freed),
            Err(error) => Poll::Ready(Err(error.clone().into())),
        }
    }
}
