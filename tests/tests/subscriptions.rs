//! Those who are told, and those who have stopped listening.

use std::future::poll_fn;
use std::sync::mpsc;
use std::thread;

use lockstore::{ArgumentError, EventKind, ReadError, Store, StoreError};
use lockstore_tests::deployment::on_all_deployments;
use lockstore_tests::polling::block_on;

#[test]
fn a_subscription_that_is_dropped_makes_room_though_nothing_was_sent_to_it() {
    let store = Store::in_memory().unwrap();
    for _ in 0..3_000 {
        drop(store.subscribe("a prefix that no key has").unwrap());
    }
    let all: Vec<_> = (0..1_024).map(|_| store.subscribe("").unwrap()).collect();
    let error = store.subscribe("").unwrap_err();
    assert!(
        matches!(error, StoreError::TooManySubscriptions { subscriptions_max: 1_024 }),
        "{error}"
    );
    drop(all);
    store.subscribe("").unwrap();
}

#[test]
fn who_waits_for_events_without_a_thread_is_woken_by_each_and_by_the_end() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let events = store.subscribe("k").unwrap();
        let other = store.clone();
        let (all_told, told_all) = mpsc::channel();
        let acting = thread::spawn(move || {
            other.lock("elsewhere").acquire().unwrap().release().unwrap();
            other.lock("k").acquire().unwrap().release().unwrap();
            // Who closes a store that lives elsewhere is told nothing more of it.
            told_all.recv().unwrap();
            other.close().unwrap();
        });
        let mut told = Vec::new();
        while let Some(event) = block_on(poll_fn(|context| events.poll_next(context))) {
            told.push(match event.kind {
                EventKind::Granted { .. } => "granted",
                EventKind::Ended { .. } => "ended",
                _ => "something else",
            });
            if told.len() == 2 {
                all_told.send(()).unwrap();
            }
        }
        acting.join().unwrap();
        assert_eq!(told, ["granted", "ended"]);
    });
}

#[test]
fn a_question_about_a_name_that_cannot_be_is_an_error() {
    #[track_caller]
    fn check<T: std::fmt::Debug>(answer: Result<T, ReadError>, says: &str) {
        let error = answer.unwrap_err();
        assert!(matches!(error, ReadError::Argument(ArgumentError::Name(_))), "{error:?}");
        assert_eq!(error.to_string(), says);
    }
    let (store, long) = (Store::in_memory().unwrap(), "x".repeat(1_025));
    let (empty, too_long) =
        ("a key must not be empty", "a key may have at most 1024 bytes; this one has 1025");
    check(store.is_locked(""), empty);
    check(store.is_locked(&long), too_long);
    check(store.inspect(""), empty);
    check(store.inspect(&long), too_long);
    check(store.is_lock_holder("", "h"), empty);
    check(store.is_lock_holder("k", ""), "a holder must not be empty");
}
