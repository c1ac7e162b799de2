//! A server and its clients, over a real socket.

#[path = "server/in_sessions.rs"]
mod in_sessions;
#[path = "server/stopping.rs"]
mod stopping;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};
use lockstore::{Store, StoreOptions};
use lockstore_server::{Client, End, Server, ServerOptions, StartError, socket_path};
use proptest::prelude::*;
use tempfile::TempDir;

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("jobs.redb")
    }

    fn socket(&self) -> PathBuf {
        socket_path(self.file()).unwrap()
    }

    fn start(&self, options: ServerOptions) -> Result<Server, StartError> {
        self.serve(Store::open(self.file()).unwrap(), options)
    }

    fn serve(&self, store: Store, options: ServerOptions) -> Result<Server, StartError> {
        Server::start(store, self.file(), options)
    }
}

fn client(server: &Server) -> Client {
    Client::connect(server.socket()).unwrap()
}

fn insert(id: i32) -> RawDocumentBuf {
    rawdoc! { "insert": "jobs", "documents": [{ "_id": id }], "$db": "factory" }
}

fn count(client: &mut Client) -> i32 {
    let reply = client.run_command(&rawdoc! { "count": "jobs", "$db": "factory" }).unwrap();
    reply.get_i32("n").unwrap()
}

#[track_caller]
fn hung_up_on(mut stream: UnixStream) {
    let mut rest = Vec::new();
    // A connection that was closed with bytes unread is reset.
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn what_one_client_writes_the_others_read_and_a_restart_keeps() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let mut clients = [client(&server), client(&server)];
    for (id, client) in (0..).zip(&mut clients) {
        assert_eq!(client.run_command(&insert(id)).unwrap().get_i32("n").unwrap(), 1);
    }
    assert_eq!(count(&mut clients[0]), 2);
    server.stop().unwrap();
    assert!(clients[0].run_command(&insert(2)).is_err(), "it has hung up");
    assert!(!place.socket().exists(), "the socket goes with the server");
    let server = place.start(ServerOptions::new()).unwrap();
    assert_eq!(count(&mut client(&server)), 2);
}

#[test]
fn many_clients_at_once_lose_nothing() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    thread::scope(|scope| {
        for number in 0..32 {
            let server = &server;
            scope.spawn(move || {
                let mut client = client(server);
                for id in 0..16 {
                    client.run_command(&insert(number * 16 + id)).unwrap();
                }
            });
        }
    });
    assert_eq!(count(&mut client(&server)), 512);
}

#[test]
fn a_command_without_a_database_is_refused_and_the_connection_lives() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let mut client = client(&server);
    let reply = client.run_command(&rawdoc! { "ping": 1 }).unwrap();
    assert_eq!(reply.get_i32("code").unwrap(), 40571);
    let reply = client.run_command(&rawdoc! { "nonsense": 1, "$db": "admin" }).unwrap();
    assert_eq!(reply.get_i32("code").unwrap(), 59);
    let reply =
        client.run_command(&rawdoc! { "hello": 1, "helloOk": true, "$db": "admin" }).unwrap();
    assert!(reply.get_bool("isWritablePrimary").unwrap());
    assert_eq!(reply.get_i32("maxWireVersion").unwrap(), 17);
}

#[test]
fn whoever_is_too_many_is_turned_away() {
    let place = Place::new();
    let server = place.start(ServerOptions::new().connections_max(2)).unwrap();
    let mut clients = [client(&server), client(&server)];
    assert_eq!(clients.each_mut().map(count), [0, 0]);
    hung_up_on(UnixStream::connect(server.socket()).unwrap());
    assert_eq!(clients.each_mut().map(count), [0, 0]);
}

#[test]
fn who_stops_in_the_middle_of_a_message_is_hung_up_on_and_who_is_silent_is_not() {
    let place = Place::new();
    let options = ServerOptions::new().patience(Duration::from_millis(50));
    let server = place.start(options).unwrap();
    let mut silent = client(&server);
    assert_eq!(count(&mut silent), 0);
    let mut slow = UnixStream::connect(server.socket()).unwrap();
    slow.write_all(&[40, 0, 0, 0, 1]).unwrap();
    hung_up_on(slow);
    assert_eq!(count(&mut silent), 0, "after a pause that is longer than the server's patience");
}

#[test]
fn who_does_not_read_its_replies_is_hung_up_on() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let large = rawdoc! { "insert": "jobs", "documents": [{ "_id": 1, "text": "x".repeat(4 << 20) }], "$db": "factory" };
    client(&server).run_command(&large).unwrap();
    server.stop().unwrap();
    // Too little for a large request on a busy machine, which has come before.
    let options = ServerOptions::new().patience(Duration::from_millis(50));
    let server = place.start(options).unwrap();
    let mut other = client(&server);
    let find = rawdoc! { "find": "jobs", "$db": "factory" };
    let mut message = Vec::new();
    let length = i32::try_from(21 + find.as_bytes().len()).unwrap();
    for number in [length, 1, 0, 2013, 0] {
        message.extend_from_slice(&i32::to_le_bytes(number));
    }
    message.push(0);
    message.extend_from_slice(find.as_bytes());
    let mut deaf = UnixStream::connect(server.socket()).unwrap();
    deaf.write_all(&message).unwrap();
    while server.connections() > 1 {
        thread::yield_now();
    }
    assert_eq!(count(&mut other), 1);
}

#[test]
fn the_socket_is_its_owners_alone() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let mode = fs::symlink_metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let place = Place::new();
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let error = place.start(ServerOptions::new()).unwrap_err();
    assert!(matches!(error, StartError::OpenFolder { mode: 0o770, .. }), "{error}");
    assert!(error.to_string().contains("chmod go-w"), "{error}");
}

#[test]
fn a_dead_servers_socket_is_replaced_and_nothing_else_is() {
    let place = Place::new();
    drop(UnixListener::bind(place.socket()).unwrap());
    place.start(ServerOptions::new()).unwrap().stop().unwrap();

    fs::write(place.socket(), "mine").unwrap();
    let error = place.start(ServerOptions::new()).unwrap_err();
    assert!(matches!(error, StartError::InTheWay { .. }), "{error}");
    assert_eq!(fs::read(place.socket()).unwrap(), b"mine");

    fs::remove_file(place.socket()).unwrap();
    symlink(Path::new("elsewhere"), place.socket()).unwrap();
    let error = place.start(ServerOptions::new()).unwrap_err();
    assert!(matches!(error, StartError::InTheWay { .. }), "a link is not followed: {error}");
}

#[test]
fn a_server_takes_away_no_socket_but_its_own() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    fs::remove_file(server.socket()).unwrap();
    let _other = UnixListener::bind(place.socket()).unwrap();
    server.stop().unwrap();
    assert!(place.socket().exists());
}

#[test]
fn a_wait_for_idleness_ends_when_nobody_is_there_or_the_server_is_to_stop() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let mut client = client(&server);
    assert_eq!(count(&mut client), 0);
    let stopper = server.stopper();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| server.wait_until_idle(Some(Duration::from_millis(1))));
        drop(client);
        assert_eq!(waiting.join().unwrap(), End::Idle);
        let waiting = scope.spawn(|| server.wait_until_idle(None));
        stopper.stop();
        assert_eq!(waiting.join().unwrap(), End::Stopped);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_leave_the_others_unharmed(bytes in prop::collection::vec(any::<u8>(), 0..200), framed: bool) {
        let store = StoreOptions::new().open_in_memory().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(store, folder.path().join("a.redb"), ServerOptions::new()).unwrap();
        let mut other = client(&server);
        let mut stream = UnixStream::connect(server.socket()).unwrap();
        if framed {
            let length = i32::try_from(16 + bytes.len()).unwrap();
            for number in [length, 1, 0, 2013] {
                stream.write_all(&i32::to_le_bytes(number)).unwrap();
            }
        }
        // The server may have hung up by now.
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        hung_up_on(stream);
        prop_assert_eq!(count(&mut other), 0);
    }
}
