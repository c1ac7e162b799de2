//! `acquire`, `release`, `renew` and `wait`, as scripts use them.

use crate::support::{Running, Sandbox, read, stderr, stdout};

#[test]
fn what_acquire_prints_is_what_release_asks_for() {
    let sandbox = Sandbox::new();
    let script = "set -e
        grant=$($LOCKSTORE acquire deploy --ttl 10m) || exit
        set -- $grant; token=$1 holder=$2
        $LOCKSTORE renew deploy --holder \"$holder\" --token \"$token\"
        $LOCKSTORE release deploy --holder \"$holder\" --token \"$token\"
        $LOCKSTORE ls";
    let output = sandbox.shell(script);
    assert_eq!(stdout(&output), "10m\n", "{}", stderr(&output));
    assert!(output.status.success());
}

#[test]
fn two_that_name_no_holder_do_not_share_a_lock() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k"]);
    sandbox.fails_with(1, &["acquire", "k", "--wait", "0"], &["\"k\" was not acquired", "held by"]);
    sandbox.fails_with(1, &["acquire", "k", "--wait", "30ms"], &["in 30ms"]);
}

#[test]
fn a_holder_that_acquires_again_gets_the_same_grant() {
    let sandbox = Sandbox::new();
    let first = sandbox.ok(&["acquire", "k", "--holder", "me"]);
    assert_eq!(sandbox.ok(&["acquire", "k", "--holder", "me", "--wait", "0"]), first);
    let shared = ["acquire", "k", "--holder", "me", "--shared", "--wait", "0"];
    sandbox.fails_with(1, &shared, &["\"me\" holds \"k\" already, in exclusive mode"]);
}

#[test]
fn shared_holders_stand_beside_each_other_and_not_beside_an_exclusive_one() {
    let sandbox = Sandbox::new();
    for holder in ["a", "b"] {
        sandbox.ok(&["acquire", "k", "--holder", holder, "--shared", "--wait", "0"]);
    }
    sandbox.fails(1, &["acquire", "k", "--holder", "c", "--wait", "0"]);
    sandbox.ok(&["release", "k", "--holder", "a"]);
    sandbox.ok(&["release", "k", "--holder", "b"]);
    sandbox.ok(&["acquire", "k", "--holder", "c", "--wait", "0"]);
}

#[test]
fn release_leaves_alone_what_it_was_not_asked_for() {
    let sandbox = Sandbox::with_store();
    sandbox.fails_with(1, &["release", "k", "--holder", "me"], &["nobody holds \"k\""]);
    let line = sandbox.ok(&["acquire", "k", "--holder", "me"]);
    let token = line.split('\t').next().unwrap();
    let other = (token.parse::<u64>().unwrap() + 1).to_string();
    sandbox.fails_with(1, &["release", "k", "--holder", "you"], &["\"you\"", "\"me\""]);
    sandbox.fails_with(1, &["release", "k", "--holder", "me", "--token", &other], &[token]);
    sandbox.ok(&["release", "k", "--holder", "me", "--token", token]);
    sandbox.fails(1, &["release", "k", "--holder", "me", "--token", token]);
}

#[test]
fn renew_begins_a_lease_anew_and_revives_nothing() {
    let sandbox = Sandbox::with_store();
    let renew = ["renew", "k", "--holder", "me"];
    sandbox.fails_with(1, &renew, &["\"me\" does not hold \"k\" any more"]);
    sandbox.ok(&["acquire", "k", "--holder", "me"]);
    assert_eq!(sandbox.ok(&renew), "no end\n");
    assert_eq!(sandbox.ok(&["renew", "k", "--holder", "me", "--ttl", "1h"]), "1h\n");
    let renewed = sandbox.json(&["renew", "k", "--holder", "me", "--json"]);
    assert_eq!(renewed["ttl_seconds"], 3600.0);
    let by_you = ["renew", "k", "--holder", "you"];
    sandbox.fails_with(1, &by_you, &["\"you\" does not hold \"k\" any more; it is held by \"me\""]);
    let other = ["renew", "k", "--holder", "me", "--token", "77"];
    sandbox.fails(1, &other);
}

#[test]
fn wait_ends_when_the_lock_is_free() {
    let sandbox = Sandbox::with_store();
    sandbox.ok(&["wait", "k"]);
    sandbox.ok(&["acquire", "k", "--holder", "me"]);
    sandbox.fails_with(1, &["wait", "k", "--timeout", "0"], &["\"k\" has not become free", "me"]);
    sandbox.fails(1, &["wait", "k", "--timeout", "30ms"]);
    let mut command = sandbox.command(&["wait", "k"]);
    let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("waiting");
    sandbox.ok(&["release", "k", "--holder", "me"]);
    assert_eq!(waiting.ended().status.code(), Some(0));
}

#[test]
fn a_lease_ends_by_itself() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "me", "--ttl", "100ms"]);
    sandbox.ok(&["wait", "k"]);
    sandbox.fails(1, &["renew", "k", "--holder", "me"]);
}

#[test]
fn json_of_a_grant_has_what_a_program_needs() {
    let sandbox = Sandbox::new();
    let grant = sandbox.json(&["acquire", "k", "--holder", "me", "--ttl", "10m", "--json"]);
    assert_eq!(grant["key"], "k");
    assert_eq!(grant["holder"], "me");
    assert_eq!(grant["mode"], "exclusive");
    assert_eq!(grant["ttl_seconds"], 600.0);
    assert!(grant["token"].is_u64());
    assert!(grant["valid_until"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_lock_that_nobody_is_told_of_is_released_again() {
    let sandbox = Sandbox::with_store();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = sandbox.command(&["acquire", "k"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains("the output could not be written"), "{}", stderr(&output));
    assert_eq!(sandbox.ok(&["ls"]), "");
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let sandbox = Sandbox::with_store();
    let script = "$LOCKSTORE ls --json 2> told | true; $LOCKSTORE show k 2>&-; echo $? >> told";
    sandbox.shell(script);
    assert_eq!(read(sandbox.path("told")), "1\n");
}
