//! `lockstore run` when all goes well, and when it cannot begin.

use std::process::Stdio;

use rustix::process::{Signal, kill_process};

use crate::support::{PROGRAM, Running, Sandbox, read, stderr, stdout, wait_until};

#[test]
fn the_exit_code_of_the_command_is_passed_on() {
    let sandbox = Sandbox::new();
    for code in [0, 1, 2, 7, 121, 255] {
        let script = format!("exit {code}");
        let output = sandbox.output(&["run", "k", "--", "sh", "-c", &script]);
        assert_eq!((output.status.code(), &*stderr(&output)), (Some(code), ""));
    }
    assert_eq!(sandbox.ok(&["ls"]), "");
}

#[test]
fn a_command_that_a_signal_ends_gives_128_and_the_signal() {
    let sandbox = Sandbox::new();
    for (signal, code) in [("KILL", 137), ("TERM", 143)] {
        let script = format!("kill -{signal} $$");
        let output = sandbox.output(&["run", "k", "--", "sh", "-c", &script]);
        assert_eq!(output.status.code(), Some(code));
    }
}

#[test]
fn the_command_is_told_what_it_holds() {
    let sandbox = Sandbox::new();
    let script = "echo $LOCKSTORE_KEY $LOCKSTORE_HOLDER; test $LOCKSTORE_TOKEN -gt 0 && cd / && \
                  $LOCKSTORE show $LOCKSTORE_KEY | grep -c \"token *$LOCKSTORE_TOKEN\"";
    let run = ["run", "k", "--holder", "me", "--store", "own.redb", "--", "sh", "-c", script];
    assert_eq!(sandbox.ok(&run), "k me\n1\n");
    assert!(sandbox.path("own.redb").exists());
}

#[test]
fn a_lock_has_a_ttl_unless_none_is_wanted() {
    let sandbox = Sandbox::new();
    let show = |ttl: &[&str]| {
        let mut run = vec!["run", "k"];
        run.extend(ttl);
        run.extend(["--", PROGRAM, "show", "k", "--json"]);
        sandbox.json(&run)["holders"][0]["ttl_seconds"].clone()
    };
    assert_eq!(show(&[]), 60.0);
    assert_eq!(show(&["--ttl", "1h30m"]), 5400.0);
    assert!(show(&["--ttl", "none"]).is_null());
}

#[test]
fn a_command_that_cannot_be_run_is_told_as_a_shell_tells_it() {
    let sandbox = Sandbox::new();
    sandbox.fails_with(127, &["run", "k", "--", "./nothing-here"], &["./nothing-here"]);
    sandbox.fails_with(126, &["run", "k", "--", "/"], &["/ cannot be run"]);
    assert_eq!(sandbox.ok(&["ls"]), "", "and the lock is released");
}

#[test]
fn stdin_and_arguments_reach_the_command_as_they_are() {
    let sandbox = Sandbox::new();
    let mut command =
        sandbox.command(&["run", "k", "--", "printf", "%s|", "--ttl", "a b", "", "--"]);
    assert_eq!(stdout(&command.output().unwrap()), "--ttl|a b||--|");
    let mut command = sandbox.command(&["run", "k", "--", "cat"]);
    let output = command.stdin(Stdio::from(std::fs::File::open("/proc/version").unwrap())).output();
    assert_eq!(stdout(&output.unwrap()), read("/proc/version".into()));
}

#[test]
fn a_lock_that_is_held_is_waited_for_or_not() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "somebody"]);
    let run = |wait| ["run", "k", "--wait", wait, "--", "touch", "ran"];
    sandbox.fails_with(121, &run("0"), &["\"k\" was not acquired: it is held by \"somebody\""]);
    sandbox.fails_with(121, &run("50ms"), &["\"k\" was not acquired in 50ms", "somebody"]);
    assert!(!sandbox.path("ran").exists());

    let mut command = sandbox.command(&run("forever"));
    let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("waiting");
    sandbox.ok(&["release", "k", "--holder", "somebody"]);
    assert_eq!(waiting.ended().status.code(), Some(0));
    assert!(sandbox.path("ran").exists());
}

#[test]
fn two_runs_exclude_each_other() {
    let sandbox = Sandbox::new();
    let script = "for i in 1 2 3; do echo $LOCKSTORE_TOKEN >> log; sleep 0.01; done";
    let run = ["run", "k", "--", "sh", "-c", script];
    let runs: Vec<_> = (0..4).map(|_| sandbox.start(&run)).collect();
    for run in runs {
        let output = run.ended();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let log = read(sandbox.path("log"));
    let tokens: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(tokens.len(), 12);
    assert!(tokens.is_sorted(), "one at a time, and tokens rise: {tokens:?}");
    assert!(tokens.chunks(3).all(|of_one| of_one[0] == of_one[2]), "{tokens:?}");
}

#[test]
fn shared_runs_go_on_side_by_side() {
    let sandbox = Sandbox::new();
    // Each ends only when the other has begun.
    let script =
        |own: &str, other: &str| format!("touch {own}; until test -e {other}; do sleep 0.02; done");
    let start = |script: &str| sandbox.start(&["run", "k", "--shared", "--", "sh", "-c", script]);
    let (a, b) = (start(&script("a", "b")), start(&script("b", "a")));
    assert_eq!((a.ended().status.code(), b.ended().status.code()), (Some(0), Some(0)));
}

#[test]
fn two_runs_of_one_holder_exclude_each_other_too() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--holder", "me", "--wait", "0", "--"];
    let twice = [&run[..], &[PROGRAM], &run[..], &["true"]].concat();
    sandbox.fails_with(121, &twice, &["the same holder, \"me\", has it already"]);
}

#[test]
fn programs_share_the_store_with_a_run_by_its_server_and_have_it_soon_after() {
    let sandbox = Sandbox::new();
    let mut run = sandbox.start(&["run", "k", "--", "sh", "-c", "echo ready; read line"]);
    run.printed("ready");
    let error = lockstore::Store::open(sandbox.store()).unwrap_err();
    assert!(error.to_string().contains("(lockstore)"), "{error}");
    let store = sandbox.connect();
    assert!(store.is_locked("k").unwrap());
    run.go_on();
    assert_eq!(run.ended().status.code(), Some(1), "as `read` has it at the end of its input");
    assert!(!store.is_locked("k").unwrap());
    store.close().unwrap();
    assert!(!sandbox.open().is_locked("k").unwrap());
}

#[test]
fn the_lease_is_renewed_while_the_command_runs() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--ttl", "6s", "--", "sh", "-c", "echo ready; read line; true"];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    let holder = || sandbox.json(&["show", "k", "--json"])["holders"][0].clone();
    let remaining = || holder()["remaining_seconds"].as_f64().unwrap();
    let token = holder()["token"].clone();
    let mut last = remaining();
    for _ in 0..4 {
        wait_until("the lease was renewed", || {
            let before = std::mem::replace(&mut last, remaining());
            last > before
        });
    }
    // Four times a third of the TTL: without the renewals it would have ended.
    assert_eq!(holder()["token"], token);
    run.go_on();
    let output = run.ended();
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
}

#[test]
fn when_run_is_killed_its_lock_is_free_at_once() {
    let sandbox = Sandbox::new();
    // Only the death of the run ends its lock: it has no lease, and its session a long grace.
    let server = sandbox.serve();
    let hold = ["run", "k", "--ttl", "none", "--", "sh", "-c", "echo ready; read line"];
    let mut holding = Running::start(sandbox.command(&hold).stderr(Stdio::null()));
    holding.printed("ready");
    let waiting = sandbox.start(&["run", "k", "--", "true"]);
    let store = sandbox.connect();
    wait_until("it waits", || store.stats().unwrap().waiters == 1);
    holding.signal(Signal::KILL);
    assert_eq!(waiting.ended().status.code(), Some(0));
    drop(store);
    server.stop().unwrap();
}

#[test]
fn a_run_that_is_killed_with_its_server_holds_nothing_either() {
    let sandbox = Sandbox::new();
    let hold = ["run", "k", "--ttl", "none", "--", "sh", "-c", "echo ready; read line"];
    let mut holding = Running::start(sandbox.command(&hold).stderr(Stdio::null()));
    holding.printed("ready");
    let server = sandbox.server();
    holding.signal(Signal::STOP);
    kill_process(server, Signal::KILL).unwrap();
    holding.signal(Signal::KILL);
    sandbox.ok(&["run", "k", "--", "true"]);
}

#[test]
fn a_run_goes_on_with_the_next_server() {
    let sandbox = Sandbox::new();
    let run = ["run", "k", "--", "sh", "-c", "echo ready; read line; true"];
    let mut run = sandbox.start(&run);
    run.printed("ready");
    let token = || sandbox.json(&["show", "k", "--json"])["holders"][0]["token"].clone();
    let before = token();
    kill_process(sandbox.server(), Signal::KILL).unwrap();
    assert_eq!(token(), before);
    run.go_on();
    let output = run.ended();
    assert_eq!((output.status.code(), &*stderr(&output)), (Some(0), ""));
    assert_eq!(sandbox.ok(&["ls"]), "");
}

#[test]
fn a_run_that_is_stopped_keeps_its_lock_until_its_lease_ends() {
    let sandbox = Sandbox::new();
    let server = sandbox.serve();
    let run = ["run", "k", "--ttl", "6s", "--", "sh", "-c", "echo ready; read line"];
    let mut stopped = sandbox.start(&run);
    stopped.printed("ready");
    stopped.signal(Signal::STOP);
    // It waits for as long as the lease lasts.
    sandbox.ok(&["run", "k", "--", "true"]);
    stopped.signal(Signal::CONT);
    let output = stopped.ended();
    assert_eq!(output.status.code(), Some(122), "{}", stderr(&output));
    server.stop().unwrap();
}
