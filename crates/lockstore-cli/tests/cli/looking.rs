//! `ls`, `show`, `break`, `audit`, `check`, `stats`, `backup` and `compact`.

use std::fs;

use serde_json::Value;

use crate::support::{Running, Sandbox, stdout, wait_until};

#[test]
fn ls_lists_what_is_held() {
    let sandbox = Sandbox::with_store();
    assert_eq!(sandbox.ok(&["ls"]), "", "nothing is held");
    assert_eq!(sandbox.json(&["ls", "--json"]), serde_json::json!({ "locks": [] }));
    sandbox.ok(&["acquire", "b/2", "--holder", "ada", "--ttl", "1h"]);
    sandbox.ok(&["acquire", "a/1", "--holder", "bob", "--shared"]);
    sandbox.ok(&["acquire", "a/1", "--holder", "eve", "--shared"]);
    let table = sandbox.ok(&["ls"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["KEY", "MODE", "HOLDER", "TOKEN", "HELD", "FOR", "TIME", "LEFT"]);
    assert_eq!(lines[1][..3], ["a/1", "shared", "bob"]);
    assert_eq!(lines[2][..3], ["a/1", "shared", "eve"]);
    assert_eq!(lines[3][..3], ["b/2", "exclusive", "ada"]);
    assert_eq!(lines[2][lines[2].len() - 2..], ["no", "end"]);
    let held_for =
        table.lines().map(|l| l.find("no end").or(l.find("TIME LEFT")).or(l.rfind("59m")));
    assert_eq!(held_for.clone().min(), held_for.max(), "the columns line up: {table}");
    assert!(sandbox.ok(&["ls", "b"]).lines().nth(1).unwrap().starts_with("b/2"));
    assert_eq!(sandbox.ok(&["ls", "c"]), "");

    let json = sandbox.json(&["ls", "a/", "--json"]);
    assert_eq!(json["locks"][0]["key"], "a/1");
    assert_eq!(json["locks"][0]["mode"], "shared");
    assert_eq!(json["locks"][0]["holders"][1]["holder"], "eve");
    assert!(json["locks"][0]["holders"][1]["expires_at"].is_null());
    let json = sandbox.json(&["ls", "b", "--json"]);
    let ada = &json["locks"][0]["holders"][0];
    assert_eq!(ada["ttl_seconds"], 3600.0);
    assert!(ada["remaining_seconds"].as_f64().unwrap() <= 3600.0);
    assert!(ada["expires_at"].as_str().unwrap() > ada["since"].as_str().unwrap());
}

#[test]
fn ls_lists_more_than_a_page() {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    for i in 0..2_001 {
        store.lock(&format!("lock/{i:04}")).try_acquire().unwrap().leak();
    }
    store.close().unwrap();
    let table = sandbox.ok(&["ls", "lock/"]);
    let keys = table.lines().skip(1).map(|line| line.split(' ').next().unwrap());
    assert!(keys.eq((0..2_001).map(|i| format!("lock/{i:04}"))));
}

#[test]
fn what_a_terminal_would_obey_is_escaped_for_people_only() {
    let sandbox = Sandbox::new();
    let (key, holder) = ("red\u{1b}[31m", "two\nlines");
    sandbox.ok(&["acquire", key, "--holder", holder]);
    for command in [&["ls"][..], &["show", key]] {
        let text = sandbox.ok(command);
        assert!(text.contains("red\\u{1b}[31m") && text.contains("two\\nlines"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    let json = sandbox.json(&["show", key, "--json"]);
    assert_eq!((&json["key"], &json["holders"][0]["holder"]), (&key.into(), &holder.into()));
}

#[test]
fn show_tells_of_one_lock() {
    let sandbox = Sandbox::with_store();
    sandbox.fails_with(1, &["show", "k"], &["nobody holds \"k\""]);
    sandbox.fails(1, &["show", "k", "--json"]);
    sandbox.ok(&["acquire", "k", "--holder", "ada", "--ttl", "10m"]);
    let text = sandbox.ok(&["show", "k"]);
    for line in ["key        k", "mode       exclusive", "holder     ada", "TTL        10m"] {
        assert!(text.lines().any(|found| found == line), "{line:?} in {text}");
    }
    assert_eq!(sandbox.json(&["show", "k", "--json"])["holders"][0]["holder"], "ada");
}

#[test]
fn break_takes_a_lock_and_leaves_a_record() {
    let sandbox = Sandbox::with_store();
    sandbox.fails_with(1, &["break", "k"], &["nobody holds \"k\""]);
    assert_eq!(sandbox.ok(&["audit"]), "");
    let line = sandbox.ok(&["acquire", "k", "--holder", "ada"]);
    let token = line.split('\t').next().unwrap();
    let told = sandbox.ok(&["break", "k", "--reason", "ada is gone"]);
    assert_eq!(told, format!("took \"k\" from \"ada\", which had token {token}\n"));
    sandbox.fails(1, &["show", "k"]);
    let audit = sandbox.json(&["audit", "--json"]);
    assert_eq!(audit["breaks"][0]["number"], 1);
    assert_eq!(audit["breaks"][0]["holder"], "ada");
    assert_eq!(audit["breaks"][0]["reason"], "ada is gone");
    assert!(sandbox.ok(&["audit"]).lines().nth(1).unwrap().ends_with("ada is gone"));
}

#[test]
fn break_never_hits_a_successor() {
    let sandbox = Sandbox::new();
    let line = sandbox.ok(&["acquire", "k", "--holder", "ada"]);
    let old = line.split('\t').next().unwrap();
    sandbox.ok(&["release", "k", "--holder", "ada"]);
    sandbox.ok(&["acquire", "k", "--holder", "bob"]);
    sandbox.fails_with(1, &["break", "k", "--token", old], &["bob"]);
    assert_eq!(sandbox.json(&["show", "k", "--json"])["holders"][0]["holder"], "bob");
    assert_eq!(sandbox.ok(&["audit"]), "");
}

#[test]
fn break_takes_a_shared_lock_from_all() {
    let sandbox = Sandbox::new();
    for holder in ["a", "b", "c"] {
        sandbox.ok(&["acquire", "k", "--holder", holder, "--shared"]);
    }
    let token = sandbox.json(&["show", "k", "--json"])["holders"][1]["token"].to_string();
    let broken = sandbox.json(&["break", "k", "--token", &token, "--json"]);
    assert_eq!(broken["breaks"][0]["holder"], "b");
    let told = sandbox.ok(&["break", "k"]);
    assert_eq!(told.lines().count(), 2, "{told}");
    let holders = |limit: &str, before: &str| {
        let audit = sandbox.json(&["audit", "--json", "--limit", limit, "--before", before]);
        let breaks = audit["breaks"].as_array().unwrap().clone();
        breaks.iter().map(|b| b["holder"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(holders("100", "4"), ["c", "a", "b"], "the newest first");
    assert_eq!(holders("1", "3"), ["a"]);
}

#[test]
fn check_and_stats_tell_of_the_store() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k"]);
    sandbox.ok(&["acquire", "l"]);
    sandbox.ok(&["break", "l"]);
    assert_eq!(sandbox.ok(&["check"]), "sound: 1 grants and 1 breaks were compared\n");
    let check = sandbox.json(&["check", "--json"]);
    let sound =
        serde_json::json!({ "sound": true, "grants": 1, "audit_records": 1, "problems": [] });
    assert_eq!(check, sound);
    let stats = sandbox.json(&["stats", "--json"]);
    assert_eq!(stats["path"], sandbox.store().to_str().unwrap());
    assert_eq!((&stats["locks"], &stats["audit_records"]), (&1.into(), &1.into()));
    assert!(stats["file_bytes"].as_u64().unwrap() > 0);
    assert_eq!(stats["document_locks"], 0);
    let shown = sandbox.ok(&["stats"]);
    assert!(shown.contains("locks held        1\n"), "{shown}");
    assert!(shown.contains("documents locked  0\n"), "{shown}");
}

#[test]
fn check_lists_what_is_wrong() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k"]);
    sandbox.ok(&["break", "k"]);
    let audit = redb::TableDefinition::<&[u8], &[u8]>::new("audit");
    let db = redb::Database::open(sandbox.store()).unwrap();
    let transaction = db.begin_write().unwrap();
    let key = 1_u64.to_be_bytes();
    transaction.open_table(audit).unwrap().insert(&key[..], &b"no record of ours"[..]).unwrap();
    transaction.commit().unwrap();
    drop(db);
    let output = sandbox.output(&["check"]);
    let stdout = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("row 1 of table audit is damaged"), "{stdout}");
    assert!(stdout.ends_with("not sound: 0 grants and 1 breaks were compared\n"), "{stdout}");
    sandbox.fails_with(4, &["audit"], &["row 1 of table audit is damaged"]);
}

#[test]
fn a_backup_is_a_store() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["acquire", "k", "--holder", "ada"]);
    sandbox.ok(&["backup", "copy.redb"]);
    let copy = fs::read(sandbox.path("copy.redb")).unwrap();
    sandbox.fails_with(4, &["backup", "copy.redb"], &["exists already"]);
    assert_eq!(fs::read(sandbox.path("copy.redb")).unwrap(), copy, "nothing is overwritten");
    sandbox.fails_with(4, &["backup", "missing/copy.redb"], &["make the folder first"]);
    assert!(sandbox.ok(&["ls", "--store", "copy.redb"]).contains("ada"));
}

#[test]
fn compact_gives_room_back() {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    let guards = (0..2_000).map(|i| store.lock(&format!("lock/{i}")).try_acquire().unwrap());
    drop(guards.collect::<Vec<_>>());
    store.close().unwrap();
    let told = sandbox.ok(&["compact"]);
    let bytes: Vec<u64> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(bytes.len() == 2 && bytes[1] < bytes[0], "{told}");
    assert_eq!(sandbox.ok(&["check"]), "sound: 0 grants and 0 breaks were compared\n");
}

#[test]
fn sessions_tells_which_processes_hold_and_wait() {
    let sandbox = Sandbox::with_store();
    assert_eq!(sandbox.ok(&["sessions"]), "");
    assert_eq!(sandbox.json(&["sessions", "--json"])["sessions"].as_array().unwrap().len(), 0);
    let hold = ["run", "k", "--", "sh", "-c", "echo ready; read line"];
    let mut holding = sandbox.start(&hold);
    holding.printed("ready");
    let waiting = sandbox.start(&["run", "k", "--", "true"]);
    let store = sandbox.connect();
    wait_until("it waits", || store.stats().unwrap().waiters == 1);

    let listed = sandbox.json(&["sessions", "--json"]);
    let [holder, waiter] = &listed["sessions"].as_array().unwrap()[..] else {
        panic!("{listed}");
    };
    let pid = |running: &Running| running.pid().as_raw_nonzero().get();
    assert_eq!((&holder["pid"], &waiter["pid"]), (&pid(&holding).into(), &pid(&waiting).into()));
    assert_eq!((&holder["locks"], &holder["waiters"]), (&1.into(), &0.into()));
    assert_eq!((&waiter["locks"], &waiter["waiters"]), (&0.into(), &1.into()));
    assert_eq!(
        (&holder["standing"], &holder["remaining_seconds"]),
        (&"connected".into(), &Value::Null)
    );
    assert!(holder["since"].as_str().unwrap().ends_with('Z'));
    let table = sandbox.ok(&["sessions"]);
    assert!(table.starts_with("PID") && table.lines().count() == 3, "{table}");

    holding.go_on();
    holding.ended();
    assert_eq!(waiting.ended().status.code(), Some(0));
    wait_until("they are gone", || store.sessions().unwrap().is_empty());
}
