//! `doc import` and `doc export`.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use lockstore::bson::{RawDocumentBuf, rawdoc};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::json;

use crate::support::{Sandbox, read, stderr, stdout};

/// A document of each type, as a specification of ours and not of the code: canonical Extended JSON.
const EVERY_TYPE: &str = concat!(
    r#"{"_id":{"$oid":"65f0c0ffee65f0c0ffee65f0"},"double":{"$numberDouble":"0.1"},"inf":{"$numberDouble":"-Infinity"},"#,
    r#""text":"tab\t, ü 🔒","doc":{"a":{"b":{}},"a.b":{"$numberInt":"1"}},"array":[[],{"$numberLong":"1"},null],"#,
    r#""binary":{"$binary":{"base64":"AP8=","subType":"00"}},"uuid":{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"04"}},"#,
    r#""undefined":{"$undefined":true},"yes":true,"date":{"$date":{"$numberLong":"-1"}},"null":null,"#,
    r#""regex":{"$regularExpression":{"pattern":"^a/\"","options":"im"}},"#,
    r#""pointer":{"$dbPointer":{"$ref":"d.c","$id":{"$oid":"000000000000000000000001"}}},"#,
    r#""code":{"$code":"f()"},"symbol":{"$symbol":"s"},"scoped":{"$code":"f()","$scope":{"x":{"$numberInt":"1"}}},"#,
    r#""int":{"$numberInt":"-5"},"timestamp":{"$timestamp":{"t":4294967295,"i":1}},"long":{"$numberLong":"9007199254740993"},"#,
    r#""decimal":{"$numberDecimal":"1.50"},"min":{"$minKey":1},"max":{"$maxKey":1}}"#,
    "\n",
);

#[test]
fn every_type_comes_through() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("in.jsonl"), EVERY_TYPE).unwrap();
    assert_eq!(sandbox.ok(&["doc", "import", "d.a", "in.jsonl"]), "inserted 1, failed 0\n");
    let export = ["doc", "export", "d.a", "out.jsonl", "--canonical"];
    assert_eq!(sandbox.ok(&export), "exported 1\n");
    assert_eq!(read(sandbox.path("out.jsonl")), EVERY_TYPE);
    sandbox.ok(&["doc", "import", "d.b", "out.jsonl"]);
    let store = sandbox.open();
    let one =
        |name| store.database("d").collection::<RawDocumentBuf>(name).find_one(rawdoc! {}).run();
    assert_eq!(one("b").unwrap(), one("a").unwrap());
    assert!(one("a").unwrap().is_some());
    store.close().unwrap();
}

#[test]
fn an_export_can_be_filtered_sorted_and_compared() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["doc", "insert", "d.c", "{_id: 2, n: 1}", "{_id: 1, n: 1}", "{_id: 3, n: 2}"]);
    let filtered = [
        "doc",
        "export",
        "d.c",
        "--filter",
        "{n: 1}",
        "--sort",
        "{_id: 1}",
        "--projection",
        "{n: 0}",
    ];
    assert_eq!(sandbox.ok(&filtered), "{\"_id\":1}\n{\"_id\":2}\n");
    fs::write(sandbox.path("out"), "old").unwrap();
    sandbox.fails(1, &["doc", "export", "d.c", "out", "--filter", "{$n: 1}"]);
    assert_eq!(
        read(sandbox.path("out")),
        "old",
        "what is there stays until the new one is complete"
    );
    assert_eq!(sandbox.ok(&["doc", "export", "d.c", "out", "--skip", "2"]), "exported 1\n");
    assert_eq!(read(sandbox.path("out")), "{\"_id\":3,\"n\":2}\n");
    let mode = fs::metadata(sandbox.path("out")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is as private as the store");
    assert_eq!(sandbox.ok(&["doc", "export", "d.none", "none"]), "exported 0\n");
    sandbox.fails_with(4, &["doc", "export", "d.c", "no/out"], &["its folder no does not exist"]);
    sandbox.fails_with(4, &["doc", "export", "d.c", "/dev/null"], &["/dev/null is no file"]);
    let names: Vec<_> =
        fs::read_dir(sandbox.path("")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "nothing is left behind: {names:?}");
}

#[test]
fn a_mode_says_what_becomes_of_documents_that_are_there() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["doc", "insert", "d.c", "{_id: 1, a: 1, b: 1}"]);
    let file = "{\"_id\": 1, \"a\": 2, \"x.y\": \"$a\", \"$z\": 1}\n{\"_id\": 2}\n{\"n\": 3}\n";
    fs::write(sandbox.path("in"), file).unwrap();
    let one = || sandbox.ok(&["doc", "get", "d.c", "1"]);

    let output = sandbox.output(&["doc", "import", "d.c", "in"]);
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "inserted 2, failed 1\n"));
    assert!(stderr(&output).starts_with("lockstore: line 1: E11000"), "{}", stderr(&output));

    let merged = sandbox.ok(&["doc", "import", "d.c", "in", "--mode", "merge"]);
    assert_eq!(merged, "inserted 1, matched 2, modified 1, failed 0\n");
    assert_eq!(one(), "{\"_id\":1,\"a\":2,\"b\":1,\"x.y\":\"$a\",\"$z\":1}\n");

    let upserted = sandbox.ok(&["doc", "import", "d.c", "in", "--mode", "upsert"]);
    assert_eq!(upserted, "inserted 1, matched 2, modified 1, failed 0\n");
    assert_eq!(one(), "{\"_id\":1,\"a\":2,\"x.y\":\"$a\",\"$z\":1}\n");

    sandbox.ok(&["doc", "create-index", "d.c", "{a: 1}"]);
    let dropped = sandbox.json(&["doc", "import", "d.c", "in", "--drop", "--json"]);
    let expected = json!({ "lines": 3, "inserted": 3, "matched": 0, "modified": 0, "failed": 0 });
    assert_eq!(dropped, expected);
    assert_eq!(sandbox.ok(&["doc", "indexes", "d.c"]).lines().count(), 2, "a heading and _id_");
}

/// Nine lines, of which four fail: damaged, no document, nested too deeply, and an `_id` that is there.
fn damaged(sandbox: &Sandbox) {
    let deep = format!("{{\"_id\": 5, \"a\": {}1{}}}", "[".repeat(190), "]".repeat(190));
    let lines =
        ["{\"_id\": 1}", "", "{\"_id\": 2}\r", "{\"_id\": 3,}", "[1]", "{\"_id\": 4}", &deep];
    let more = ["{\"_id\": 1}", "{\"_id\": 9}"];
    fs::write(sandbox.path("in"), [&lines[..], &more].concat().join("\n")).unwrap();
}

#[test]
fn lines_that_fail_are_told_of_and_left_out() {
    let sandbox = Sandbox::new();
    damaged(&sandbox);
    let output = sandbox.output(&["doc", "import", "d.c", "in"]);
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "inserted 4, failed 4\n"));
    let told = stderr(&output);
    let told: Vec<_> = told.lines().collect();
    assert_eq!(told[0], "lockstore: line 4, column 11: trailing comma");
    assert_eq!(
        told[1],
        "lockstore: line 5: a document such as {\"a\": 1} was expected, not an array"
    );
    assert!(told[2].starts_with("lockstore: line 7: "), "{told:?}");
    assert!(told[3].starts_with("lockstore: line 8: E11000"), "{told:?}");
    let ids = ["doc", "find", "d.c", "--sort", "{_id: 1}"];
    assert_eq!(sandbox.ok(&ids), "{\"_id\":1}\n{\"_id\":2}\n{\"_id\":4}\n{\"_id\":9}\n");
}

#[test]
fn a_great_many_failures_are_only_counted() {
    let sandbox = Sandbox::with_store();
    fs::write(sandbox.path("in"), "x\n".repeat(5_000)).unwrap();
    let output = sandbox.output(&["doc", "import", "d.c", "in"]);
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "inserted 0, failed 5000\n"));
    assert_eq!(stderr(&output).lines().count(), 21);
}

#[test]
fn an_import_can_stop_at_the_first_failure() {
    let sandbox = Sandbox::new();
    damaged(&sandbox);
    let import = ["doc", "import", "d.c", "in", "--stop-on-error"];
    let told = ["line 4, column 11: trailing comma; lines 1 to 3 were imported, durably"];
    sandbox.fails_with(1, &import, &told);
    assert_eq!(sandbox.ok(&["doc", "count", "d.c"]), "2\n");
    let told = ["line 1: E11000", "nothing was imported"];
    sandbox.fails_with(1, &import, &told);
    // What is written fails before what cannot be read.
    fs::write(sandbox.path("in"), "{\"_id\": 7}\n{\"_id\": 1}\n{\"_id\": 8}\n!\n").unwrap();
    sandbox.fails_with(1, &import, &["line 2: E11000", "line 1 was imported, durably"]);
    assert_eq!(sandbox.ok(&["doc", "count", "d.c"]), "3\n");
}

#[test]
fn what_cannot_be_read_is_told_of() {
    let sandbox = Sandbox::new();
    sandbox.fails_with(4, &["doc", "import", "d.c", "none"], &["none cannot be read"]);
    sandbox.fails_with(4, &["doc", "import", "d.c", "/"], &["/ is a folder"]);
    fs::write(sandbox.path("in"), [&b"\xff\xfe\n"[..], &[0; 9], b"\n{\"a\": \"\xff\"}"].concat())
        .unwrap();
    let output = sandbox.output(&["doc", "import", "d.c", "in"]);
    assert_eq!((output.status.code(), &*stdout(&output)), (Some(1), "inserted 0, failed 3\n"));
    assert!(stderr(&output).contains("line 3, column 8: invalid unicode"), "{}", stderr(&output));
}

#[test]
fn a_terminal_sees_how_far_it_is() {
    let sandbox = Sandbox::new();
    let mut lines = String::new();
    for n in 0..3_000 {
        writeln!(lines, "{{\"_id\": {n}}}").unwrap();
    }
    fs::write(sandbox.path("in"), lines).unwrap();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let terminal = openpt(flags).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let stderr: Stdio = ioctl_tiocgptpeer(&terminal, flags).unwrap().into();
    let mut import = sandbox.command(&["doc", "import", "d.c", "in"]);
    let output = import.env("TERM", "xterm").stderr(stderr).output().unwrap();
    assert_eq!(stdout(&output), "inserted 3000, failed 0\n");
    drop(import);
    let mut seen = Vec::new();
    // A terminal that nobody has open any more ends with an error.
    let _ = fs::File::from(terminal).read_to_end(&mut seen);
    let seen = String::from_utf8_lossy(&seen);
    assert!(seen.contains("KiB"), "{seen:?}");
}
