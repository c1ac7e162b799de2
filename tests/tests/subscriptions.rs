//! Those who are told, and those who have stopped listening.

use lockstore::{ArgumentError, ReadError, Store, StoreError};

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
