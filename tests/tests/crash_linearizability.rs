//! What eight threads asked and were told, in every way to ask, is what a correct store could have answered.
//! And the judge is no fool: what a faulty store would have answered is rejected.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lockstore::{AcquireError, Holder, Key, Mode, Store, StoreOptions, SystemClock, Token};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::{PowerLoss, SimDisk};
use lockstore_testkit::history::{Call, Client, History, Outcome, Recorder, Wait};
use lockstore_testkit::linearizability::{Checker, Rule};
use lockstore_tests::contender::Contender;
use lockstore_tests::dice::{Dice, seed};
use lockstore_tests::document_contender::{DocumentContender, documents};
use lockstore_tests::polling::{block_on, poll_once};

const THREADS: u64 = 8;

#[test]
fn a_hundred_thousand_operations_are_linearizable() {
    let seed = seed(1);
    let (mut operations, mut grants) = (0, 0);
    for round in 0.. {
        let store = Store::in_memory().unwrap();
        let history = contend(&store, seed + round, 150);
        let summary = judge(&history, seed + round);
        assert!(store.check().unwrap().is_sound());
        operations += summary.0;
        grants += summary.1;
        if operations >= 100_000 {
            break;
        }
    }
    eprintln!("{operations} operations, {grants} grants");
}

#[test]
fn operations_on_a_file_are_linearizable() {
    let seed = seed(1_000_000);
    let folder = tempfile::tempdir().unwrap();
    let mut operations = 0;
    for round in 0..4 {
        let path = folder.path().join(format!("{round}.redb"));
        let history = contend(&Store::open(path).unwrap(), seed + round, 60);
        operations += judge(&history, seed + round).0;
    }
    eprintln!("{operations} operations on a file");
}

#[test]
fn operations_on_the_locks_of_documents_are_linearizable() {
    let seed = seed(2_000_000);
    let (mut operations, mut grants) = (0, 0);
    for round in 0.. {
        let store = Store::in_memory().unwrap();
        let summary = judge(&contend_for_documents(&store, seed + round, 100), seed + round);
        assert!(store.check().unwrap().is_sound());
        operations += summary.0;
        grants += summary.1;
        if operations >= 20_000 {
            break;
        }
    }
    eprintln!("{operations} operations, {grants} grants");
}

/// Returns how many operations and grants there were.
#[track_caller]
fn judge(history: &History, seed: u64) -> (usize, usize) {
    match Checker::new().check(history) {
        Ok(summary) => {
            assert_eq!(summary.undecided, [], "LOCKSTORE_SEED={seed}");
            (summary.operations, summary.grants)
        }
        Err(violation) => panic!("LOCKSTORE_SEED={seed}: {violation}"),
    }
}

fn contend(store: &Store, seed: u64, steps: u64) -> History {
    record(seed, |client, dice, name| {
        let mut contender = Contender { store, client, dice, name, taken: 0 };
        (0..steps).for_each(|_| contender.step());
    })
}

fn contend_for_documents(store: &Store, seed: u64, steps: u64) -> History {
    documents(store);
    record(seed, |client, dice, name| {
        let clock = system_clock();
        let mut contender = DocumentContender { store, clock, client, dice, name, taken: 0 };
        (0..steps).for_each(|_| contender.step());
    })
}

/// What threads do at the same time, each with choices of its own.
fn record(seed: u64, contend: impl Fn(Client, Dice, String) + Sync) -> History {
    let recorder = Recorder::new(system_clock());
    thread::scope(|scope| {
        for number in 0..THREADS {
            let dice = Dice::new(seed.wrapping_mul(THREADS).wrapping_add(number));
            let (client, contend) = (recorder.client(), &contend);
            scope.spawn(move || contend(client, dice, format!("thread {number}")));
        }
    });
    recorder.history()
}

fn system_clock() -> SystemClock {
    SystemClock::new().expect("the machine has a clock")
}

#[test]
fn a_token_that_is_used_twice_is_noticed() {
    let history = contend(&Store::in_memory().unwrap(), seed(2), 60);
    judge(&history, seed(2));
    let mut granted = BTreeMap::new();
    for operation in &history.operations {
        if let Outcome::Granted { token, .. } = operation.outcome {
            granted.insert(token, operation.holder.clone());
        }
    }
    let tokens: Vec<_> = granted.keys().copied().collect();
    // One holder that is told its token again may hold still.
    let of_two_holders = tokens.windows(2).filter(|pair| granted[&pair[0]] != granted[&pair[1]]);
    for pair in of_two_holders.step_by(tokens.len() / 20) {
        // The counter did not move, or went back: everybody was told the token of the grant before.
        let falsified = with_token_replaced(&history, pair[1], pair[0]);
        let violation = Checker::new().check(&falsified).unwrap_err();
        assert_eq!(violation.rule, Rule::TokenReused, "{violation}");
    }
}

fn with_token_replaced(history: &History, token: Token, by: Token) -> History {
    let mut falsified = history.clone();
    let replace = |named: &mut Token| {
        if *named == token {
            *named = by;
        }
    };
    for operation in &mut falsified.operations {
        match &mut operation.call {
            Call::Release { token: Some(token) }
            | Call::Renew { token: Some(token), .. }
            | Call::Break { token } => replace(token),
            _ => {}
        }
        match &mut operation.outcome {
            Outcome::Granted { token, .. } => replace(token),
            Outcome::Holders(holders) => holders.iter_mut().for_each(|it| replace(&mut it.1)),
            _ => {}
        }
    }
    falsified
}

/// What a store tells before the commit that carries it.
#[derive(Clone, Copy, PartialEq)]
enum Early {
    Nothing,
    /// Readers see it.
    Published,
    /// The caller is told of it.
    Answered,
}

#[test]
fn a_grant_that_is_published_before_its_commit_is_noticed() {
    judge(&power_lost_in_a_commit(Early::Nothing), 0);
    for early in [Early::Published, Early::Answered] {
        let violation = Checker::new().check(&power_lost_in_a_commit(early)).unwrap_err();
        assert_ne!(violation.rule, Rule::Malformed, "{violation}");
        eprintln!("{violation}");
    }
}

/// A grant is being committed when the power is lost; the next process finds the lock free, and takes it. What
/// is recorded between is what a store tells that is `early`.
fn power_lost_in_a_commit(early: Early) -> History {
    let (disk, clock) = (SimDisk::new(), ManualClock::new());
    let open = |disk: &SimDisk| {
        let options = StoreOptions::new().clock(Arc::new(clock.clone()));
        options.open_backend(disk.backend()).expect("the store opens")
    };
    let store = open(&disk);
    let recorder = Recorder::new(clock.clone());
    let (mut first, mut reader) = (recorder.client(), recorder.client());
    let token = hold(&store, &mut first, "first").expect("nobody held it");
    let asked = first.invoked(&key(), &holder("first"), Call::Release { token: Some(token) });
    store.release("k", "first", Some(token)).expect("it is held");
    first.returned(asked, Outcome::Released);
    let next = token.next();
    let held = disk.hold_syncs();
    thread::scope(|scope| {
        let asked_for = first.invoked(&key(), &holder("second"), ACQUIRE);
        let taker = scope.spawn(|| store.lock("k").holder("second").try_acquire());
        while !held.wait_for_sync(Duration::from_secs(1)) {}
        let asked = reader.invoked(&key(), &holder("reader"), Call::Inspect);
        let shown = store.inspect("k").expect("the store serves");
        assert!(shown.is_none(), "{shown:?}");
        let seen = match early {
            Early::Published => vec![(holder("second"), next)],
            Early::Nothing | Early::Answered => Vec::new(),
        };
        reader.returned(asked, Outcome::Holders(seen));
        disk.lose_power();
        let answer = taker.join().expect("the taker does not panic");
        assert!(matches!(answer, Err(AcquireError::Store(_))), "{answer:?}");
        if early == Early::Answered {
            first.returned(asked_for, Outcome::Granted { token: next, valid_until: None });
        }
    });
    drop((first, store));
    let store = open(&disk.after_power_loss(&PowerLoss::nothing_unsynced()));
    hold(&store, &mut reader, "third").expect("the grant that was not committed is gone");
    recorder.history()
}

#[test]
fn a_waiter_that_is_not_woken_is_noticed() {
    judge(&hand_off(true), 0);
    let violation = Checker::new().check(&hand_off(false)).unwrap_err();
    assert_eq!(violation.rule, Rule::LostWaiter, "{violation}");
}

/// A lock is released while somebody waits for it, who is told of it or not.
fn hand_off(tells: bool) -> History {
    let clock = ManualClock::new();
    let options = StoreOptions::new().clock(Arc::new(clock.clone()));
    let store = options.open_in_memory().expect("the store opens");
    let recorder = Recorder::new(clock.clone());
    let (mut first, mut second) = (recorder.client(), recorder.client());
    let token = hold(&store, &mut first, "first").expect("nobody held it");
    let waits = Call::Acquire { mode: Mode::Exclusive, ttl: None, wait: Wait::Forever };
    let asked = second.invoked(&key(), &holder("second"), waits);
    let mut waiter = store.lock("k").holder("second").acquire_async();
    assert!(poll_once(&mut waiter).is_pending());
    while store.inspect("k").expect("the store serves").is_some_and(|lock| lock.waiters == 0) {
        thread::yield_now();
    }
    let released = first.invoked(&key(), &holder("first"), Call::Release { token: Some(token) });
    store.release("k", "first", Some(token)).expect("it is held");
    first.returned(released, Outcome::Released);
    let guard = block_on(waiter).expect("it is handed on");
    if tells {
        let outcome = Outcome::Granted { token: guard.token(), valid_until: guard.valid_until() };
        second.returned(asked, outcome);
    }
    clock.advance(Duration::from_secs(10));
    recorder.history()
}

fn hold(store: &Store, client: &mut Client, name: &str) -> Option<Token> {
    let asked = client.invoked(&key(), &holder(name), ACQUIRE);
    let guard = store.lock("k").holder(name).try_acquire().ok()?.leak();
    client.returned(asked, Outcome::Granted { token: guard.token, valid_until: None });
    Some(guard.token)
}

const ACQUIRE: Call = Call::Acquire { mode: Mode::Exclusive, ttl: None, wait: Wait::No };

fn key() -> Key {
    Key::new("k").expect("a key")
}

fn holder(name: &str) -> Holder {
    Holder::new(name).expect("a holder")
}
