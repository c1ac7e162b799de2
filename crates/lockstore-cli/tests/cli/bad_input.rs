//! Bad input: a sentence that names what is wrong and what was expected, and nothing is changed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use redb::{ReadableDatabase, ReadableTable, TableDefinition};

use crate::support::{Sandbox, stderr, stdout};

#[track_caller]
fn usage(arguments: &[&str], words: &[&str]) {
    let sandbox = Sandbox::new();
    sandbox.fails_with(2, arguments, words);
    assert_eq!(fs::read_dir(sandbox.path("")).unwrap().count(), 0, "nothing was made");
}

#[test]
fn keys_and_holders_have_bounds() {
    let long = "x".repeat(1025);
    for command in [&["acquire"][..], &["show"], &["wait"], &["break"]] {
        usage(&[command, &[""]].concat(), &["\"\" is no <KEY>: a key must not be empty"]);
        let words = ["a key may have at most 1024 bytes; this one has 1025"];
        usage(&[command, &[&*long]].concat(), &words);
    }
    usage(&["run", "", "--", "touch", "ran"], &["a key must not be empty"]);
    for command in [&["acquire", "k"][..], &["release", "k"], &["renew", "k"]] {
        usage(&[command, &["--holder", ""]].concat(), &["a holder must not be empty"]);
        let words = ["a holder may have at most 1024 bytes; this one has 1025"];
        usage(&[command, &["--holder", &long]].concat(), &words);
    }
    let longest = "x".repeat(1024);
    Sandbox::new().ok(&["acquire", &longest, "--holder", &longest]);
}

#[test]
fn times_have_bounds() {
    let expected = "a time is a number and a unit, such as 500ms, 90s, 10m or 1h30m";
    for ttl in ["-1s", "NaN", "nan", "inf", "1e9s", "", "soon", "--shared", "10", "1.2.3s"] {
        usage(&["acquire", "k", "--ttl", ttl], &["--ttl <TIME>", expected]);
        usage(&["run", "k", "--ttl", ttl, "--", "touch", "ran"], &["--ttl <TIME>", expected]);
        usage(&["acquire", "k", "--wait", ttl], &["--wait <TIME>", expected]);
        usage(&["run", "k", "--grace", ttl, "--", "true"], &["--grace <TIME>", expected]);
        usage(&["wait", "k", "--timeout", ttl], &["--timeout <TIME>", expected]);
        usage(&["ls", "--store-timeout", ttl], &["--store-timeout <TIME>", expected]);
    }
    for ttl in ["0", "0s", "0ms"] {
        usage(&["acquire", "k", "--ttl", ttl], &["a TTL must be longer than 0"]);
        usage(&["run", "k", "--ttl", ttl, "--", "true"], &["a TTL must be longer than 0"]);
        usage(&["renew", "k", "--holder", "me", "--ttl", ttl], &["longer than 0"]);
    }
    for ttl in ["3651d", "1000000y"] {
        usage(&["acquire", "k", "--ttl", ttl], &["a TTL may be at most 3650 days"]);
    }
    usage(&["acquire", "k", "--ttl", "99999999999999999999y"], &["beyond what can be counted"]);
}

#[test]
fn command_lines_that_make_no_sense_are_told_of() {
    usage(&[], &["a command is missing", "lockstore --help"]);
    usage(&["runn"], &["'runn'", "'run'"]);
    usage(&["run", "k"], &["CMD", "lockstore run --help"]);
    usage(&["run", "--", "k"], &["KEY", "lockstore run --help"]);
    usage(&["run", "k", "true"], &["'true'"]);
    usage(&["run", "k", "--tll", "1m", "--", "true"], &["'--tll'", "--ttl"]);
    usage(&["release", "k"], &["--holder"]);
    for token in ["0", "-1", "x", "18446744073709551616"] {
        let release = ["release", "k", "--holder", "me", "--token", token];
        usage(&release, &["a token is a whole number from 1 on"]);
    }
    usage(&["audit", "--limit", "-1"], &["--limit"]);
    usage(&["ls", "--store", ""], &["--store"]);
    let long = "x".repeat(1025);
    let sandbox = Sandbox::with_store();
    sandbox.ok(&["acquire", "k"]);
    sandbox.fails_with(2, &["break", "k", "--reason", &long], &["at most 1024 bytes", "1025"]);
    sandbox.ok(&["show", "k"]);
}

#[test]
fn documents_that_make_no_sense_are_told_of() {
    usage(&["doc"], &["a command is missing", "lockstore doc --help"]);
    usage(&["doc", "fnd"], &["'fnd'", "'find'"]);
    for command in [&["find"][..], &["count"], &["get"], &["export"], &["import"], &["indexes"]] {
        let words = format!("lockstore doc {} --help", command[0]);
        usage(&[&["doc"], command].concat(), &["<COLLECTION>", &words]);
    }
    let no_database = ["\"orders\" has no database in front", "DATABASE.orders", "--db"];
    let with_collection: [&[&str]; 8] = [
        &["find", "orders"],
        &["get", "orders", "1"],
        &["insert", "orders", "{}"],
        &["update", "orders", "{$set: {a: 1}}", "--filter", "{}"],
        &["delete", "orders", "--filter", "{}"],
        &["import", "orders", "/dev/null"],
        &["export", "orders", "out"],
        &["create-index", "orders", "{a: 1}"],
    ];
    for command in with_collection {
        usage(&[&["doc"], command].concat(), &no_database);
    }
    let filters = [
        ("{state: 'new' price: 3}", "expected comma, at column 15: \"price: 3}\""),
        ("{state: ", "it ends too early"),
        ("", "it ends too early"),
        ("new", "is no --filter <DOCUMENT>: expected"),
        ("[]", "a document such as {\"a\": 1} was expected, not an array"),
        ("{_id: {$oid: 'xyz'}}", "24-character"),
    ];
    for (filter, words) in filters {
        for command in [&["find", "d.c"][..], &["count", "d.c"], &["delete", "d.c"]] {
            let arguments = [&["doc"], command, &["--filter", filter]].concat();
            usage(&arguments, &["is no --filter <DOCUMENT>", words]);
        }
    }
    usage(&["doc", "insert", "d.c", "{a: 1}", "{a"], &["\"{a\" is no <DOCUMENT>: "]);
    for limit in ["0", "-1", "x", "1.5", "18446744073709551616"] {
        let find = ["doc", "find", "d.c", "--limit", limit];
        usage(&find, &["--limit <N>", "a whole number from 1 on was expected"]);
    }
    usage(&["doc", "find", "d.c", "--skip", "-1"], &["--skip <N>", "a whole number was expected"]);
    usage(&["doc", "import", "d.c", "--mode", "replace"], &["'replace'", "upsert"]);
    usage(&["doc", "create-index", "d.c", "{a: 1}", "--expire-after", "5"], &["it has no unit"]);
    let sandbox = Sandbox::with_store();
    for name in ["d.", ".c", "d.$c", "a b.c"] {
        sandbox.fails_with(2, &["doc", "find", name], &["Invalid namespace"]);
    }
    let deep = format!("{{a: {}1{}}}", "[".repeat(190), "]".repeat(190));
    sandbox.fails(1, &["doc", "insert", "d.c", &deep]);
    sandbox.fails_with(1, &["doc", "find", "d.c", "--filter", "{$where: 'x'}"], &["$where"]);
}

#[test]
fn keys_that_look_like_options_can_be_named_behind_two_dashes() {
    let sandbox = Sandbox::new();
    usage(&["acquire", "--k"], &["'--k'"]);
    sandbox.ok(&["acquire", "--holder", "me", "--", "--k"]);
    sandbox.ok(&["show", "--", "--k"]);
}

#[test]
fn arguments_that_are_no_text_are_refused_where_text_is_needed() {
    let sandbox = Sandbox::new();
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    let words = |before: &[&'static str], after: &[&'static str]| {
        let before = before.iter().map(OsStr::new);
        before.chain([bytes]).chain(after.iter().map(OsStr::new)).map(OsStr::to_owned).collect()
    };
    let refused: [Vec<_>; 3] = [
        words(&["acquire"], &[]),
        words(&["acquire", "k", "--holder"], &[]),
        words(&["run"], &["--", "true"]),
    ];
    for arguments in refused {
        sandbox.fails_with(2, &arguments, &["UTF-8"]);
    }
    let passed_on: Vec<_> = words(&["run", "k", "--", "printf", "%s"], &[]);
    assert_eq!(sandbox.output(&passed_on).stdout, bytes.as_bytes());
    let store: Vec<_> = words(&["acquire", "k", "--store"], &[]);
    assert!(sandbox.output(&store).status.success(), "a path need be no text");
}

#[test]
fn a_log_filter_that_makes_no_sense_is_told_of() {
    let sandbox = Sandbox::with_store();
    let output = sandbox.command(&["ls"]).env("LOCKSTORE_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("lockstore: LOCKSTORE_LOG is \"a=b=c\""));
}

/// Every command answers a store that it cannot use alike: a sentence, and the file stays as it is.
#[track_caller]
fn unusable(sandbox: &Sandbox, path: &Path, words: &[&str]) {
    let before = path.is_file().then(|| fs::read(path).unwrap());
    let store = path.to_str().unwrap();
    let commands: [&[&str]; 5] =
        [&["acquire", "k"], &["ls"], &["check"], &["wait", "k"], &["backup", "copy.redb"]];
    for command in commands {
        sandbox.fails_with(4, &[command, &["--store", store]].concat(), words);
    }
    sandbox.fails_with(123, &["run", "k", "--store", store, "--", "touch", "ran"], words);
    assert!(!sandbox.path("ran").exists() && !sandbox.path("copy.redb").exists());
    let after = path.is_file().then(|| fs::read(path).unwrap());
    assert!(after == before, "the file is as it was");
}

#[test]
fn a_path_that_is_no_file_is_refused() {
    let sandbox = Sandbox::new();
    unusable(&sandbox, &sandbox.path(""), &["is a folder, where a file was expected"]);
    unusable(&sandbox, Path::new("/dev/null"), &["is a device, where a file was expected"]);
    let in_missing = ["acquire", "k", "--store", "missing/locks.redb"];
    sandbox.fails_with(4, &in_missing, &["its folder", "does not exist"]);
    let in_missing = ["run", "k", "--store", "missing/locks.redb", "--", "true"];
    sandbox.fails_with(123, &in_missing, &["its folder", "does not exist"]);
    let under_file = sandbox.path("file");
    File::create(&under_file).unwrap();
    sandbox.fails(4, &["ls", "--store", under_file.join("locks.redb").to_str().unwrap()]);
}

#[test]
fn a_path_that_may_not_be_written_is_refused() {
    // Not even root may write there.
    let path = Path::new("/sys/kernel/uevent_seqnum");
    if !path.exists() {
        return;
    }
    let sandbox = Sandbox::new();
    unusable(&sandbox, path, &["cannot be opened for reading and writing"]);
}

/// Only the user's own processes may get at the socket, so nobody else may put one in its place.
#[test]
fn where_no_server_can_be_is_said_by_who_needs_one() {
    let sandbox = Sandbox::with_store();
    let open_to = |mode| {
        fs::set_permissions(sandbox.path(""), fs::Permissions::from_mode(mode)).unwrap();
    };
    open_to(0o777);
    sandbox.fails_with(123, &["run", "k", "--", "touch", "ran"], &["chmod go-w it"]);
    assert!(!sandbox.path("ran").exists());
    sandbox.ok(&["acquire", "k", "--holder", "me"]);
    sandbox.fails_with(4, &["acquire", "k"], &["chmod go-w it"]);
    sandbox.fails_with(4, &["wait", "k"], &["chmod go-w it"]);
    open_to(0o700);
    sandbox.ok(&["release", "k", "--holder", "me"]);
    sandbox.ok(&["run", "k", "--", "true"]);
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("file");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    unusable(&sandbox, &path, &["is no store", "\"redb"]);
    fs::write(&path, "").unwrap();
    unusable(&sandbox, &path, &["is empty"]);
    let other = sandbox.path("other.redb");
    let table = TableDefinition::<u64, u64>::new("somebody else's");
    let db = redb::Database::create(&other).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.open_table(table).unwrap();
    transaction.commit().unwrap();
    drop(db);
    unusable(&sandbox, &other, &["is a redb file, but no store"]);
}

fn with_locks() -> Sandbox {
    let sandbox = Sandbox::new();
    let store = sandbox.open();
    for i in 0..100 {
        store.lock(&format!("lock/{i}")).try_acquire().unwrap().leak();
    }
    store.close().unwrap();
    sandbox
}

#[test]
fn a_truncated_file_is_refused() {
    for share in [2, 50] {
        let sandbox = with_locks();
        let file = OpenOptions::new().write(true).open(sandbox.store()).unwrap();
        file.set_len(file.metadata().unwrap().len() / share).unwrap();
        unusable(&sandbox, &sandbox.store(), &["damaged"]);
    }
}

#[test]
fn a_file_with_damaged_pages_is_refused() {
    let sandbox = with_locks();
    let bytes = fs::read(sandbox.store()).unwrap();
    let file = OpenOptions::new().write(true).open(sandbox.store()).unwrap();
    let key = b"lock/50";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap();
    let last = bytes.windows(key.len()).rposition(|window| window == key).unwrap();
    for at in [at, last] {
        file.write_all_at(b"lock/xx", u64::try_from(at).unwrap()).unwrap();
    }
    unusable(&sandbox, &sandbox.store(), &["damaged"]);
}

/// Puts `value` under `key` in `table`, behind the store's back.
fn put(sandbox: &Sandbox, table: &str, key: &[u8], value: &[u8]) {
    let table = TableDefinition::<&[u8], &[u8]>::new(table);
    let db = redb::Database::open(sandbox.store()).unwrap();
    let transaction = db.begin_write().unwrap();
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_store_of_a_newer_format_is_refused() {
    let sandbox = with_locks();
    let key = b"format";
    let payload = [&99_u32.to_le_bytes()[..], &[7; 16], &0_u64.to_le_bytes()].concat();
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&[1]);
    checksum.update(&6_u32.to_le_bytes());
    checksum.update(key);
    checksum.update(&payload);
    let value = [&payload[..], &checksum.finalize().to_le_bytes()].concat();
    put(&sandbox, "meta", key, &value);
    unusable(&sandbox, &sandbox.store(), &["has format 99", "reads up to 4"]);
}

#[test]
fn a_store_with_damaged_records_is_refused() {
    let sandbox = with_locks();
    put(&sandbox, "meta", b"token", b"no record of ours");
    unusable(&sandbox, &sandbox.store(), &["row \"token\" of table meta is damaged"]);

    // A grant is read after redb has marked the file as open, so here it is the rows that must not change.
    let sandbox = with_locks();
    put(&sandbox, "grants", &1_u64.to_be_bytes(), b"no record of ours");
    let before = rows(&sandbox);
    let words = ["row 1 of table grants is damaged"];
    sandbox.fails_with(4, &["acquire", "k"], &words);
    sandbox.fails_with(4, &["check"], &words);
    sandbox.fails_with(123, &["run", "k", "--", "touch", "ran"], &words);
    assert!(rows(&sandbox) == before, "the rows are as they were");
}

/// All rows of all tables.
fn rows(sandbox: &Sandbox) -> Vec<(Vec<u8>, Vec<u8>)> {
    let db = redb::Database::open(sandbox.store()).unwrap();
    let transaction = db.begin_read().unwrap();
    let mut rows = Vec::new();
    for table in ["meta", "grants", "audit"] {
        let table = TableDefinition::<&[u8], &[u8]>::new(table);
        for row in transaction.open_table(table).unwrap().iter().unwrap() {
            let (key, value) = row.unwrap();
            rows.push((key.value().to_vec(), value.value().to_vec()));
        }
    }
    rows
}

#[test]
fn closed_pipes_cause_no_panic() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.command(&["--help"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), stdout(&output), stderr(&output)),
        (Some(0), String::new(), String::new())
    );
}
