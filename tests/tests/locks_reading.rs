//! What can be read of a store: lists, events, the audit and figures.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, TryRecvError};
use lockstore::{EndCause, Event, EventKind, LeakedGrant, LeaveCause, Store, StoreOptions};
use lockstore_tests::call::Call;
use lockstore_tests::deployment::{on_all_deployments, on_all_machines};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

/// Random numbers that repeat.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// All keys of a prefix, page by page.
fn pages(store: &Store, prefix: &str, limit: usize) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let page = store.list(prefix, keys.last().map(String::as_str), limit).unwrap();
        let len = page.len();
        assert!(len <= limit);
        keys.extend(page.into_iter().map(|lock| lock.key.as_str().to_owned()));
        if len < limit {
            return keys;
        }
    }
}

#[test]
fn pages_of_a_list_agree_with_a_sorted_model_under_churn() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        let mut model = BTreeMap::<String, LeakedGrant>::new();
        let mut dice = Dice(7);
        let prefixes = ["", "a", "a/", "a/1", "b", "ä", "\u{10ffff}", "zz"];
        for round in 0..600 {
            let stem = prefixes[usize::try_from(dice.below(7)).unwrap()];
            let key = format!("{stem}{}", dice.below(40));
            if let Some(grant) = model.remove(&key) {
                store.release(&key, &grant.holder, Some(grant.token)).unwrap();
            } else {
                model.insert(key.clone(), store.lock(&key).acquire().unwrap().leak());
            }
            if round % 20 == 0 {
                for prefix in prefixes {
                    let expected: Vec<&String> =
                        model.keys().filter(|key| key.starts_with(prefix)).collect();
                    for limit in [1, 2, 7, 1_000] {
                        assert!(pages(&store, prefix, limit).iter().eq(expected.iter().copied()));
                    }
                }
            }
        }
        assert_eq!(store.list("", None, 0).unwrap(), []);
        assert_eq!(store.list("a", Some("zz"), 10).unwrap(), []);
        let after_before_prefix = store.list("b", Some("a"), 1_000).unwrap().len();
        assert_eq!(after_before_prefix, store.list("b", None, 1_000).unwrap().len());
    });
}

/// What was there before a scan began, and stays until it ends, is in it, whatever happens beside it.
#[test]
fn a_scan_misses_nothing_that_stays() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        for i in (0..200).step_by(2) {
            store.lock(&format!("{i:03}")).acquire().unwrap().leak();
        }
        let over = Arc::new(AtomicBool::new(false));
        let churn = {
            let (store, over) = (store.clone(), over.clone());
            Call::start(move || {
                let mut dice = Dice(1);
                while !over.load(Ordering::Relaxed) {
                    let key = format!("{:03}", dice.below(100) * 2 + 1);
                    store.lock(&key).acquire().unwrap().release().unwrap();
                }
            })
        };
        for limit in [1, 3, 50, 1_000].repeat(10) {
            let keys = pages(&store, "", limit);
            assert!(keys.is_sorted_by(|a, b| a < b));
            let stayed = keys.iter().filter(|key| key.parse::<u32>().unwrap() % 2 == 0).count();
            assert_eq!(stayed, 100, "pages of {limit}");
        }
        over.store(true, Ordering::Relaxed);
        churn.outcome();
    });
}

/// What an event tells, in a word.
fn word(kind: &EventKind) -> String {
    match kind {
        EventKind::Granted { key, waiter, .. } => {
            format!("{key} {}", if waiter.is_some() { "handed" } else { "granted" })
        }
        EventKind::Renewed { key, .. } => format!("{key} renewed"),
        EventKind::Ended { key, cause, .. } => format!("{key} {cause}"),
        EventKind::Waiting { key, .. } => format!("{key} waiting"),
        EventKind::Left { key, cause, .. } => format!("{key} left {cause:?}"),
        EventKind::SessionOpened { .. } => "session opened".to_owned(),
        EventKind::SessionClosed { .. } => "session closed".to_owned(),
        EventKind::Gap => "gap".to_owned(),
        other => format!("{other:?}"),
    }
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).expect("an event comes")
}

#[track_caller]
fn expect(events: &Receiver<Event>, expected: &[&str]) {
    let words: Vec<_> = expected.iter().map(|_| word(&next(events).kind)).collect();
    assert_eq!(words, expected);
}

#[test]
fn subscribers_are_told_all_of_their_prefix_in_order() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let (all, some) = (store.subscribe("").unwrap(), store.subscribe("a/").unwrap());
        let guard = store.lock("a/1").ttl(secs(10)).acquire().unwrap();
        guard.renew().unwrap();
        store.lock("b").acquire().unwrap().release().unwrap();
        let handed = Task::pending(store.lock("a/1").acquire_async());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        guard.release().unwrap();
        let broken = handed.outcome().unwrap();
        store.break_lock("a/1", broken.token(), "to see it told").unwrap();
        let session = store.session().unwrap();
        session.end().unwrap();
        let leased = store.lock("a/2").ttl(secs(1)).acquire().unwrap();
        machine.clock.advance(secs(1));
        let told = [
            "a/1 granted",
            "a/1 renewed",
            "a/1 waiting",
            "a/1 released",
            "a/1 handed",
            "a/1 broken",
        ];
        expect(&some, &told);
        expect(&some, &["session opened", "session closed", "a/2 granted", "a/2 expired"]);
        expect(&all, &["a/1 granted", "a/1 renewed", "b granted", "b released", "a/1 waiting"]);
        let ended = next(&all);
        let granted = next(&all);
        assert_eq!(
            (word(&ended.kind), word(&granted.kind)),
            ("a/1 released".into(), "a/1 handed".into())
        );
        assert_eq!(ended.sequence, granted.sequence, "a hand-off is one commit");
        drop(leased);
        drop(store);
    });
}

#[test]
fn sequences_rise_and_tell_which_events_came_together() {
    on_all_machines(|deployment| {
        let store = Machine::on(deployment).open();
        let events = store.subscribe("").unwrap();
        let calls: Vec<_> = (0..4)
            .map(|i| {
                let store = store.clone();
                Call::start(move || {
                    for _ in 0..50 {
                        store.lock(&format!("{i}")).acquire().unwrap().release().unwrap();
                    }
                })
            })
            .collect();
        calls.into_iter().for_each(Call::outcome);
        let told: Vec<_> = (0..400).map(|_| next(&events)).collect();
        assert!(events.is_empty());
        assert!(told.is_sorted_by_key(|event| event.sequence));
        for key in ["0", "1", "2", "3"] {
            let words: Vec<_> = told
                .iter()
                .filter(|event| event.kind.key().is_some_and(|k| &**k == key))
                .map(|event| word(&event.kind))
                .collect();
            assert!(
                words
                    .chunks(2)
                    .all(|pair| pair == [format!("{key} granted"), format!("{key} released")])
            );
        }
    });
}

/// Who does not read finds a gap where events are missing, and the store waits for nobody.
#[test]
fn a_full_receiver_finds_a_gap() {
    let store = StoreOptions::new().events_max(3).open_in_memory().unwrap();
    let events = store.subscribe("k").unwrap();
    let pass = || store.lock("k").acquire().unwrap().release().unwrap();
    for _ in 0..10 {
        pass();
    }
    expect(&events, &["k granted", "k released", "k granted", "gap"]);
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    pass();
    expect(&events, &["k granted", "k released"]);
    // One place is free: it takes an event, and the next is missing.
    pass();
    pass();
    expect(&events, &["k granted"]);
    pass();
    let rest: Vec<_> = events.try_iter().map(|event| word(&event.kind)).collect();
    assert_eq!(rest, ["k released", "k granted", "gap"]);
}

#[test]
fn a_receiver_that_is_dropped_is_forgotten() {
    on_all_deployments(|deployment| {
        let store = deployment.in_memory();
        drop(store.subscribe("").unwrap());
        let events = store.subscribe("").unwrap();
        store.lock("k").acquire().unwrap().release().unwrap();
        expect(&events, &["k granted", "k released"]);
    });
}

#[test]
fn waits_that_end_are_told_with_their_cause() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let guard = store.lock("k").acquire().unwrap();
        let events = store.subscribe("k").unwrap();
        drop(Task::pending(store.lock("k").acquire_async()));
        let timed = Task::pending(store.lock("k").acquire_timeout_async(secs(1)));
        let watcher = Task::pending(store.wait_until_free_async("k", None));
        eventually("both wait", || store.stats().unwrap().waiters == 2);
        machine.clock.advance(secs(1));
        assert!(timed.outcome().is_err());
        guard.release().unwrap();
        assert!(watcher.outcome().unwrap());
        let mut causes = Vec::new();
        while causes.len() < 3 {
            match events.recv_timeout(PATIENCE) {
                Ok(Event { kind: EventKind::Left { cause, .. }, .. }) => causes.push(cause),
                Ok(_) => {}
                // The first may have been given up before it was served.
                Err(_) => break,
            }
            if causes.last() == Some(&LeaveCause::Free) {
                break;
            }
        }
        causes.retain(|cause| *cause != LeaveCause::Cancelled);
        assert_eq!(causes, [LeaveCause::TimedOut, LeaveCause::Free]);
    });
}

#[test]
fn the_audit_keeps_the_newest_and_survives_a_restart() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let open = || machine.open_with(machine.options().audit_max(5));
        let store = open();
        let events = store.subscribe("").unwrap();
        let mut broken = Vec::new();
        for i in 0..12 {
            machine.clock.advance(secs(1));
            let token = store.lock("k").holder("me").acquire().unwrap().leak().token;
            broken.push(store.break_lock("k", token, &format!("reason {i}")).unwrap());
        }
        broken.reverse();
        assert_eq!(store.audit(None, 100).unwrap(), broken[..5]);
        assert!(broken.is_sorted_by(|new, old| new.number == old.number + 1 && new.at > old.at));
        let told = (0..24).map(|_| next(&events));
        let ends = told
            .filter(|event| matches!(event.kind, EventKind::Ended { cause: EndCause::Broken, .. }));
        assert_eq!(ends.count(), 12);
        drop(store);

        let store = open();
        assert_eq!(store.audit(None, 100).unwrap(), broken[..5]);
        // Page by page, the newest first.
        assert_eq!(store.audit(None, 2).unwrap(), broken[..2]);
        assert_eq!(store.audit(Some(broken[1].number), 2).unwrap(), broken[2..4]);
        assert_eq!(store.audit(Some(1), 2).unwrap(), []);
        assert_eq!(store.audit(None, 0).unwrap(), []);
        let token = store.lock("k").holder("me").acquire().unwrap().leak().token;
        let next = store.break_lock("k", token, "").unwrap();
        assert_eq!(next.number, broken[0].number + 1, "numbers go on");
        assert_eq!(store.audit(None, 100).unwrap().len(), 5);
        assert_eq!(store.stats().unwrap().audit_records, 5);
        assert!(store.check().unwrap().is_sound());
    });
}

#[test]
fn figures_are_of_the_present() {
    on_all_machines(|deployment| {
        let machine = Machine::on(deployment);
        let store = machine.open();
        let before = store.stats().unwrap();
        let session = store.session().unwrap();
        let guards: Vec<_> =
            (0..3).map(|i| store.lock(&format!("{i}")).acquire().unwrap()).collect();
        let waiting = Task::pending(store.lock("0").session(&session).acquire_async());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        let stats = store.stats().unwrap();
        assert_eq!((stats.locks, stats.waiters, stats.sessions), (3, 1, 1));
        assert_eq!(stats.requests - before.requests, 5);
        assert!(stats.commits - before.commits >= 3 && stats.batch_max >= 1, "{stats:?}");
        assert!(stats.cached_bytes > 0, "{stats:?}");
        assert_eq!(stats.file_bytes, machine.disk.contents().len() as u64);
        drop((waiting, guards));
        session.end().unwrap();
        eventually("all is over", || {
            let stats = store.stats().unwrap();
            (stats.locks, stats.waiters, stats.sessions) == (0, 0, 0)
        });
    });
}
