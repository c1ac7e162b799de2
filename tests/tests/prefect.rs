//! Prefect's lock protocol: every row of the table of its managers' behaviour, column "ours", through
//! `trait LockManager`, blocking and as futures.

use std::time::Duration;

use lockstore::{
    AcquireError, ArgumentError, LockManager, NameError, ReleaseError, Store, TtlError,
};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{Deployment, on_all_deployments, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

/// Calls the protocol's blocking methods, or their twins.
#[derive(Clone, Copy, Debug)]
enum Way {
    Blocking,
    Async,
}

const WAYS: [Way; 2] = [Way::Blocking, Way::Async];
const NOW: Option<Duration> = Some(Duration::ZERO);

impl Way {
    fn acquire(
        self,
        manager: &Store,
        (key, holder): (&str, &str),
        timeout: Option<Duration>,
        hold: Option<Duration>,
    ) -> Result<bool, AcquireError> {
        match self {
            Self::Blocking => manager.acquire_lock(key, holder, timeout, hold),
            Self::Async => {
                Task::new(manager.acquire_lock_async(key, holder, timeout, hold)).outcome()
            }
        }
    }

    fn wait(self, manager: &Store, key: &str, timeout: Option<Duration>) -> bool {
        match self {
            Self::Blocking => manager.wait_for_lock(key, timeout).unwrap(),
            Self::Async => Task::new(manager.wait_for_lock_async(key, timeout)).outcome().unwrap(),
        }
    }
}

fn token(store: &Store, key: &str) -> lockstore::Token {
    store.inspect(key).unwrap().expect("it is held").holders[0].token
}

fn remaining(store: &Store, key: &str) -> Option<Duration> {
    store.inspect(key).unwrap().expect("it is held").holders[0].remaining
}

/// "True; expiry rewritten, None clears it; the same grant, the same token."
#[test]
fn the_holder_acquires_again() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let store = Machine::on(deployment).open();
            assert!(way.acquire(&store, ("k", "a"), None, Some(secs(10))).unwrap());
            let first = token(&store, "k");
            assert!(way.acquire(&store, ("k", "a"), NOW, Some(secs(99))).unwrap());
            assert_eq!(remaining(&store, "k"), Some(secs(99)));
            assert!(way.acquire(&store, ("k", "a"), None, None).unwrap());
            assert_eq!((remaining(&store, "k"), token(&store, "k")), (None, first));
            assert!(way.acquire(&store, ("k", "a"), None, Some(secs(5))).unwrap());
            assert_eq!((remaining(&store, "k"), token(&store, "k")), (Some(secs(5)), first));
        }
    });
}

/// "Locks again, a new token."
#[test]
fn the_holder_acquires_again_after_its_expiry() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let machine = Machine::on(deployment);
            let store = machine.open();
            way.acquire(&store, ("k", "a"), None, Some(secs(10))).unwrap();
            let first = token(&store, "k");
            machine.clock.advance(secs(10));
            assert!(way.acquire(&store, ("k", "a"), NOW, None).unwrap());
            assert!(token(&store, "k") > first);
        }
    });
}

/// "False at once", and nothing waits.
#[test]
fn a_timeout_of_zero_tries_once() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let store = Machine::on(deployment).open();
            assert!(way.acquire(&store, ("k", "a"), NOW, None).unwrap());
            assert!(!way.acquire(&store, ("k", "b"), NOW, None).unwrap());
            assert!(!way.wait(&store, "k", NOW));
            assert_eq!(store.stats().unwrap().waiters, 0);
            assert!(store.is_lock_holder("k", "a").unwrap());
        }
    });
}

/// A timeout that runs out answers False, and it is fixed when the call is made.
#[test]
fn a_timeout_counts_from_the_call() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        store.acquire_lock("k", "a", None, None).unwrap();
        let made_before = store.acquire_lock_async("k", "b", Some(secs(10)), None);
        let mut waiting = Task::new(store.acquire_lock_async("k", "c", Some(secs(20)), None));
        assert!(waiting.poll().is_pending());
        let (one, two) = (store.clone(), store.clone());
        let blocked = Call::start_asleep(move || one.acquire_lock("k", "d", Some(secs(20)), None));
        let watcher = Call::start_asleep(move || two.wait_for_lock("k", Some(secs(20))));
        machine.clock.advance(secs(10));
        assert!(!Task::new(made_before).outcome().unwrap(), "its time was over when it was polled");
        eventually("three wait", || store.stats().unwrap().waiters == 3);
        // The lock goes from hand to hand meanwhile: that starts nothing again.
        store.release_lock("k", "a").unwrap();
        assert!(waiting.outcome().unwrap());
        machine.clock.advance(secs(10));
        assert!(!blocked.outcome().unwrap());
        assert!(!watcher.outcome().unwrap());
        assert!(store.is_lock_holder("k", "c").unwrap());
    });
}

/// "A typed error: a hold must be longer than 0." So is a key or a holder that is none.
#[test]
fn what_makes_no_sense_is_a_typed_error() {
    on_all_machines(|deployment| {
        #[track_caller]
        fn check(
            deployment: Deployment,
            key: &str,
            holder: &str,
            hold: Option<Duration>,
            expected: &ArgumentError,
        ) {
            let store = deployment.in_memory();
            for way in WAYS {
                match way.acquire(&store, (key, holder), NOW, hold) {
                    Err(AcquireError::Argument(error)) => assert_eq!(error, *expected),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(store.stats().unwrap().locks, 0);
        }
        let (empty_key, empty_holder) =
            (NameError::Empty { what: "key" }, NameError::Empty { what: "holder" });
        check(deployment, "k", "a", Some(Duration::ZERO), &TtlError::Zero.into());
        check(deployment, "k", "a", Some(Duration::MAX), &TtlError::TooLong.into());
        check(deployment, "", "a", None, &empty_key.into());
        check(deployment, "k", "", None, &empty_holder.into());
        check(
            deployment,
            &"k".repeat(1025),
            "a",
            None,
            &NameError::TooLong { what: "key", bytes: 1025, bytes_max: 1024 }.into(),
        );
    });
}

/// "A typed error"; the lock is untouched.
#[test]
fn a_release_by_another_holder_is_refused() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        store.acquire_lock("k", "a", None, None).unwrap();
        match store.release_lock("k", "b").unwrap_err() {
            ReleaseError::HeldByOther { key, holder, by } => {
                assert_eq!((&*key, &*holder, &*by.holder), ("k", "b", "a"));
            }
            other => panic!("{other:?}"),
        }
        assert!(store.is_lock_holder("k", "a").unwrap());
    });
}

/// "Silent by default, an error under `strict_release`."
#[test]
fn a_release_of_what_nobody_holds_is_silent_unless_it_is_strict() {
    on_all_machines(|deployment| {
        for strict in [false, true] {
            let machine = Machine::on(deployment);
            let store = machine.open_strictly(machine.options(), strict);
            store.acquire_lock("released", "a", None, None).unwrap();
            store.release_lock("released", "a").unwrap();
            store.acquire_lock("expired", "a", None, Some(secs(1))).unwrap();
            machine.clock.advance(secs(1));
            assert!(store.wait_for_lock("expired", Some(PATIENCE)).unwrap());
            for key in ["never", "released", "expired"] {
                match store.release_lock(key, "a") {
                    Ok(()) => assert!(!strict, "{key}"),
                    Err(ReleaseError::NotHeld { key: named }) => assert!(strict && *named == *key),
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
}

/// "The same error as release by another holder; the new holder's lock untouched."
#[test]
fn an_old_holder_does_not_release_its_successor() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        store.acquire_lock("k", "old", None, Some(secs(1))).unwrap();
        machine.clock.advance(secs(1));
        assert!(store.acquire_lock("k", "new", None, None).unwrap());
        let refused = store.release_lock("k", "old").unwrap_err();
        assert!(matches!(refused, ReleaseError::HeldByOther { .. }), "{refused:?}");
        assert!(store.is_lock_holder("k", "new").unwrap());
    });
}

/// "Expired: `is_locked`, `is_lock_holder`, wait: F, F, True."
#[test]
fn an_expired_lock_is_free_in_every_respect() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let machine = Machine::on(deployment);
            let store = machine.open();
            way.acquire(&store, ("k", "a"), None, Some(secs(10))).unwrap();
            machine.clock.advance(Duration::from_millis(9_999));
            store.acquire_lock("tick", "a", None, None).unwrap();
            assert!(LockManager::is_locked(&store, "k").unwrap(), "not early");
            machine.clock.advance(Duration::from_millis(1));
            assert!(way.wait(&store, "k", Some(secs(1))));
            assert!(!LockManager::is_locked(&store, "k").unwrap());
            assert!(!LockManager::is_lock_holder(&store, "k", "a").unwrap());
            assert!(way.wait(&store, "k", NOW));
        }
    });
}

/// "`wait_for_lock` by the holder itself blocks (until free or the timeout)."
#[test]
fn the_holder_waits_for_its_own_lock_like_anybody() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let machine = Machine::on(deployment);
            let store = machine.open();
            way.acquire(&store, ("k", "a"), None, None).unwrap();
            let waiter = store.clone();
            let timed = Call::start_asleep(move || way.wait(&waiter, "k", Some(secs(5))));
            let waiter = store.clone();
            let patient = Call::start_asleep(move || way.wait(&waiter, "k", None));
            eventually("both wait", || store.stats().unwrap().waiters == 2);
            machine.clock.advance(secs(5));
            assert!(!timed.outcome());
            store.release_lock("k", "a").unwrap();
            assert!(patient.outcome());
        }
    });
}

/// "`wait_for_lock` on an unknown key: True."
#[test]
fn an_unknown_key_is_free() {
    on_all_deployments(|deployment| {
        for way in WAYS {
            let store = deployment.in_memory();
            for timeout in [None, NOW, Some(secs(5))] {
                assert!(way.wait(&store, "unknown", timeout));
            }
            assert!(!LockManager::is_locked(&store, "unknown").unwrap());
            assert!(!LockManager::is_lock_holder(&store, "unknown", "a").unwrap());
        }
    });
}

/// "First come, first served", blocking callers and tasks in one line.
#[test]
fn waiters_are_served_in_the_order_of_their_coming() {
    on_all_deployments(|deployment| {
        const WAITERS: usize = 12;
        let store = deployment.in_memory();
        store.acquire_lock("k", "first", None, None).unwrap();
        let (served, order) = crossbeam_channel::unbounded();
        let calls: Vec<_> = (0..WAITERS)
            .map(|i| {
                let (waiter, served) = (store.clone(), served.clone());
                let way = WAYS[i % 2];
                let call = Call::start(move || {
                    let holder = format!("waiter {i}");
                    assert!(way.acquire(&waiter, ("k", &holder), None, None).unwrap());
                    served.send(i).unwrap();
                    waiter.release_lock("k", &holder).unwrap();
                });
                eventually("it stands in line", || store.stats().unwrap().waiters == i + 1);
                call
            })
            .collect();
        store.release_lock("k", "first").unwrap();
        calls.into_iter().for_each(Call::outcome);
        assert_eq!(order.try_iter().collect::<Vec<_>>(), (0..WAITERS).collect::<Vec<_>>());
    });
}

/// "No polling: a commit and a wake-up." A hand-off takes one commit, and the clock plays no part.
#[test]
fn a_hand_off_is_one_commit() {
    on_all_machines(|deployment| {
        for way in WAYS {
            let store = Machine::on(deployment).open();
            store.acquire_lock("k", "a", None, None).unwrap();
            let waiter = store.clone();
            let next = Call::start_asleep(move || way.acquire(&waiter, ("k", "b"), None, None));
            eventually("it waits", || store.stats().unwrap().waiters == 1);
            let before = store.stats().unwrap().commits;
            store.release_lock("k", "a").unwrap();
            assert!(next.outcome().unwrap());
            assert_eq!(store.stats().unwrap().commits, before + 1);
        }
    });
}

/// "Any non-empty string up to a documented bound, exactly as given."
#[test]
fn keys_are_taken_exactly_as_given() {
    on_all_machines(|deployment| {
        let longest = "k".repeat(1024);
        let keys = [
            "a.1", "a.2", "x/y", "../up", " ", "k", "K", "k ", "\0", "a\nb", "ä", "a\u{308}",
            &*longest,
        ];
        let machine = Machine::on(deployment);
        let store = machine.open();
        for (i, key) in keys.iter().enumerate() {
            assert!(
                store.acquire_lock(key, &format!("{i}"), NOW, None).unwrap(),
                "{key:?} collides"
            );
        }
        drop(store);
        let store = machine.open();
        for (i, key) in keys.iter().enumerate() {
            assert!(store.is_lock_holder(key, &format!("{i}")).unwrap(), "{key:?}");
        }
        let mut sorted: Vec<_> = keys.into();
        sorted.sort_unstable();
        let listed = store.list("", None, 100).unwrap();
        assert!(listed.iter().map(|lock| lock.key.as_str()).eq(sorted));
    });
}

/// "Mutual exclusion under stress: held, always."
#[test]
fn exclusion_is_held_under_stress() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let inside = std::sync::Arc::new(std::sync::Mutex::new(()));
        let rounds = deployment.rounds(150);
        let calls: Vec<_> = (0..8)
            .map(|i| {
                let (store, inside) = (store.clone(), inside.clone());
                let way = WAYS[i % 2];
                Call::start(move || {
                    let holder = format!("{i}");
                    let mut acquired = 0;
                    for round in 0..rounds {
                        let timeout = if round % 3 == 0 { NOW } else { None };
                        if way.acquire(&store, ("k", &holder), timeout, Some(PATIENCE)).unwrap() {
                            drop(inside.try_lock().expect("two hold it"));
                            assert!(store.is_lock_holder("k", &holder).unwrap());
                            store.release_lock("k", &holder).unwrap();
                            acquired += 1;
                        }
                    }
                    acquired
                })
            })
            .collect();
        let acquired: Vec<usize> = calls.into_iter().map(Call::outcome).collect();
        let waited = rounds - rounds.div_ceil(3);
        assert!(acquired.iter().all(|n| *n >= waited), "{acquired:?}");
        deployment.assert_sound(&store);
    });
}

/// "Holder killed: the choice of the caller: stays until its `hold_timeout`, or ends with the session."
#[test]
fn what_becomes_of_the_lock_of_a_killed_holder_is_the_callers_choice() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        store.acquire_lock("endless", "a", None, None).unwrap();
        store.acquire_lock("timed", "a", None, Some(secs(60))).unwrap();
        let session = store.session().unwrap();
        store.lock("bound").holder("a").session(&session).acquire().unwrap().leak();
        let machine = machine.after_kill();
        let store = machine.open();
        assert!(store.is_lock_holder("endless", "a").unwrap());
        assert!(store.is_lock_holder("timed", "a").unwrap());
        assert!(!LockManager::is_locked(&store, "bound").unwrap());
        machine.clock.advance(secs(60));
        assert!(store.wait_for_lock("timed", Some(PATIENCE)).unwrap());
        assert!(LockManager::is_locked(&store, "endless").unwrap());
    });
}

/// A release twice, as Prefect does on commit inside `with`, harms nobody who came in between.
#[test]
fn a_double_release_harms_nobody() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        store.acquire_lock("k", "a", None, None).unwrap();
        store.release_lock("k", "a").unwrap();
        store.release_lock("k", "a").unwrap();
        store.acquire_lock("k", "b", None, None).unwrap();
        store.release_lock("k", "a").unwrap_err();
        assert!(store.is_lock_holder("k", "b").unwrap());
    });
}

/// A future that is dropped has acquired nothing, whenever that was.
#[test]
fn a_dropped_acquisition_leaves_no_lock() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        drop(store.acquire_lock_async("k", "a", None, None));
        let mut polled = Task::new(store.acquire_lock_async("k", "a", None, None));
        if polled.poll().is_pending() {
            drop(polled);
            assert!(store.wait_for_lock("k", Some(PATIENCE)).unwrap());
        }
    });
}

// Rows that Python alone can show: negative or NaN timeouts (a `Duration` is neither), the texts of its
// ValueErrors, and two processes at once, which share a store only through its server.
