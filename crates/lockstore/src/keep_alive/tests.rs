use std::time::Duration;

use lockcore::{Granted, Lease};

use super::*;
use crate::{LockGuard, Store};

/// A store, a guard that is kept alive for an hour, and its lease.
fn kept() -> (Store, LockGuard, Arc<KeptLease>) {
    let store = Store::in_memory().unwrap();
    let guard = store.lock("k").ttl(Duration::from_secs(3_600)).acquire().unwrap();
    guard.keep_alive();
    let lease = store.engine().kept.lock().values().next().unwrap().clone();
    (store, guard, lease)
}

#[test]
fn nothing_is_left_to_renew_when_a_guard_is_gone() {
    let ends: [fn(LockGuard); 3] = [
        drop,
        |guard| guard.release().unwrap(),
        |guard| {
            guard.leak();
        },
    ];
    for end in ends {
        let (store, guard, lease) = kept();
        assert!(store.engine().kept.next_renewal().is_some());
        end(guard);
        assert_eq!(store.engine().kept.next_renewal(), None);
        assert!(!lease.is_kept());
    }
}

#[test]
fn a_lease_that_is_kept_twice_is_renewed_once() {
    let (store, guard, _) = kept();
    guard.keep_alive();
    assert_eq!(store.engine().kept.lock().len(), 1);
}

#[test]
fn a_renewal_that_was_asked_for_long_ago_counts_from_then() {
    let (store, guard, lease) = kept();
    let ttl = lease.kept_ttl().unwrap();
    let (asked, decided) = (Instant::from_millis(50_000), Instant::from_millis(50_100));
    assert!(lease.ask(asked));
    // The disk stalls. The next renewal is due before the first one is answered.
    assert!(!lease.ask(Instant::from_millis(90_000)));
    let granted = Granted {
        token: guard.token(),
        lease: Some(Lease::starting(decided, ttl)),
        rejoined: true,
    };
    lease.answered(&LockAnswer::Done(Outcome::Renewed(granted)));
    assert_eq!(guard.valid_until(), Some(asked.saturating_add(ttl.as_duration())));
    assert!(lease.ask(Instant::from_millis(90_100)), "it is asked for again");
    drop(store);
}
