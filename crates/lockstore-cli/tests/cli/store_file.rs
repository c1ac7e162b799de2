//! Which store is used, and what happens while another process has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Running, Sandbox, stderr, stdout};

#[test]
fn without_a_name_the_store_is_among_the_users_state() {
    let sandbox = Sandbox::new();
    let home = sandbox.path("home");
    let state = sandbox.path("state");
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env_remove("LOCKSTORE_PATH").env_remove("XDG_STATE_HOME").env("HOME", &home);
        command
    };
    let default = home.join(".local/state/lockstore/locks.redb");
    let output = run(&["ls"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = format!("there is no store at {}", default.display());
    assert!(stderr(&output).contains(&said), "{}", stderr(&output));
    assert!(!home.exists(), "looking makes nothing");

    let output = run(&["run", "k", "--", "sh", "-c", "echo $LOCKSTORE_PATH"]).output().unwrap();
    assert_eq!(stdout(&output), format!("{}\n", default.display()));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(default.parent().unwrap()), mode(&default)), (0o700, 0o600));

    let mut with_state = run(&["acquire", "k"]);
    assert!(with_state.env("XDG_STATE_HOME", &state).status().unwrap().success());
    assert!(state.join("lockstore/locks.redb").exists());
    let mut with_state = run(&["show", "k"]);
    let relative = with_state.env("XDG_STATE_HOME", "state").output().unwrap();
    assert_eq!(relative.status.code(), Some(1), "a relative one does not count");

    let output = run(&["ls"]).env_remove("HOME").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--store or LOCKSTORE_PATH"), "{}", stderr(&output));
}

#[test]
fn a_store_that_is_named_wins_over_the_environment() {
    let sandbox = Sandbox::with_store();
    sandbox.ok(&["acquire", "k", "--store", "other.redb"]);
    assert_eq!(sandbox.ok(&["ls"]), "");
    assert_ne!(sandbox.ok(&["--store", "other.redb", "ls"]), "");
}

#[test]
fn only_what_puts_something_in_makes_a_store() {
    let sandbox = Sandbox::new();
    let commands: [&[&str]; 19] = [
        &["release", "k", "--holder", "me"],
        &["renew", "k", "--holder", "me"],
        &["wait", "k"],
        &["ls"],
        &["show", "k"],
        &["sessions"],
        &["break", "k"],
        &["audit"],
        &["check"],
        &["stats"],
        &["backup", "copy.redb"],
        &["compact"],
        &["doc", "find", "d.c"],
        &["doc", "get", "d.c", "1"],
        &["doc", "update", "d.c", "{$set: {a: 1}}", "--filter", "{}", "--upsert"],
        &["doc", "delete", "d.c", "--filter", "{}", "--many"],
        &["doc", "export", "d.c", "out.jsonl"],
        &["doc", "collections"],
        &["doc", "create-index", "d.c", "{a: 1}"],
    ];
    for command in commands {
        sandbox.fails_with(4, command, &["there is no store at", "locks.redb"]);
        let elsewhere = [command, &["--store", "missing/locks.redb"]].concat();
        sandbox.fails_with(4, &elsewhere, &["there is no store at", "missing/locks.redb"]);
    }
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 0, "nothing was made");
    sandbox.ok(&["doc", "import", "d.c", "/dev/null"]);
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 0, "there was nothing to import");
    sandbox.ok(&["run", "k", "--", "true"]);
    assert_eq!(sandbox.ok(&["ls"]), "");
    let sandbox = Sandbox::new();
    sandbox.ok(&["doc", "insert", "d.c", "{}"]);
    assert_eq!(sandbox.ok(&["doc", "count", "d.c"]), "1\n");
}

#[test]
fn who_waits_too_long_for_the_file_is_told_who_has_it() {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    let process = format!("is open in process {}", std::process::id());
    let words = [&*process, "waited 50ms, see --store-timeout"];
    let commands: [&[&str]; 5] =
        [&["ls"], &["acquire", "k", "--wait", "0"], &["wait", "k"], &["break", "k"], &["compact"]];
    for command in commands {
        let command = [command, &["--store-timeout", "50ms"]].concat();
        sandbox.fails_with(4, &command, &words);
    }
    let run = ["run", "k", "--store-timeout", "50ms", "--", "true"];
    sandbox.fails_with(123, &run, &words);
    store.close().unwrap();
}

#[test]
fn a_command_waits_its_turn() {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    let guard = store.lock("k").holder("me").try_acquire().unwrap();
    let mut command = sandbox.command(&["release", "k", "--holder", "me", "--store-timeout", "1h"]);
    let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("in use");
    guard.leak();
    store.close().unwrap();
    assert_eq!(waiting.ended().status.code(), Some(0));
    assert!(!sandbox.open().is_locked("k").unwrap());
}

#[test]
fn many_commands_at_once_get_their_turns() {
    let sandbox = Sandbox::with_store();
    let acquire = |i: usize| {
        let key = format!("k{i}");
        sandbox.start(&["acquire", &key, "--wait", "0", "--store-timeout", "10m"])
    };
    let all: Vec<_> = (0..16).map(acquire).collect();
    for one in all {
        let output = one.ended();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(sandbox.ok(&["ls"]).lines().count(), 17);
}

#[test]
fn a_lease_is_not_prolonged_by_looking_at_it() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--ttl", "300ms"]);
    // Each look opens the store. If that were a restart, the lease would get another five seconds.
    let store = sandbox.open();
    let remaining = store.inspect("k").unwrap().and_then(|lock| lock.holders[0].remaining);
    assert!(remaining.is_none_or(|remaining| remaining <= Duration::from_millis(300)));
    store.close().unwrap();
    sandbox.ok(&["wait", "k"]);
}
