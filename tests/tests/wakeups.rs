//! Nobody is forgotten: rounds of few calls after which nobody comes who could wake a forgotten one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lockstore::{Store, StoreOptions};
use lockstore_tests::call::Call;
use lockstore_tests::task::Task;

/// Rounds are made for this long: the chance of a meeting grows with it, and no verdict hangs on it.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// Calls of many threads with the smallest batches, while others take the writer's seat for themselves.
fn check(batch_max: usize, threads: usize, disturb: Option<fn(&Store)>) {
    let store = StoreOptions::new().batch_max(batch_max).open_in_memory().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let disturbers: Vec<_> = (0..2)
        .filter_map(|_| disturb)
        .map(|disturb| {
            let (store, over) = (store.clone(), over.clone());
            Call::start(move || {
                while !over.load(Ordering::Relaxed) {
                    disturb(&store);
                }
            })
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < LONG_ENOUGH {
        let calls: Vec<_> = (0..threads)
            .map(|i| {
                let store = store.clone();
                Call::start(move || {
                    if i % 3 == 2 {
                        Task::new(store.lock("k").acquire_async()).outcome().unwrap().release()
                    } else {
                        store.lock("k").acquire().unwrap().release()
                    }
                })
            })
            .collect();
        for call in calls {
            call.outcome().unwrap();
        }
    }
    over.store(true, Ordering::Relaxed);
    disturbers.into_iter().for_each(Call::outcome);
    assert!(!store.is_locked("k").unwrap());
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn nobody_is_forgotten_when_batches_are_small() {
    check(1, 6, None);
    check(2, 9, None);
}

#[test]
fn nobody_is_forgotten_beside_a_check() {
    check(1, 4, Some(|store| assert!(store.check().unwrap().is_sound())));
}

#[test]
fn nobody_is_forgotten_beside_figures() {
    check(1, 4, Some(|store| assert!(store.stats().is_ok())));
}
