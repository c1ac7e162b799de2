//! One grant of which several callers were told, because one holder acquired it more than once.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lockstore::Store;
use lockstore_tests::patience::PATIENCE;

/// Tasks that share a holder wait for one lock. One of them is cancelled when it has been granted and does not
/// know it yet; the other one relies on the same grant.
#[test]
fn a_cancelled_future_does_not_end_what_another_one_of_its_holder_was_told_of() {
    let store = Store::in_memory().unwrap();
    let first = store.lock("k").holder("somebody").acquire().unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    let mut cancelled = Box::pin(store.lock("k").holder("shared").acquire_async());
    assert!(cancelled.as_mut().poll(context).is_pending());
    let mut kept = pin!(store.lock("k").holder("shared").acquire_async());
    assert!(kept.as_mut().poll(context).is_pending());
    while store.inspect("k").unwrap().unwrap().waiters != 2 {
        std::thread::yield_now();
    }

    first.release().unwrap();
    let Poll::Ready(guard) = kept.as_mut().poll(context) else { panic!("it was handed the lock") };
    let guard = guard.unwrap();
    drop(cancelled);
    // Whatever the cancellation has queued is served before this.
    drop(store.lock("other").acquire().unwrap());
    assert!(store.is_lock_holder("k", "shared").unwrap(), "somebody was told that it is held");
    guard.release().unwrap();
    assert!(!store.is_locked("k").unwrap());
}

/// As before, but nobody else was told: the lock goes on to the next.
#[test]
fn a_cancelled_future_hands_on_what_nobody_else_was_told_of() {
    let store = Store::in_memory().unwrap();
    let first = store.lock("k").acquire().unwrap();
    let context = &mut Context::from_waker(Waker::noop());
    let mut cancelled = Box::pin(store.lock("k").holder("alone").acquire_async());
    assert!(cancelled.as_mut().poll(context).is_pending());
    while store.inspect("k").unwrap().unwrap().waiters != 1 {
        std::thread::yield_now();
    }
    first.release().unwrap();
    drop(cancelled);
    assert!(store.wait_until_free("k", Some(PATIENCE)).unwrap());
}
