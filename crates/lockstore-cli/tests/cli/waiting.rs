//! Commands that wait for a lock: first come, first served, across processes.

use std::os::unix::process::ExitStatusExt;

use lockstore::{EventKind, Store, Subscription};
use rustix::process::{Signal, kill_process};

use crate::support::{DEFAULT_SIGNALS, PROGRAM, Running, Sandbox, stderr, stdout, wait_until};

/// Waits until so many wait.
fn waiters(store: &Store, count: usize) {
    wait_until("they wait", || store.stats().unwrap().waiters == count);
}

/// Whom the lock was granted to, one after the other, until that is `last`.
fn holders_until(last: &str, events: &Subscription) -> Vec<String> {
    let mut holders = Vec::new();
    while holders.last().is_none_or(|holder| holder != last) {
        if let EventKind::Granted { holder, .. } = events.recv().unwrap().kind {
            holders.push(holder.to_string());
        }
    }
    holders
}

#[test]
fn commands_that_wait_get_the_lock_in_the_order_in_which_they_came() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    let held = store.lock("k").acquire().unwrap();
    let names: Vec<_> = (0..10).map(|i| format!("h{i}")).collect();
    let start = |(count, name): (usize, &String)| {
        let waiting = sandbox.start(&["acquire", "k", "--holder", name]);
        waiters(&store, count + 1);
        waiting
    };
    let waiting: Vec<_> = names.iter().enumerate().map(start).collect();
    held.release().unwrap();
    let mut last_token = 0;
    for (name, waiting) in names.iter().zip(waiting) {
        assert!(store.is_lock_holder("k", name).unwrap(), "{name} is next");
        let told = stdout(&waiting.ended());
        let (token, holder) = told.trim().split_once('\t').unwrap();
        let token: u64 = token.parse().unwrap();
        assert!(holder == name && token > last_token, "{told}");
        last_token = token;
        store.release("k", name, None).unwrap();
    }
}

#[test]
fn runs_acquirers_and_programs_stand_in_one_queue() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    let events = store.subscribe("k").unwrap();
    let held = store.lock("k").holder("first").acquire().unwrap();
    let run = |name| sandbox.start(&["run", "k", "--holder", name, "--", "true"]);
    let a = run("a");
    waiters(&store, 1);
    let b = sandbox.start(&["acquire", "k", "--holder", "b"]);
    waiters(&store, 2);
    let program = sandbox.connect();
    let c = std::thread::spawn(move || program.lock("k").holder("c").acquire().unwrap().release());
    waiters(&store, 3);
    let free = sandbox.start(&["wait", "k"]);
    waiters(&store, 4);
    let d = run("d");
    waiters(&store, 5);

    held.release().unwrap();
    assert_eq!(holders_until("b", &events), ["first", "a", "b"]);
    assert_eq!(b.ended().status.code(), Some(0));
    waiters(&store, 3);
    store.release("k", "b", None).unwrap();
    assert_eq!(holders_until("d", &events), ["c", "d"]);
    c.join().unwrap().unwrap();
    for waiting in [a, d, free] {
        let output = waiting.ended();
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    }
}

#[test]
fn a_lock_that_is_held_without_a_server_is_waited_for_at_one_that_is_started() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "somebody"]);
    assert!(!sandbox.path("locks.redb.sock").exists(), "what is free needs no server");
    let waiting = sandbox.start(&["acquire", "k", "--holder", "next"]);
    let free = sandbox.start(&["wait", "k"]);
    let store = sandbox.connect();
    waiters(&store, 2);
    sandbox.ok(&["release", "k", "--holder", "somebody"]);
    assert_eq!(waiting.ended().status.code(), Some(0));
    waiters(&store, 1);
    sandbox.ok(&["release", "k", "--holder", "next"]);
    assert_eq!(free.ended().status.code(), Some(0));
    drop(store);
    sandbox.open().close().unwrap();
}

#[test]
fn waits_go_on_at_the_next_server() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    sandbox.ok(&["acquire", "k", "--holder", "somebody"]);
    let waiting = sandbox.start(&["run", "k", "--", "true"]);
    let free = sandbox.start(&["wait", "k"]);
    for _ in 0..2 {
        waiters(&store, 2);
        kill_process(sandbox.server(), Signal::KILL).unwrap();
    }
    waiters(&store, 2);
    sandbox.ok(&["release", "k", "--holder", "somebody"]);
    assert_eq!((waiting.ended().status.code(), free.ended().status.code()), (Some(0), Some(0)));
}

#[test]
fn nobody_waits_longer_than_is_wanted() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    let _held = store.lock("k").holder("somebody").acquire().unwrap();
    for wait in ["0", "30ms"] {
        let words = ["\"k\" was not acquired", "it is held by \"somebody\""];
        sandbox.fails_with(1, &["acquire", "k", "--wait", wait], &words);
        sandbox.fails_with(121, &["run", "k", "--wait", wait, "--", "true"], &words);
        let words = ["\"k\" has not become free", "it is held by \"somebody\""];
        sandbox.fails_with(1, &["wait", "k", "--timeout", wait], &words);
    }
    waiters(&store, 0);
}

#[test]
fn who_is_told_to_end_while_it_waits_leaves_no_waiter() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    let held = store.lock("k").acquire().unwrap();
    for arguments in [&["run", "k", "--", "true"][..], &["acquire", "k"], &["wait", "k"]] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::KILL, 137)] {
            let mut command = sandbox.command_under(&DEFAULT_SIGNALS, arguments);
            let waiting = Running::start(&mut command);
            waiters(&store, 1);
            waiting.signal(signal);
            let status = waiting.ended().status;
            // As a shell has it.
            let ended = status.code().or_else(|| Some(128 + status.signal()?));
            assert_eq!(ended, Some(code), "{arguments:?}");
            waiters(&store, 0);
        }
    }
    held.release().unwrap();
    assert_eq!(store.list("", None, 10).unwrap(), []);
}

#[test]
fn a_signal_that_comes_with_the_grant_leaves_no_lock_that_nobody_knows_of() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    for round in 0..40 {
        let held = store.lock("k").holder("first").acquire().unwrap();
        let acquire = ["acquire", "k", "--holder", "second"];
        let mut command = sandbox.command_under(&DEFAULT_SIGNALS, &acquire);
        let waiting = Running::start(&mut command);
        waiters(&store, 1);
        if round % 2 == 0 {
            waiting.signal(Signal::TERM);
            held.release().unwrap();
        } else {
            held.release().unwrap();
            waiting.signal(Signal::TERM);
        }
        let output = waiting.ended();
        match output.status.code() {
            Some(0) => store.release("k", "second", None).unwrap(),
            // The server hands it on a moment after it has heard of the end.
            Some(143) => wait_until("it is free", || !store.is_locked("k").unwrap()),
            code => panic!("{code:?}: {}", stderr(&output)),
        }
    }
}

#[test]
fn a_run_waits_for_its_own_holder_without_a_place_in_the_queue() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    let held = store.lock("k").holder("me").acquire().unwrap();
    let run = ["run", "k", "--holder", "me", "--", "sh", "-c", "echo $LOCKSTORE_TOKEN"];
    let mut command = sandbox.command(&run);
    let mut again = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    again.logged("waiting");
    let before = held.token();
    held.release().unwrap();
    let token: u64 = stdout(&again.ended()).trim().parse().unwrap();
    assert!(token > before.get());
    let refused = ["acquire", "k", "--holder", "me", "--wait", "0"];
    let twice = ["run", "k", "--holder", "me", "--", PROGRAM];
    let twice = [&twice[..], &refused].concat();
    sandbox.fails_with(1, &twice, &["\"me\"", "\"k\""]);
}
