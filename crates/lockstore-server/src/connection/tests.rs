//! A connection with many calls outstanding, over a real socket.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use lockstore::Store;
use tempfile::TempDir;

use super::Hurried;
use crate::presence::Hello;
use crate::wire::{Header, Message, Request};
use crate::{Server, ServerOptions};

struct Place {
    _folder: TempDir,
    path: PathBuf,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.redb");
        let store = Store::open(&path).unwrap();
        Self { _folder: folder, path, store }
    }

    fn serve(&self, options: ServerOptions) -> Server {
        Server::start(self.store.clone(), &self.path, options).unwrap()
    }

    fn waiters_come_to(&self, n: usize) {
        let start = Instant::now();
        while self.store.stats().unwrap().waiters != n {
            assert!(start.elapsed() < Duration::from_secs(300), "never {n} waiters");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn connect(server: &Server) -> UnixStream {
    UnixStream::connect(server.socket()).unwrap()
}

/// A connection that has said hello.
fn control(server: &Server) -> UnixStream {
    let mut stream = connect(server);
    send(&mut stream, 1, &Hello::of_a_new_client().unwrap().write());
    assert_eq!(receive(&mut stream).0, 1);
    stream
}

fn send(stream: &mut UnixStream, request_id: i32, command: &RawDocument) {
    stream.write_all(&Message::of(request_id, 0, command)).unwrap();
}

fn receive(stream: &mut UnixStream) -> (i32, RawDocumentBuf) {
    let header = Header::read(stream).unwrap().unwrap();
    let body = header.read_body(stream).unwrap();
    match header.understand(body).unwrap() {
        Request::Message(message) => (header.response_to, message.command),
        Request::Query(_) => panic!("a query"),
    }
}

fn wait(key: &str) -> RawDocumentBuf {
    rawdoc! { "lockWait": key, "wait": "forever", "$db": "admin" }
}

fn ping() -> RawDocumentBuf {
    rawdoc! { "ping": 1, "$db": "admin" }
}

#[test]
fn calls_that_wait_keep_nobody_and_are_answered_in_the_order_in_which_they_end() {
    let place = Place::new();
    let server = place.serve(ServerOptions::new());
    let [a, b] = ["a", "b"].map(|key| place.store.lock(key).acquire().unwrap());
    let mut stream = control(&server);
    send(&mut stream, 10, &wait("a"));
    send(&mut stream, 11, &wait("b"));
    send(&mut stream, 12, &ping());
    assert_eq!(receive(&mut stream).0, 12);
    place.waiters_come_to(2);
    b.release().unwrap();
    let is_free = rawdoc! { "free": true, "waited": true, "ok": 1.0 };
    assert_eq!(receive(&mut stream), (11, is_free.clone()));
    a.release().unwrap();
    assert_eq!(receive(&mut stream), (10, is_free));
}

#[test]
fn a_killed_call_waits_no_longer_and_is_not_answered() {
    let place = Place::new();
    let server = place.serve(ServerOptions::new());
    let _a = place.store.lock("a").acquire().unwrap();
    let mut stream = control(&server);
    send(&mut stream, 10, &wait("a"));
    place.waiters_come_to(1);
    send(&mut stream, 11, &rawdoc! { "lockKill": 10, "$db": "admin" });
    assert_eq!(receive(&mut stream).0, 11);
    place.waiters_come_to(0);
    send(&mut stream, 12, &ping());
    assert_eq!(receive(&mut stream).0, 12);
}

#[test]
fn the_calls_of_a_client_that_goes_wait_no_longer() {
    let place = Place::new();
    let server = place.serve(ServerOptions::new());
    let _a = place.store.lock("a").acquire().unwrap();
    let mut of_ours = control(&server);
    let mut drivers = connect(&server);
    send(&mut of_ours, 10, &wait("a"));
    send(&mut drivers, 10, &wait("a"));
    place.waiters_come_to(2);
    drop(of_ours);
    place.waiters_come_to(1);
    drop(drivers);
    place.waiters_come_to(0);
}

#[test]
fn a_server_that_stops_ends_the_waits_and_tells_drivers_to_ask_again() {
    let place = Place::new();
    let server = place.serve(ServerOptions::new());
    let _a = place.store.lock("a").acquire().unwrap();
    let mut of_ours = control(&server);
    let mut drivers = connect(&server);
    send(&mut of_ours, 10, &wait("a"));
    send(&mut drivers, 10, &wait("a"));
    place.waiters_come_to(2);
    server.stop().unwrap();
    let (_, reply) = receive(&mut drivers);
    assert_eq!(reply.get_i32("code").unwrap(), 11600, "{reply:?}");
    assert_eq!(of_ours.read(&mut [0]).unwrap(), 0, "ours reconnect, and ask the next server");
}

#[test]
fn only_so_many_calls_may_wait() {
    let place = Place::new();
    let options = ServerOptions::new().waiting_per_connection_max(2).waiting_max(3);
    let server = place.serve(options);
    let _a = place.store.lock("a").acquire().unwrap();
    let mut streams = [control(&server), control(&server)];
    for (stream, fits) in streams.iter_mut().zip([2, 1]) {
        for request_id in 0..fits {
            send(stream, request_id, &wait("a"));
        }
        send(stream, 10, &wait("a"));
        let (request_id, reply) = receive(stream);
        assert_eq!((request_id, reply.get_i32("code").unwrap()), (10, 46), "{reply:?}");
    }
    send(&mut streams[0], 11, &rawdoc! { "lockKill": 0, "$db": "admin" });
    assert_eq!(receive(&mut streams[0]).0, 11);
    place.waiters_come_to(2);
    send(&mut streams[1], 12, &wait("a"));
    place.waiters_come_to(3);
}

#[test]
fn events_come_to_who_subscribed() {
    let place = Place::new();
    let server = place.serve(ServerOptions::new());
    let mut stream = connect(&server);
    send(&mut stream, 1, &rawdoc! { "lockSubscribe": "jobs/", "$db": "admin" });
    let subscription = receive(&mut stream).1.get_i64("subscription").unwrap();
    let next = |stream: &mut UnixStream| {
        send(stream, 2, &rawdoc! { "lockNextEvents": subscription, "$db": "admin" });
        let (_, reply) = receive(stream);
        let events = reply.get_array("events").unwrap();
        let kinds = events
            .into_iter()
            .map(|event| event.unwrap().as_document().unwrap().get_str("kind").unwrap().to_owned());
        kinds.collect::<Vec<_>>()
    };
    let _other = place.store.lock("other").acquire().unwrap();
    place.store.lock("jobs/1").acquire().unwrap().release().unwrap();
    let mut kinds = next(&mut stream);
    if kinds.len() < 2 {
        kinds.extend(next(&mut stream));
    }
    assert_eq!(kinds, ["granted", "ended"]);
}

#[test]
fn who_is_slow_to_read_is_not_waited_for_while_memory_is_short() {
    let place = Place::new();
    let server = place
        .serve(ServerOptions::new().patience(Duration::from_secs(3_600)).message_memory_max(0));
    let mut writer = connect(&server);
    for id in 0..4 {
        let document = rawdoc! { "_id": id, "text": "x".repeat(3 << 20) };
        send(&mut writer, 1, &rawdoc! { "insert": "c", "documents": [document], "$db": "d" });
        assert_eq!(receive(&mut writer).1.get_i32("n").unwrap(), 1);
    }
    // Each reply is 12 MiB, and all together are more than the 48 MB that there are at least.
    let deaf: Vec<_> = (0..6).map(|_| connect(&server)).collect();
    for mut stream in &deaf {
        stream.write_all(&Message::of(1, 0, &rawdoc! { "find": "c", "$db": "d" })).unwrap();
    }
    let start = Instant::now();
    while server.connections() > 5 {
        assert!(start.elapsed() < Duration::from_secs(300), "they are waited for");
        std::thread::sleep(Duration::from_millis(10));
    }
    send(&mut writer, 2, &ping());
    assert_eq!(receive(&mut writer).0, 2);
}

#[test]
fn what_has_come_in_time_is_read_by_a_server_that_is_late() {
    let mut reader = BufReader::with_capacity(8, &b"0123456789"[..]);
    let mut first = [0; 2];
    reader.read_exact(&mut first).unwrap();
    let mut late = Hurried { inner: &mut reader, until: Instant::now() };
    let mut rest = [0; 6];
    late.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"234567");
    assert_eq!(late.read(&mut rest).unwrap_err().kind(), io::ErrorKind::TimedOut);
}
