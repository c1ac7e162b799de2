//! Many acquisitions at a time from one thread, for stores with very many locks.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use lockstore::{LockGuard, Store};

/// Acquires the locks numbered `numbers` under long leases, all at once.
pub(crate) fn acquire(store: &Store, numbers: std::ops::Range<usize>) -> Vec<LockGuard> {
    let futures = numbers.map(|number| {
        let (key, holder) = (key(number), holder(number));
        store.lock(&key).holder(&holder).ttl(TTL).try_acquire_async()
    });
    let granted = drive(futures.collect()).into_iter();
    granted.map(|guard| guard.expect("the lock is free")).collect()
}

/// Acquires locks `0..count` and keeps them, so that they are rows of the store.
pub(crate) fn fill(store: &Store, count: usize) {
    for first in (0..count).step_by(AT_ONCE) {
        for guard in acquire(store, first..count.min(first + AT_ONCE)) {
            guard.leak();
        }
    }
}

/// The key of a lock, 20 bytes long, as keys of jobs are.
pub(crate) fn key(number: usize) -> String {
    format!("job/{number:016}")
}

/// The holder of a lock, 36 bytes long, as a UUID is.
pub(crate) fn holder(number: usize) -> String {
    format!("5f0c4f0e-6f3b-4b1e-9d0c-{number:012x}")
}

/// Runs all futures to their end.
fn drive<F: Future + Unpin>(mut futures: Vec<F>) -> Vec<F::Output> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    // First all are asked for; then they are waited for one by one, in the order in which they come.
    let mut outputs: Vec<_> =
        futures.iter_mut().map(|future| Pin::new(future).poll(&mut context)).collect();
    for (future, output) in futures.iter_mut().zip(&mut outputs) {
        while output.is_pending() {
            *output = Pin::new(&mut *future).poll(&mut context);
            if output.is_pending() {
                thread::park();
            }
        }
    }
    let ready = outputs.into_iter().map(|output| match output {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("all have been waited for"),
    });
    ready.collect()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// No lease ends while it is measured.
pub(crate) const TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// A few batches of a store, so that one is asked for while another is served.
const AT_ONCE: usize = 4_096;
