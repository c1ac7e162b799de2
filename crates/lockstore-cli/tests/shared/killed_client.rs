//! A client is killed: what its session holds is free at once.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::{Collection, Store, StoreOptions};
use lockstore_server::{Server, ServerOptions};

use crate::crowd::PATIENCE;

/// The grace of a session is longer than the test, so that only the death of the client ends it.
#[test]
fn the_locks_of_a_client_that_is_killed_go_to_waiters_of_another_process_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.redb");
    let options = StoreOptions::new().session_grace(Duration::from_secs(3_600));
    let store = options.open(&path).unwrap();
    jobs(&store).insert_one(doc! { "_id": 1 }).unwrap();
    let server = Server::start(store.clone(), &path, ServerOptions::new()).unwrap();
    let mut holder = start_holder(&path);

    let (granted, grants) = mpsc::channel();
    let waits: [fn(&Store); 2] = [
        |store| drop(store.lock(KEY).acquire().unwrap()),
        |store| {
            let lock = jobs(store).lock_document(doc! { "_id": 1 }).sleep(PATIENCE).acquire();
            assert!(lock.unwrap().locked_document().is_some());
        },
    ];
    let waiters = waits.map(|wait| {
        let (granted, path) = (granted.clone(), path.clone());
        thread::spawn(move || {
            wait(&lockstore_server::connect(&path).unwrap());
            granted.send(()).unwrap();
        })
    });
    while store.stats().unwrap().waiters < waiters.len() {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(grants.try_recv().is_err(), "both are held");
    holder.kill().unwrap();
    for _ in &waiters {
        grants.recv_timeout(PATIENCE).expect("it is handed on");
    }
    holder.wait().unwrap();
    for waiter in waiters {
        waiter.join().unwrap();
    }
    server.stop().unwrap();
}

/// Starts a client that holds a lock and a document by its session, and comes back when it does.
fn start_holder(path: &std::path::Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([
        "killed_client::a_holder_process",
        "--exact",
        "--nocapture",
        "--include-ignored",
    ]);
    command.env(STORE, path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == HOLDS), "it holds");
    holder
}

#[test]
#[ignore = "it is a process of the other test"]
fn a_holder_process() {
    let Some(path) = env::var_os(STORE) else { return };
    let store = lockstore_server::connect(path).unwrap();
    let session = store.session().unwrap();
    let _lock = store.lock(KEY).session(&session).acquire().unwrap();
    let wanted = jobs(&store);
    let document = wanted.lock_document(doc! { "_id": 1 }).session(&session).acquire().unwrap();
    assert!(document.locked_document().is_some());
    println!("\n{HOLDS}");
    // Until it is killed.
    io::stdin().read_line(&mut String::new()).unwrap();
}

fn jobs(store: &Store) -> Collection<Document> {
    store.database("proof").collection("jobs")
}

const KEY: &str = "wanted";
const HOLDS: &str = "it holds";
const STORE: &str = "LOCKSTORE_TEST_HOLDER_STORE";
