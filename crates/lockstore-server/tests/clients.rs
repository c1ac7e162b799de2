//! What belongs to a client: its sessions and its subscriptions are nobody else's, and end with it.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use lockstore::{AcquireError, LockDocumentError, Session, Store, StoreOptions};
use lockstore_server::{Client, ConnectOptions, Server, ServerOptions};
use tempfile::TempDir;

/// A file and its server, in this process; so are its clients, of which each is one of its own.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.redb");
        Self { _folder: folder, path }
    }

    /// No session ends by its grace while a test runs.
    fn serve(&self) -> (Server, Store) {
        let grace = Duration::from_secs(3_600);
        let store = StoreOptions::new().session_grace(grace).open(&self.path).unwrap();
        let server = Server::start(store.clone(), &self.path, ServerOptions::new()).unwrap();
        (server, store)
    }

    fn connect(&self) -> Store {
        ConnectOptions::new().program("/nowhere").connect(&self.path).unwrap()
    }
}

#[track_caller]
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(300), "it never came that {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn jobs(store: &Store) -> lockstore::Collection<Document> {
    store.database("d").collection("jobs")
}

#[test]
fn a_session_is_named_by_its_client_alone_on_any_of_its_connections() {
    let place = Place::new();
    let (server, store) = place.serve();
    jobs(&store).insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).run().unwrap();
    let [owner, other] = [(); 2].map(|()| place.connect());
    let session = owner.session().unwrap();
    let own = owner.lock("own").session(&session).try_acquire().unwrap();
    // One that waits has come by another connection.
    let blocking = owner.lock("waited for").acquire().unwrap();
    let waited_for = thread::scope(|scope| {
        let wanted = owner.lock("waited for").session(&session);
        let waiting = scope.spawn(|| wanted.acquire().unwrap());
        eventually("it waits", || store.stats().unwrap().waiters == 1);
        blocking.release().unwrap();
        waiting.join().unwrap()
    });
    let wanted = jobs(&owner);
    let document = wanted.lock_document(doc! { "_id": 1 }).session(&session).acquire().unwrap();
    assert!(document.locked_document().is_some());

    let named: &Session = &other.session_with(session.id());
    let refused = other.lock("k").session(named).try_acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::SessionEnded), "{refused}");
    let blocking = store.lock("held").acquire().unwrap();
    let refused = other.lock("held").session(named).acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::SessionEnded), "it does not even wait: {refused}");
    drop(blocking);
    let refused = jobs(&other).lock_document(doc! { "_id": 2 }).session(named).acquire();
    let refused = refused.unwrap_err();
    assert!(matches!(refused, LockDocumentError::SessionEnded), "{refused}");
    let mut stranger = Client::connect(server.socket()).unwrap();
    let number = i64::try_from(session.id().get()).unwrap();
    for command in [
        rawdoc! { "lockAcquire": "k", "holder": "h", "session": number, "$db": "d" },
        rawdoc! { "lockWait": "k", "session": number, "$db": "d" },
        rawdoc! { "lockDocument": "jobs", "filter": { "_id": 2 }, "session": number, "$db": "d" },
    ] {
        let reply = stranger.run_command(&command).unwrap();
        assert_eq!(reply.get_str("codeName").unwrap(), "LockSessionUnknown", "{reply:?}");
    }
    assert!(!store.is_locked("k").unwrap());
    let info = store.sessions().unwrap().remove(0);
    assert_eq!(
        (info.locks, info.document_locks, info.waiters),
        (2, 1, 0),
        "nothing has been added"
    );
    drop((own, waited_for, document));
}

#[test]
fn a_client_names_its_session_to_the_next_server_before_it_has_taken_it_up() {
    let place = Place::new();
    let (server, store) = place.serve();
    let client = place.connect();
    let session = client.session().unwrap();
    drop(store);
    server.stop().unwrap();
    let (_server, store) = place.serve();
    // By whichever connection comes first.
    let _lock = client.lock("k").session(&session).try_acquire().unwrap();
    assert_eq!(store.sessions().unwrap()[0].locks, 1);
}

#[test]
fn what_a_client_has_not_ended_ends_when_it_says_goodbye() {
    let place = Place::new();
    let (_server, store) = place.serve();
    let client = place.connect();
    let session = client.session().unwrap();
    let _lock = client.lock("k").session(&session).acquire().unwrap();
    client.close().unwrap();
    eventually("it is free", || !store.is_locked("k").unwrap());
    assert_eq!(store.sessions().unwrap(), []);

    // So does what it has opened without a handle, when its last handle goes.
    let transport = ConnectOptions::new().program("/nowhere").transport(&place.path).unwrap();
    let (sender, opened) = std::sync::mpsc::channel();
    let on_reply = Box::new(move |reply| drop(sender.send(reply)));
    transport.start("admin", rawdoc! { "lockSessionOpen": 1 }, None, on_reply).detach();
    let session = opened.recv().unwrap().unwrap().get_i64("session").unwrap();
    let acquire = rawdoc! { "lockAcquire": "k", "holder": "h", "session": session };
    transport.call("admin", acquire, None).unwrap().get_i64("token").unwrap();
    assert!(store.is_locked("k").unwrap());
    drop(transport);
    eventually("it is free", || !store.is_locked("k").unwrap());
    assert_eq!(store.sessions().unwrap(), []);
}

#[test]
fn a_goodbye_ends_the_sessions_of_nobody_else() {
    let place = Place::new();
    let (server, store) = place.serve();
    let [client, other] = [(); 2].map(|()| place.connect());
    let session = other.session().unwrap();
    drop(client.session().unwrap());
    client.close().unwrap();
    let mut stranger = Client::connect(server.socket()).unwrap();
    let reply = stranger.run_command(&rawdoc! { "lockGoodbye": 1, "$db": "admin" }).unwrap();
    assert_eq!(reply.get_str("codeName").unwrap(), "IllegalOperation");
    assert_eq!(store.sessions().unwrap().len(), 1);
    drop(other.lock("k").session(&session).try_acquire().unwrap());
}

/// More than there may be at once come and go.
#[test]
fn the_subscriptions_of_clients_that_are_gone_are_gone_too() {
    let place = Place::new();
    let (server, store) = place.serve();
    let stays = place.connect();
    let events = stays.subscribe("").unwrap();
    // One for calls that are answered soon, and its control connection.
    eventually("it waits for events", || server.connections() == 2);
    for _ in 0..1_100 {
        let mut client = Client::connect(server.socket()).unwrap();
        client.run_command(&join()).unwrap();
        let subscribe = rawdoc! { "lockSubscribe": "", "$db": "admin" };
        let reply = client.run_command(&subscribe).unwrap();
        assert!(reply.get_i64("subscription").is_ok(), "{reply:?}");
        drop(client);
        eventually("it is gone", || server.connections() == 2);
    }
    drop(store.lock("k").acquire().unwrap());
    let told = events.recv_timeout(Duration::from_secs(300));
    assert!(told.is_ok(), "who is there is told: {told:?}");
}

/// `lockJoin` of a new client in this process.
fn join() -> RawDocumentBuf {
    let process = lockstore::presence::Process::current().unwrap();
    let bytes = |bytes: [u8; 16]| bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: bytes.into(),
    };
    rawdoc! {
        "lockJoin": 1,
        "pid": i64::from(process.pid),
        "startTime": i64::try_from(process.started_ticks).unwrap(),
        "bootId": bytes(process.boot_id.0),
        "pidNamespace": i64::try_from(process.pid_namespace).unwrap(),
        "instance": bytes(bson::Uuid::new().bytes()),
        "$db": "admin",
    }
}
