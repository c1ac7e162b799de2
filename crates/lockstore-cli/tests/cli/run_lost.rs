//! `lockstore run` when the lock is lost while the command runs.

use rustix::process::{Signal, kill_process};

use crate::support::{Sandbox, stderr, wait_until};

#[test]
fn a_command_whose_lock_is_broken_is_ended_at_once() {
    let sandbox = Sandbox::new();
    // There is no renewal by which it could find out.
    let run = ["run", "k", "--ttl", "none", "--", "sh", "-c", "echo ready; exec sleep 1000"];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    let store = sandbox.connect();
    let successor = sandbox.start(&["acquire", "k", "--holder", "successor"]);
    wait_until("it waits", || store.stats().unwrap().waiters == 1);
    sandbox.ok(&["break", "k", "--reason", "maintenance"]);
    assert_eq!(successor.ended().status.code(), Some(0));
    let output = run.ended();
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(122), "{stderr}");
    for words in [
        "the lock of \"k\" (token ",
        ") was lost: it was broken (maintenance)",
        "it is held by \"successor\"",
        "the lock was lost before the command was ended by SIGTERM",
    ] {
        assert!(stderr.contains(words), "{words:?} in {stderr}");
    }
    assert!(store.is_lock_holder("k", "successor").unwrap(), "who got it keeps it");
}

#[test]
fn a_lock_that_is_broken_before_its_command_has_started_is_lost_all_the_same() {
    let sandbox = Sandbox::new();
    let store = sandbox.connect();
    for _ in 0..5 {
        let held = store.lock("k").holder("first").acquire().unwrap();
        // There is no renewal by which it could find out.
        let run = ["run", "k", "--holder", "second", "--ttl", "none", "--", "sleep", "1000"];
        let run = sandbox.start(&run);
        wait_until("it waits", || store.stats().unwrap().waiters == 1);
        // It reads of the grant when that is over.
        run.signal(Signal::STOP);
        held.release().unwrap();
        let granted = store.inspect("k").unwrap().unwrap().holders[0].clone();
        assert_eq!(granted.holder.as_str(), "second");
        store.break_lock("k", granted.token, "maintenance").unwrap();
        run.signal(Signal::CONT);
        let output = run.ended();
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(122), "{stderr}");
        assert!(stderr.contains("was lost: it was broken (maintenance)"), "{stderr}");
    }
}

#[test]
fn a_command_that_does_not_end_is_killed_after_its_grace() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let run = ["run", "k", "--grace", "100ms", "--", "sh", "-c", script];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    sandbox.ok(&["break", "k"]);
    let output = run.ended();
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(122), "{stderr}");
    assert!(stderr.contains("the command was ended by SIGKILL"), "{stderr}");
}

#[test]
fn a_command_that_ends_at_the_same_time_is_told_of_all_the_same() {
    let sandbox = Sandbox::new();
    let script = "trap '' TERM; $LOCKSTORE break k >&2";
    let output = sandbox.output(&["run", "k", "--", "sh", "-c", script]);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(122), "{stderr}");
    assert!(stderr.contains("was lost: it was broken"), "{stderr}");
    assert!(stderr.contains("nobody holds it now"), "{stderr}");
    assert!(stderr.contains("the command exited with code 0"), "{stderr}");
}

#[test]
fn a_lock_without_end_can_be_lost_too() {
    let sandbox = Sandbox::new();
    let script = "$LOCKSTORE break k >&2; exit 3";
    let output = sandbox.output(&["run", "k", "--ttl", "none", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(122), "{}", stderr(&output));
}

#[test]
fn a_command_does_not_run_on_when_its_lease_cannot_be_renewed() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--ttl", "9s", "--", "sh", "-c", "echo ready; exec sleep 1000"];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    let server = sandbox.server();
    kill_process(server, Signal::STOP).unwrap();
    let output = run.ended();
    let stderr = stderr(&output);
    kill_process(server, Signal::KILL).unwrap();
    assert_eq!(output.status.code(), Some(122), "{stderr}");
    assert!(stderr.contains("the lease could not be renewed in time"), "{stderr}");
    let why = format!("process {}, which listens on", server.as_raw_nonzero());
    assert!(stderr.contains(&why) && stderr.contains("does not answer"), "{stderr}");
}

#[test]
fn a_lock_that_cannot_be_released_is_a_store_error() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--store-timeout", "1s", "--", "sh", "-c", "echo ready; read line"];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    let server = sandbox.server();
    kill_process(server, Signal::STOP).unwrap();
    run.go_on();
    let output = run.ended();
    let stderr = stderr(&output);
    kill_process(server, Signal::KILL).unwrap();
    assert_eq!(output.status.code(), Some(123), "{stderr}");
    assert!(stderr.contains("the lock could not be released"), "{stderr}");
    assert!(stderr.contains("the command exited with code 1"), "{stderr}");
    assert!(!sandbox.open().is_locked("k").unwrap(), "it has ended with the run all the same");
}
