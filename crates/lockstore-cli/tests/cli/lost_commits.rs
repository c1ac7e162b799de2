//! Servers that are killed in the middle of a commit that changes documents and locks.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use lockstore::bson::{Document, RawDocument, RawDocumentBuf, doc};
use lockstore::{Collection, DocumentError, LockGuard, Store, TransactionLock};
use lockstore_server::socket_path;
use rustix::process::Signal;

use crate::sharing::{LONG, Shared, is_alive, signal};
use crate::support::{Sandbox, wait_until};

/// A way to the servers of a store, on which the first of them is killed by the first commit.
struct Way {
    _sandbox: Sandbox,
    front: PathBuf,
    state: Arc<Mutex<State>>,
}

struct State {
    path: PathBuf,
    kills: Option<Kill>,
    /// The servers that there have been.
    servers: Vec<u32>,
    /// What they have answered to commits, told or not.
    commits: Vec<RawDocumentBuf>,
}

/// When the server is killed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kill {
    /// Before it gets the commit.
    Before,
    /// When it has answered, before anybody is told.
    After,
}

impl Way {
    fn new(kills: Kill) -> Self {
        let sandbox = Sandbox::new();
        let (path, front) = (sandbox.store(), sandbox.path("front.redb"));
        let listener = UnixListener::bind(socket_path(&front).unwrap()).unwrap();
        let (servers, commits) = (Vec::new(), Vec::new());
        let state = Arc::new(Mutex::new(State { path, kills: Some(kills), servers, commits }));
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                join(&client.unwrap(), &serving).unwrap();
            }
        });
        Self { _sandbox: sandbox, front, state }
    }

    fn connect(&self) -> Store {
        Shared::options().connect(&self.front).unwrap()
    }

    fn commits(&self) -> Vec<RawDocumentBuf> {
        self.state.lock().unwrap().commits.clone()
    }

    fn servers(&self) -> Vec<u32> {
        self.state.lock().unwrap().servers.clone()
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        for server in self.servers().into_iter().filter(|server| is_alive(*server)) {
            signal(server, Signal::KILL);
        }
    }
}

impl State {
    /// A connection to the server, which is started if there is none.
    fn dial(&mut self) -> UnixStream {
        let transport = Shared::options().start_timeout(LONG).transport(&self.path).unwrap();
        let server = transport.server_pid();
        if self.servers.last() != Some(&server) {
            self.servers.push(server);
        }
        UnixStream::connect(socket_path(&self.path).unwrap()).unwrap()
    }

    fn kill(&mut self) {
        self.kills = None;
        let server = *self.servers.last().unwrap();
        signal(server, Signal::KILL);
        wait_until("it is dead", || !is_alive(server));
    }
}

/// Passes on what a client and its server say to each other, until one of them hangs up.
fn join(client: &UnixStream, state: &Arc<Mutex<State>>) -> io::Result<()> {
    let server = state.lock().unwrap().dial();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let requests =
        (client.try_clone()?, server.try_clone()?, Arc::clone(state), Arc::clone(&asked));
    thread::spawn(move || {
        let (mut client, mut server, state, asked) = requests;
        while let Ok(message) = receive(&mut client) {
            if is_commit(&message) {
                let mut state = state.lock().unwrap();
                if state.kills == Some(Kill::Before) {
                    state.kill();
                }
                asked.lock().unwrap().push(message[4..8].to_vec());
            }
            if server.write_all(&message).is_err() {
                break;
            }
        }
        hang_up(&client, &server);
    });
    let replies = (server, client.try_clone()?, Arc::clone(state));
    thread::spawn(move || {
        let (mut server, mut client, state) = replies;
        while let Ok(message) = receive(&mut server) {
            if asked.lock().unwrap().iter().any(|request| *request == message[8..12]) {
                let mut state = state.lock().unwrap();
                state.commits.push(body(&message).to_owned());
                if state.kills == Some(Kill::After) {
                    state.kill();
                    break;
                }
            }
            if client.write_all(&message).is_err() {
                break;
            }
        }
        hang_up(&client, &server);
    });
    Ok(())
}

fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message)?;
    let length = u32::from_le_bytes([message[0], message[1], message[2], message[3]]);
    message.resize(usize::try_from(length).unwrap(), 0);
    stream.read_exact(&mut message[4..])?;
    Ok(message)
}

fn hang_up(client: &UnixStream, server: &UnixStream) {
    for stream in [client, server] {
        // The other thread may have done it.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The document of a message, behind its header, its flags and the kind of its section.
fn body(message: &[u8]) -> &RawDocument {
    RawDocument::from_bytes(&message[21..]).unwrap()
}

fn is_commit(message: &[u8]) -> bool {
    body(message).iter().next().unwrap().unwrap().0.as_str() == "commitTransaction"
}

fn jobs(store: &Store) -> Collection<Document> {
    store.database("factory").collection("jobs")
}

/// Runs a transaction that does everything. Answers how often it was run.
fn run(store: &Store, kept: &LockGuard, old: &LockGuard) -> (TransactionLock, u32) {
    let mut runs = 0;
    let lock = store.transaction(|tx| {
        runs += 1;
        jobs(store).in_transaction(tx).insert_one(doc! { "n": 1 })?;
        tx.renew(kept)?;
        tx.release(old)?;
        tx.lock("new").holder("me").ttl(LONG).acquire()
    });
    (lock.unwrap_or_else(|error: DocumentError| panic!("{error}")), runs)
}

fn check(kills: Kill, runs: u32) -> Vec<RawDocumentBuf> {
    let way = Way::new(kills);
    let store = way.connect();
    let kept = store.lock("kept").holder("me").ttl(LONG).acquire().unwrap();
    let old = store.lock("old").holder("me").acquire().unwrap();
    let until = kept.valid_until();
    let (new, ran) = run(&store, &kept, &old);
    assert_eq!((ran, way.servers().len()), (runs, 2));
    assert_eq!(jobs(&store).count_documents(doc! {}).run().unwrap(), 1);
    let new = new.guard().unwrap();
    let held = store.inspect("new").unwrap().unwrap();
    assert_eq!(held.holders[0].token, new.token());
    assert!(old.is_lost() && !store.is_locked("old").unwrap());
    assert!(kept.valid_until() > until);
    kept.renew().unwrap();
    let commits = way.commits();
    let locks = commits.last().unwrap().get_array("locks").unwrap();
    let granted = locks.into_iter().last().unwrap().unwrap().as_document().unwrap();
    assert_eq!(granted.get_i64("token").unwrap().cast_unsigned(), new.token().get());
    new.release().unwrap();
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    commits
}

#[test]
fn a_commit_whose_reply_dies_with_its_server_is_done_once_and_answered_with_the_same_grants() {
    let commits = check(Kill::After, 1);
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[0], commits[1]);
}

#[test]
fn a_transaction_whose_server_dies_before_its_commit_is_run_again() {
    let commits = check(Kill::Before, 2);
    // The next server does not know the transaction, and then does it.
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[0].get_i32("code").unwrap(), 251);
}
