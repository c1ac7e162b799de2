//! What a forked child makes of a connection that it inherited: nothing at all.
//!
//! The one test has a program of its own, so that few threads are left behind by the fork.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fork::Fork;
use lockstore::bson::{RawDocumentBuf, rawdoc};
use lockstore::{Outstanding, StoreError};
use lockstore_server::{ConnectOptions, Transport};
use rustix::process::{Pid, Signal, kill_process};

fn ping() -> RawDocumentBuf {
    rawdoc! { "ping": 1 }
}

/// What the child does. Panics where it should not succeed.
fn live_as_a_child(transport: Transport, outstanding: Outstanding, parent: u32) {
    let is_forked = |error: &StoreError| matches!(error, StoreError::Forked { opened_by } if *opened_by == parent);
    assert!(is_forked(&transport.call("admin", ping(), None).unwrap_err()));
    let (sender, told) = mpsc::channel();
    let on_reply = Box::new(move |reply| drop(sender.send(reply)));
    drop(transport.start("admin", ping(), None, on_reply));
    assert!(is_forked(&told.recv().unwrap().unwrap_err()));
    assert!(is_forked(&transport.close().unwrap_err()));
    drop(outstanding);
    drop(transport);
}

#[test]
fn a_forked_child_is_told_so_and_leaves_its_parents_connections_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.redb");
    let options = ConnectOptions::new().program(env!("CARGO_BIN_EXE_lockstore"));
    let transport = options.transport(&path).unwrap();
    let server = transport.server_pid();
    let (sender, told) = mpsc::channel();
    let on_reply = Box::new(move |reply| drop(sender.send(reply)));
    let outstanding = transport.start("admin", ping(), None, on_reply);
    told.recv().unwrap().unwrap();
    let parent = std::process::id();
    match fork::fork().unwrap() {
        Fork::Child => {
            let lived = catch_unwind(AssertUnwindSafe(|| {
                live_as_a_child(transport, outstanding, parent);
            }));
            std::process::exit(i32::from(lived.is_err()));
        }
        Fork::Parent(child) => {
            let began = Instant::now();
            let status = loop {
                match fork::waitpid_nohang(child).unwrap() {
                    Some(status) => break status,
                    None => assert!(began.elapsed() < Duration::from_secs(300), "the child hangs"),
                }
                std::thread::sleep(Duration::from_millis(1));
            };
            assert_eq!(status, 0);
        }
    }
    for _ in 0..10 {
        transport.call("admin", ping(), None).unwrap();
        let (sender, told) = mpsc::channel();
        let on_reply = Box::new(move |reply| drop(sender.send(reply)));
        let _outstanding = transport.start("admin", ping(), None, on_reply);
        told.recv_timeout(Duration::from_secs(300)).unwrap().unwrap();
    }
    assert_eq!(transport.server_pid(), server);
    let server = Pid::from_raw(i32::try_from(server).unwrap()).unwrap();
    kill_process(server, Signal::KILL).unwrap();
}
