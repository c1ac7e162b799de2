//! Imports that end before their end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::thread;

use rustix::process::Signal;

use crate::support::{Running, Sandbox, stderr, wait_until};

/// However the tests were started, the program is to find signals as a login shell would have them.
const DEFAULT_SIGNALS: [&str; 2] = ["env", "--default-signal"];

const IMPORT: [&str; 5] = ["doc", "import", "d.c", "--store-timeout", "10m"];

fn count(sandbox: &Sandbox) -> u64 {
    let count = sandbox.ok(&["doc", "count", "d.c", "--store-timeout", "10m"]);
    count.trim().parse().unwrap()
}

fn lines(from: u64, to: u64) -> String {
    (from..to).fold(String::new(), |mut lines, n| {
        writeln!(lines, "{{\"_id\":{n},\"text\":\"{}\"}}", "x".repeat(100)).unwrap();
        lines
    })
}

#[test]
fn a_slow_import_is_durable_as_it_comes_and_keeps_nobody_waiting() {
    let sandbox = Sandbox::with_store();
    let mut import = Running::start(&mut sandbox.command_under(&DEFAULT_SIGNALS, &IMPORT));
    for n in 0..3 {
        import.type_in(&lines(n, n + 1));
        wait_until("the document is there", || count(&sandbox) == n + 1);
    }
    // Its input stays open: that is not what ends it.
    let _open = import.stdin();
    import.signal(Signal::INT);
    let output = import.ended();
    assert_eq!(output.status.code(), Some(130));
    let told = "lockstore: ended by SIGINT; lines 1 to 3 were imported, durably\n";
    assert_eq!(stderr(&output), told);
}

#[test]
fn an_import_that_is_interrupted_leaves_whole_documents_and_says_which() {
    for mode in ["insert", "upsert"] {
        let sandbox = Sandbox::with_store();
        let import = [&IMPORT[..], &["--mode", mode]].concat();
        let mut import = Running::start(&mut sandbox.command_under(&DEFAULT_SIGNALS, &import));
        let mut stdin = import.stdin();
        let endless = thread::spawn(move || {
            (0..).step_by(100).find(|n| stdin.write_all(lines(*n, n + 100).as_bytes()).is_err())
        });
        wait_until("there are some", || count(&sandbox) > 0);
        import.signal(Signal::TERM);
        let output = import.ended();
        assert!(endless.join().unwrap().is_some(), "its input was closed");
        assert_eq!(output.status.code(), Some(143));
        let told = stderr(&output);
        let last = told.strip_prefix("lockstore: ended by SIGTERM; lines 1 to ");
        let last = last.and_then(|told| told.strip_suffix(" were imported, durably\n"));
        let last: u64 = last.unwrap_or_else(|| panic!("{told}")).parse().unwrap();
        assert_eq!(count(&sandbox), last);
        let exported = sandbox.ok(&["doc", "export", "d.c", "--sort", "{_id: 1}"]);
        assert!(exported == lines(0, last), "they are whole");
        sandbox.ok(&["check"]);
    }
}

#[test]
fn an_import_that_is_killed_leaves_whole_documents() {
    let sandbox = Sandbox::with_store();
    let mut import = Running::start(&mut sandbox.command_under(&DEFAULT_SIGNALS, &IMPORT));
    let mut stdin = import.stdin();
    let endless = thread::spawn(move || {
        (0..).step_by(100).find(|n| stdin.write_all(lines(*n, n + 100).as_bytes()).is_err())
    });
    wait_until("there are some", || count(&sandbox) > 0);
    let seen = count(&sandbox);
    import.signal(Signal::KILL);
    assert_eq!(import.ended().status.code(), None);
    assert!(endless.join().unwrap().is_some(), "its input was closed");
    let exported = sandbox.ok(&["doc", "export", "d.c", "--sort", "{_id: 1}"]);
    let kept = exported.lines().count() as u64;
    assert!(kept >= seen && exported == lines(0, kept), "{kept} of at least {seen}");
    sandbox.ok(&["check"]);
}
