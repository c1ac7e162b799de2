//! Scenarios of one store and its threads, through the public interface.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, StoreOptions};
use lockstore_tests::deployment::on_all_deployments;
use lockstore_tests::patience::PATIENCE;

#[test]
fn waiters_are_served_in_the_order_in_which_they_came() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let first = store.lock("a").acquire().unwrap();
        let (served, order) = crossbeam_channel::unbounded();
        let mut threads = Vec::new();
        for i in 0..8 {
            let (contender, served) = (store.clone(), served.clone());
            threads.push(thread::spawn(move || {
                let guard = contender.lock("a").acquire().unwrap();
                served.send((i, guard.token())).unwrap();
                guard.release().unwrap();
            }));
            while store.inspect("a").unwrap().unwrap().waiters != i + 1 {
                thread::yield_now();
            }
        }
        first.release().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
        let order: Vec<_> = order.try_iter().collect();
        assert!(order.is_sorted_by_key(|(i, _)| *i), "{order:?}");
        assert!(order.is_sorted_by_key(|(_, token)| *token), "{order:?}");
        assert!(!store.is_locked("a").unwrap());
        deployment.assert_sound(&store);
    });
}

#[test]
fn many_threads_never_hold_at_once() {
    on_all_deployments(|deployment| {
        let folder = tempfile::tempdir().unwrap();
        let store = deployment.open(folder.path().join("s.redb"), StoreOptions::new());
        let inside = Arc::new(std::sync::atomic::AtomicU32::new(0));
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..deployment.rounds(50) {
                        let guard =
                            store.lock("k").ttl(Duration::from_secs(3_600)).acquire().unwrap();
                        assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        guard.release().unwrap();
                    }
                });
            }
        });
        deployment.assert_sound(&store);
    });
}

#[test]
fn a_lock_survives_a_restart_and_is_resumed() {
    on_all_deployments(|deployment| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.redb");
        let store = deployment.open(&path, StoreOptions::new());
        let leaked = store.lock("k").holder("me").acquire().unwrap().leak();
        store.close().unwrap();
        let store = deployment.open(&path, StoreOptions::new());
        assert!(matches!(store.lock("k").try_acquire(), Err(AcquireError::Held { .. })));
        let guard = store.lock("k").holder("me").resume(leaked.token).unwrap();
        guard.release().unwrap();
        let again = store.lock("k").try_acquire().unwrap();
        assert!(again.token() > leaked.token);
    });
}

#[test]
fn a_lease_ends_by_itself() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let endless = store.lock("endless").acquire().unwrap();
        let guard = store.lock("k").ttl(Duration::from_millis(50)).acquire().unwrap();
        assert!(store.wait_until_free("k", Some(PATIENCE)).unwrap());
        assert!(!store.wait_until_free("endless", Some(Duration::from_millis(10))).unwrap());
        endless.release().unwrap();
        assert!(guard.is_lost());
        assert!(guard.renew().is_err());
    });
}
