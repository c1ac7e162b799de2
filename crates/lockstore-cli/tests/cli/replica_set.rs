//! The program with a replica set as its store. All tests share one, so each has keys of its own.

use lockstore_testkit::replica_set::{ReplicaSet, new_database};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Running, Sandbox, stderr, wait_until};

fn sandbox() -> Sandbox {
    Sandbox::with_address(ReplicaSet::shared().uri())
}

#[test]
fn a_lock_goes_from_hand_to_hand() {
    let sandbox = sandbox();
    let line = sandbox.ok(&["acquire", "hand/1", "--holder", "ada", "--ttl", "1h"]);
    let token: u64 = line.split('\t').next().unwrap().parse().unwrap();
    assert_eq!(line, format!("{token}\tada\n"));
    let again = sandbox.json(&["acquire", "hand/1", "--holder", "ada", "--ttl", "1h", "--json"]);
    assert_eq!(again["token"], token, "its holder gets it again");
    sandbox.fails_with(1, &["acquire", "hand/1", "--wait", "0"], &["held by", "ada"]);
    sandbox.fails_with(1, &["wait", "hand/1", "--timeout", "100ms"], &["ada"]);
    assert_eq!(sandbox.ok(&["renew", "hand/1", "--holder", "ada"]), "1h\n");
    let listed = sandbox.json(&["ls", "hand/", "--json"]);
    assert_eq!(listed["locks"][0]["holders"][0]["token"], token);
    assert_eq!(sandbox.json(&["show", "hand/1", "--json"])["mode"], "exclusive");

    let mut waiting = sandbox.command(&["acquire", "hand/1", "--holder", "bob", "--json"]);
    let mut waiting = Running::start(waiting.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("waiting");
    sandbox.ok(&["release", "hand/1", "--holder", "ada", "--token", &token.to_string()]);
    let granted: Value = serde_json::from_slice(&waiting.ended().stdout).unwrap();
    assert!(granted["token"].as_u64() > Some(token), "{granted}");

    let broken = sandbox.ok(&["break", "hand/1", "--reason", "bob is gone"]);
    assert!(broken.contains("bob"), "{broken}");
    let audit = sandbox.json(&["audit", "--json"]);
    let breaks = audit["breaks"].as_array().unwrap();
    assert!(breaks.iter().any(|told| told["reason"] == "bob is gone"), "{audit}");
    sandbox.fails(1, &["release", "hand/1", "--holder", "bob"]);
    assert_eq!(sandbox.ok(&["wait", "hand/1"]), "");
}

#[test]
fn a_command_runs_while_a_lock_is_held() {
    let sandbox = sandbox();
    let mut running =
        sandbox.start(&["run", "run/1", "--", "sh", "-c", "echo up; read -r _; exit 7"]);
    running.printed("up");
    sandbox.fails_with(121, &["run", "run/1", "--wait", "0", "--", "true"], &["held by"]);
    let sessions = sandbox.json(&["sessions", "--json"]);
    let holding = |session: &Value| session["locks"] == 1;
    assert!(sessions["sessions"].as_array().unwrap().iter().any(holding), "{sessions}");
    let ended = running.ended();
    assert_eq!(ended.status.code(), Some(7), "{}", stderr(&ended));
    assert_eq!(
        sandbox
            .ok(&[
                "run",
                "run/1",
                "--",
                "sh",
                "-c",
                "lockstore=$LOCKSTORE; $LOCKSTORE ls run/1 | wc -l"
            ])
            .trim(),
        "2"
    );
    sandbox.fails(1, &["show", "run/1"]);
}

#[test]
fn the_lock_of_a_run_that_is_killed_is_free_when_its_session_is_over() {
    let sandbox = sandbox();
    let running = sandbox.start(&["run", "killed/1", "--ttl", "none", "--", "sleep", "60"]);
    wait_until("it runs", || sandbox.output(&["show", "killed/1"]).status.success());
    running.signal(Signal::KILL);
    let token =
        sandbox.ok(&["run", "killed/1", "--wait", "1m", "--", "sh", "-c", "echo $LOCKSTORE_TOKEN"]);
    assert!(token.trim().parse::<u64>().unwrap() > 0, "{token}");
}

#[test]
fn documents_are_found_and_changed() {
    let sandbox = sandbox();
    let orders = format!("{}.orders", new_database());
    let insert = |document: &str| sandbox.ok(&["doc", "insert", &orders, document]);
    insert("{_id: 1, item: 'tea', price: 3}");
    insert("{_id: 2, item: 'salt', price: 9}");
    sandbox.ok(&["doc", "update", &orders, "{$inc: {price: 1}}", "--filter", "{item: 'tea'}"]);
    let found = sandbox.ok(&["doc", "find", &orders, "--filter", "{price: {$lt: 5}}"]);
    assert_eq!(found, "{\"_id\":1,\"item\":\"tea\",\"price\":4}\n");
    assert_eq!(sandbox.ok(&["doc", "count", &orders]), "2\n");
    sandbox.ok(&["doc", "create-index", &orders, "{price: 1}"]);
    sandbox.ok(&["doc", "delete", &orders, "--filter", "{_id: 2}"]);
    assert_eq!(sandbox.ok(&["doc", "aggregate", &orders, "[{$count: 'n'}]"]), "{\"n\":1}\n");
}

#[test]
fn the_figures_name_the_hosts() {
    let set = ReplicaSet::shared();
    let figures = sandbox().json(&["stats", "--json"]);
    let uri = set.uri();
    let shown = uri.split("/?").next().unwrap();
    assert_eq!(figures["path"], shown);
    assert!(figures["file_bytes"].is_null(), "{figures}");
}

#[test]
fn what_is_about_a_file_says_so() {
    // Nobody is asked: there need not be a replica set.
    let sandbox = Sandbox::with_address("mongodb://user:secret@nowhere.invalid/?replicaSet=rs0");
    for command in [&["check"][..], &["backup", "copy.redb"], &["compact"], &["serve"], &["uri"]] {
        let sentence = sandbox.fails(2, command);
        let expected = format!(
            "`lockstore {}` is about the file of a store, and the store that is named is a replica set",
            command[0]
        );
        assert_eq!(sentence, expected);
    }
    assert!(!sandbox.path("copy.redb").exists());
}

#[test]
fn a_password_is_never_printed() {
    let address = "mongodb://user:secret@127.0.0.1:1/?replicaSet=rs0";
    let sandbox = Sandbox::with_address(address);
    let commands: [&[&str]; 6] = [
        &["--help"],
        &["ls", "--store-timeout", "100ms"],
        &["stats", "--json", "--store-timeout", "100ms"],
        &["run", "k", "--store-timeout", "100ms", "--", "true"],
        &["doc", "find", "a.b", "--store-timeout", "100ms"],
        &["serve"],
    ];
    for command in commands {
        for level in ["off", "trace"] {
            let output = sandbox.command(command).env("LOCKSTORE_LOG", level).output().unwrap();
            let told = [output.stdout, output.stderr].concat();
            let told = String::from_utf8(told).unwrap();
            assert!(!told.contains("secret"), "{told}");
        }
    }
    sandbox.fails_with(4, &["ls", "--store-timeout", "100ms"], &["127.0.0.1:1"]);
    let sentence = sandbox.fails(2, &["ls", "--store", "redis://user:secret@a"]);
    assert!(!sentence.contains("secret"), "{sentence}");
}
