//! Many processes on one store: they find its server or start it, and go on when it is killed, stopped or moved.

use std::fs;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use lockstore::bson::{RawDocumentBuf, rawdoc};
use lockstore::{Clock, OnReply, OpenError, Store, StoreError, SystemClock};
use lockstore_server::{ConnectError, ConnectOptions, Transport, socket_path};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::support::{PROGRAM, Running, Sandbox, stderr, wait_until};

/// A store that processes share, and whose servers end with the test.
pub(crate) struct Shared {
    sandbox: Sandbox,
    servers: std::sync::Mutex<Vec<u32>>,
}

impl Shared {
    fn new() -> Self {
        Self { sandbox: Sandbox::new(), servers: std::sync::Mutex::default() }
    }

    fn path(&self) -> PathBuf {
        self.sandbox.store()
    }

    pub(crate) fn options() -> ConnectOptions {
        let options = ConnectOptions::new().program(PROGRAM).start_timeout(LONG);
        options.grace(Duration::from_millis(100))
    }

    fn connect(&self) -> Transport {
        self.connect_by(&self.path())
    }

    fn connect_by(&self, path: &Path) -> Transport {
        let transport = Self::options().transport(path).unwrap();
        self.note(&transport);
        transport
    }

    /// The server that there is now ends with the test.
    fn note(&self, transport: &Transport) -> u32 {
        let pid = transport.server_pid();
        self.servers.lock().unwrap().push(pid);
        pid
    }

    fn log(&self) -> String {
        fs::read_to_string(self.sandbox.path("locks.redb.log")).unwrap_or_default()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for server in self.servers.lock().unwrap().iter() {
            let _ = kill_process(pid(*server), Signal::KILL);
        }
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap()).unwrap()
}

pub(crate) fn signal(server: u32, signal: Signal) {
    kill_process(pid(server), signal).unwrap();
}

/// Stops it, and returns when it stands still.
fn stop(server: u32) {
    signal(server, Signal::STOP);
    wait_until("it stands still", || {
        let tasks = fs::read_dir(format!("/proc/{server}/task")).unwrap();
        tasks.flatten().all(|task| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.contains(") T ")
        })
    });
}

/// The session of a process: 0 is one that began outside of this container.
fn session(process: &str) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap().parse().unwrap()
}

pub(crate) fn is_alive(server: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{server}/stat")).unwrap_or_default();
    test_kill_process(pid(server)).is_ok() && !stat.contains(") Z ")
}

fn insert(transport: &Transport, id: i32) -> Result<RawDocumentBuf, StoreError> {
    transport.call("d", rawdoc! { "insert": "c", "documents": [{ "_id": id }] }, None)
}

fn count(transport: &Transport) -> i32 {
    let reply = transport.call("d", rawdoc! { "count": "c" }, None).unwrap();
    reply.get_i32("n").unwrap()
}

/// A callback that sends what it is told.
fn told() -> (OnReply, mpsc::Receiver<Result<RawDocumentBuf, StoreError>>) {
    let (sender, receiver) = mpsc::channel();
    (Box::new(move |reply| drop(sender.send(reply))), receiver)
}

fn soon(time: Duration) -> lockstore::Instant {
    SystemClock::new().unwrap().now().saturating_add(time)
}

pub(crate) const LONG: Duration = Duration::from_secs(300);

#[test]
fn the_first_starts_the_server_and_the_others_join_it_by_any_name_of_the_file() {
    let shared = Shared::new();
    let first = shared.connect();
    assert_eq!(insert(&first, 1).unwrap().get_i32("n").unwrap(), 1);
    let link = shared.sandbox.path("link");
    std::os::unix::fs::symlink(shared.path(), &link).unwrap();
    for path in [shared.path(), link, shared.sandbox.path("./locks.redb")] {
        let other = shared.connect_by(&path);
        assert_eq!(other.server_pid(), first.server_pid());
        assert_eq!(count(&other), 1);
    }
    for name in ["locks.redb", "locks.redb.log", "locks.redb.sock"] {
        let mode = fs::metadata(shared.sandbox.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    // It has left our session and folder.
    let server = first.server_pid();
    assert_eq!(fs::read_link(format!("/proc/{server}/cwd")).unwrap(), Path::new("/"));
    assert_ne!(session(&server.to_string()), session("self"));
    for fd in ["0", "1", "2"] {
        let target = fs::read_link(format!("/proc/{server}/fd/{fd}")).unwrap();
        assert_eq!(target, Path::new("/dev/null"), "{fd}");
    }
}

#[test]
fn fifty_that_start_at_once_end_up_with_one_server() {
    let shared = Shared::new();
    let mut children: Vec<_> = (0..50)
        .map(|_| {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args(["--ignored", "--exact", "sharing::a_process_that_connects"]);
            command.env("SHARED_STORE", shared.path()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let transport = shared.connect();
    let distinct = rawdoc! { "distinct": "c", "key": "server" };
    let reply = transport.call("d", distinct, None).unwrap();
    assert_eq!(reply.get_array("values").unwrap().into_iter().count(), 1);
    assert_eq!(count(&transport), 50);
}

/// One of the fifty.
#[test]
#[ignore = "a process of another test"]
fn a_process_that_connects() {
    let Some(path) = std::env::var_os("SHARED_STORE") else { return };
    let transport = Shared::options().start_timeout(LONG).transport(path).unwrap();
    let server = i64::from(transport.server_pid());
    let insert = rawdoc! { "insert": "c", "documents": [{ "server": server }] };
    assert_eq!(transport.call("d", insert, None).unwrap().get_i32("n").unwrap(), 1);
}

#[test]
fn when_the_server_is_killed_everybody_goes_on_with_the_next() {
    let shared = Shared::new();
    let clients: Vec<Transport> = (0..4).map(|_| shared.connect()).collect();
    let done = AtomicUsize::new(0);
    let slowest = thread::scope(|scope| {
        let workers: Vec<_> = clients
            .iter()
            .enumerate()
            .flat_map(|(number, client)| (0..4).map(move |thread| (number * 4 + thread, client)))
            .map(|(number, client)| {
                let done = &done;
                scope.spawn(move || {
                    let mut slowest = Duration::ZERO;
                    for round in 0..200 {
                        let began = Instant::now();
                        let id = i32::try_from(number * 1_000 + round).unwrap();
                        match insert(client, id) {
                            // The server knows no client sessions yet, or it was done and is told so.
                            Ok(_) | Err(StoreError::OutcomeUnknown { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                        slowest = slowest.max(began.elapsed());
                    }
                    slowest
                })
            })
            .collect();
        for kill in 1..=3 {
            wait_until("they work", || done.load(Ordering::Relaxed) >= kill * 400);
            let server =
                clients.iter().map(|client| shared.note(client)).find(|pid| is_alive(*pid));
            if let Some(server) = server {
                signal(server, Signal::KILL);
            }
        }
        workers.into_iter().map(|worker| worker.join().unwrap()).max().unwrap()
    });
    for client in &clients {
        count(client);
        shared.note(client);
    }
    println!("the slowest call took {slowest:?}");
    assert!(slowest < LONG, "{slowest:?}");
}

#[test]
fn the_server_after_one_that_was_killed_takes_over_its_journal() {
    let shared = Shared::new();
    let client = shared.connect();
    // Enough commits for a journal.
    (0..40).for_each(|id| drop(insert(&client, id).unwrap()));
    let server = client.server_pid();
    stop(server);
    let alone = shared.sandbox.path("alone");
    fs::copy(shared.path(), &alone).unwrap();
    let error = Store::open(&alone).unwrap_err();
    assert!(
        matches!(error, OpenError::Journal { .. }),
        "the file alone has not everything: {error}"
    );
    signal(server, Signal::KILL);
    assert_eq!(count(&client), 40);
    assert_ne!(shared.note(&client), server);
    (40..80).for_each(|id| drop(insert(&client, id).unwrap()));
    assert_eq!(count(&client), 80);
    signal(client.server_pid(), Signal::TERM);
    wait_until("it has closed the store", || !is_alive(client.server_pid()));
    assert!(!shared.sandbox.path("locks.redb-journal").exists(), "a server that ends removes it");
    assert!(shared.sandbox.open().check().unwrap().is_sound());
}

#[test]
fn a_wait_outlives_the_server_and_is_answered_by_the_next() {
    let shared = Shared::new();
    shared.sandbox.ok(&["acquire", "k", "--holder", "h", "--ttl", "2s"]);
    let client = shared.connect();
    let (on_reply, reply) = told();
    let _outstanding =
        client.start("admin", rawdoc! { "lockWait": "k", "wait": "forever" }, None, on_reply);
    for end in [Signal::KILL, Signal::TERM] {
        // What comes behind it on the same connection has been answered.
        let (on_ping, pong) = told();
        let _ping = client.start("admin", rawdoc! { "ping": 1 }, None, on_ping);
        pong.recv_timeout(LONG).unwrap().unwrap();
        assert_eq!(count(&client), 0);
        let server = shared.note(&client);
        signal(server, end);
        wait_until("it ends", || !is_alive(server));
    }
    assert!(reply.recv_timeout(LONG).unwrap().unwrap().get_bool("free").unwrap());
    assert_eq!(count(&client), 0);
    shared.note(&client);
}

#[test]
fn a_server_that_was_stopped_keeps_nobody_beyond_the_deadline_and_goes_on_later() {
    let shared = Shared::new();
    let client = shared.connect();
    let server = client.server_pid();
    assert_eq!(count(&client), 0);
    let (on_reply, never) = told();
    let wait = || rawdoc! { "lockWait": "free" };
    drop(client.start("admin", rawdoc! { "ping": 1 }, None, on_reply));
    let _ = never.recv_timeout(LONG);
    stop(server);
    let is_unresponsive = |error: &StoreError| matches!(error, StoreError::ServerUnresponsive { pid } if *pid == server);
    let ping = || rawdoc! { "ping": 1 };
    let error = client.call("admin", ping(), Some(soon(Duration::from_millis(50)))).unwrap_err();
    assert!(is_unresponsive(&error), "{error}");
    // So is a call on a connection that it has not noticed yet.
    let error = client.call("admin", ping(), Some(soon(Duration::from_millis(50)))).unwrap_err();
    assert!(is_unresponsive(&error), "{error}");
    let (on_reply, reply) = told();
    let deadline = Some(soon(Duration::from_millis(50)));
    let _outstanding = client.start("admin", wait(), deadline, on_reply);
    let error = reply.recv_timeout(LONG).unwrap().unwrap_err();
    assert!(is_unresponsive(&error), "{error}");
    // Who comes now is told too.
    let options = Shared::options().start_timeout(Duration::from_millis(200));
    let error = options.transport(shared.path()).unwrap_err();
    assert!(matches!(error, ConnectError::Unresponsive { pid, .. } if pid == server), "{error}");
    // Without a deadline calls wait for it to go on.
    let (on_reply, reply) = told();
    let _outstanding = client.start("admin", wait(), None, on_reply);
    thread::scope(|scope| {
        let counting = scope.spawn(|| count(&client));
        signal(server, Signal::CONT);
        assert_eq!(counting.join().unwrap(), 0);
    });
    assert!(reply.recv_timeout(LONG).unwrap().unwrap().get_bool("free").unwrap());
    assert_eq!(client.server_pid(), server);
}

#[test]
fn a_socket_that_was_deleted_is_made_again() {
    let shared = Shared::new();
    let client = shared.connect();
    let socket = socket_path(shared.path()).unwrap();
    fs::remove_file(&socket).unwrap();
    wait_until("it is there again", || UnixStream::connect(&socket).is_ok());
    let other = shared.connect();
    assert_eq!(other.server_pid(), client.server_pid());
    assert_eq!(count(&client), count(&other));
    fs::remove_file(&socket).unwrap();
    assert_eq!(shared.connect().server_pid(), client.server_pid(), "also who comes before that");
}

#[test]
fn two_hundred_clients_are_served_at_once() {
    let shared = Shared::new();
    let first = shared.connect();
    thread::scope(|scope| {
        for id in 0..200 {
            let shared = &shared;
            scope.spawn(move || {
                let client = shared.connect();
                insert(&client, id).unwrap();
            });
        }
    });
    assert_eq!(count(&first), 200);
}

#[test]
fn who_comes_when_the_server_is_about_to_end_finds_one_all_the_same() {
    let shared = Shared::new();
    for id in 0..20 {
        let options =
            Shared::options().idle_exit(Duration::from_millis(u64::try_from(id % 4).unwrap()));
        let client = options.transport(shared.path()).unwrap();
        shared.note(&client);
        insert(&client, id).unwrap();
    }
    assert_eq!(count(&shared.connect()), 20);
}

#[test]
fn a_path_that_is_too_long_for_a_socket_has_its_server_too() {
    let shared = Shared::new();
    let deep = shared.sandbox.path(&"x".repeat(150));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("locks.redb");
    let client = shared.connect_by(&path);
    insert(&client, 1).unwrap();
    assert_eq!(count(&shared.connect_by(&path)), 1);
    assert!(!socket_path(&path).unwrap().starts_with(&deep));
}

#[test]
fn why_there_is_no_server_is_said() {
    let shared = Shared::new();
    // There is no program.
    let options = ConnectOptions::new().program(shared.sandbox.path("none"));
    let error = options.transport(shared.path()).unwrap_err();
    assert!(
        matches!(&error, ConnectError::NoProgram { looked, .. } if looked.len() == 1),
        "{error}"
    );
    // The folder is open to others.
    let folder = shared.sandbox.path("");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Shared::options().transport(shared.path()).unwrap_err();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(error.to_string().contains("chmod go-w it"), "{error}");
    // It is no store.
    let other = shared.sandbox.path("other");
    fs::write(&other, "my diary").unwrap();
    let error = Shared::options().transport(&other).unwrap_err();
    assert!(matches!(error, ConnectError::Failed { exit_code: Some(4), .. }), "{error:?}");
    assert!(error.to_string().contains("is no store"), "{error}");
}

#[test]
fn a_file_that_another_process_has_open_is_named_with_it_both_ways() {
    let shared = Shared::new();
    let embedded = shared.sandbox.open();
    let options = Shared::options().start_timeout(Duration::from_millis(100));
    let error = options.transport(shared.path()).unwrap_err();
    assert!(matches!(error, ConnectError::InUse { .. }), "{error}");
    let us = format!("is open in process {}", std::process::id());
    assert!(error.to_string().contains(&us), "{error}");
    embedded.close().unwrap();
    let client = shared.connect();
    let error = Store::open(shared.path()).unwrap_err();
    let server = client.server_pid();
    assert!(
        matches!(&error, OpenError::Locked { pid: Some(pid), program: Some(program), .. }
            if *pid == server && program == "lockstore"),
        "{error:?}"
    );
    assert!(error.to_string().contains("Store::connect"), "{error}");
}

#[test]
fn a_server_in_the_background_says_what_it_does_in_its_log() {
    let shared = Shared::new();
    let client = shared.connect();
    wait_until("it logs", || shared.log().contains("serving"));
    signal(client.server_pid(), Signal::TERM);
    wait_until("it logs", || shared.log().contains("stopping"));
    wait_until("it ends", || !is_alive(client.server_pid()));
    assert!(!socket_path(shared.path()).unwrap().exists());
    assert_eq!(count(&client), 0, "and the next is started");
    shared.note(&client);
}

#[test]
fn clients_that_close_leave_no_word_in_the_log() {
    const ROUNDS: usize = 40;
    let shared = Shared::new();
    let stays = shared.connect();
    let _held = stays.call("d", rawdoc! { "lockAcquire": "k", "holder": "stays" }, None).unwrap();
    for round in 0..ROUNDS {
        let store = Shared::options().connect(shared.path()).unwrap();
        let _events = store.subscribe("").unwrap();
        let session = store.session().unwrap();
        let own = store.lock("own").session(&session).acquire().unwrap();
        let mut waits = Box::pin(store.lock("k").session(&session).acquire_async());
        let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        wait_until("it waits", || store.stats().unwrap().waiters == 1);
        // Given up or released at the last moment, or left to the end.
        if round % 2 == 0 {
            drop(waits);
            drop(own);
        }
        store.close().unwrap();
    }
    let server = stays.server_pid();
    stays.close().unwrap();
    signal(server, Signal::TERM);
    wait_until("it ends", || !is_alive(server));
    let log = shared.log();
    // A goodbye waits for the server for a moment only: a busy one may see that the client has gone before it hears of that.
    let (late, words): (Vec<_>, Vec<_>) = log
        .lines()
        .filter(|line| !["serving", "stopping"].iter().any(|word| line.contains(word)))
        .partition(|line| line.contains("a client with sessions is gone"));
    assert!(words.is_empty(), "{}", words.join("\n"));
    assert!(late.len() < ROUNDS, "{}", late.join("\n"));
}

#[test]
fn a_server_whose_disk_is_full_opens_the_store_again_once() {
    let shared = Shared::new();
    // A file may grow to 4 MiB, and then writing fails, as it does on a disk that is full.
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 8192; exec \"$@\"", "sh"];
    let mut server = Running::start(&mut shared.sandbox.command_under(&limited, &["serve"]));
    server.printed_some();
    let connect = || ConnectOptions::new().program("/nowhere").transport(shared.path());
    let mut acknowledged = 0;
    for round in 1..=2 {
        wait_until("it serves", || connect().is_ok_and(|client| count_or_not(&client).is_ok()));
        let client = connect().unwrap();
        assert_eq!(
            count(&client),
            acknowledged,
            "what was acknowledged is there, and nothing else"
        );
        let large = "x".repeat(1 << 20);
        loop {
            assert!(acknowledged < 8, "the limit is not reached");
            let insert = rawdoc! { "insert": "c", "documents": [{ "text": &*large }] };
            match client.call("d", insert, None) {
                Ok(reply) if matches!(reply.get_i32("n"), Ok(1)) => acknowledged += 1,
                _ => break,
            }
        }
        if round == 1 {
            wait_until("it is opened again", || {
                connect().is_ok_and(|client| count_or_not(&client).is_ok())
            });
        }
    }
    let ended = server.ended();
    assert_eq!(ended.status.code(), Some(4));
    assert!(stderr(&ended).contains("stopped for the second time"), "{}", stderr(&ended));
    let store = shared.sandbox.open();
    assert!(store.check().unwrap().is_sound());
}

fn count_or_not(client: &Transport) -> Result<i32, String> {
    let reply = client.call("d", rawdoc! { "count": "c" }, None).map_err(|e| e.to_string())?;
    reply.get_i32("n").map_err(|_| format!("{reply:?}"))
}

#[test]
fn a_second_server_says_by_its_exit_code_that_there_is_one() {
    let shared = Shared::new();
    let client = shared.connect();
    for arguments in [&["serve"][..], &["serve", "--detach"]] {
        let arguments = [arguments, &["--store-timeout", "20ms"]].concat();
        let process = format!("is open in process {} (lockstore)", client.server_pid());
        shared.sandbox.fails_with(5, &arguments, &[&process]);
    }
    assert_eq!(count(&client), 0);
}

#[test]
fn commands_go_through_the_server_that_has_the_file() {
    let shared = Shared::new();
    let sandbox = &shared.sandbox;
    let client = shared.connect();
    let at_once = |words: &[&str]| sandbox.ok(&[words, &["--store-timeout", "20s"]].concat());
    insert(&client, 7).unwrap();
    at_once(&["acquire", "k", "--holder", "h", "--wait", "0"]);
    assert!(at_once(&["ls"]).contains("k "));
    at_once(&["renew", "k", "--holder", "h", "--ttl", "1h"]);
    assert!(at_once(&["show", "k"]).contains("time left"));
    at_once(&["release", "k", "--holder", "h"]);
    at_once(&["wait", "k"]);
    sandbox.fails_with(1, &["release", "k", "--holder", "h"], &["nobody holds \"k\""]);
    at_once(&["acquire", "k", "--wait", "0"]);
    at_once(&["break", "k", "--reason", "a test"]);
    assert!(at_once(&["audit"]).contains("a test"));
    assert_eq!(at_once(&["doc", "find", "d.c"]), "{\"_id\":7}\n");
    at_once(&["doc", "insert", "d.c", "{_id: 8}"]);
    assert_eq!(count(&client), 2);
    assert_eq!(sandbox.json(&["stats", "--json"])["audit_records"], 1);
    assert!(at_once(&["check"]).starts_with("sound"));
    at_once(&["backup", "copy.redb"]);
    assert_eq!(at_once(&["doc", "count", "d.c", "--store", "copy.redb"]), "2\n");
    at_once(&["compact"]);
    let run = ["run", "k", "--", PROGRAM, "show", "k", "--json"];
    assert_eq!(sandbox.json(&run)["key"], "k", "a command of a run joins the same server");
    assert_eq!(at_once(&["ls"]), "");
    assert_eq!(shared.note(&client), client.server_pid());
}

#[test]
fn runs_through_a_server_exclude_each_other_even_by_one_holder() {
    let shared = Shared::new();
    let _client = shared.connect();
    let script = "for i in 1 2 3; do echo $LOCKSTORE_TOKEN >> log; sleep 0.01; done";
    let run = ["run", "k", "--holder", "me", "--", "sh", "-c", script];
    let runs: Vec<_> = (0..4).map(|_| shared.sandbox.start(&run)).collect();
    for run in runs {
        let output = run.ended();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    let log = fs::read_to_string(shared.sandbox.path("log")).unwrap();
    let tokens: Vec<u64> = log.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(tokens.len(), 12);
    assert!(tokens.is_sorted(), "one at a time, and tokens rise: {tokens:?}");
    assert!(tokens.chunks(3).all(|of_one| of_one[0] == of_one[2]), "{tokens:?}");
}

#[test]
fn a_command_that_waits_for_its_turn_joins_the_server_that_comes_before_it() {
    let shared = Shared::new();
    let embedded = shared.sandbox.open();
    let mut command =
        shared.sandbox.command(&["doc", "insert", "d.c", "{}", "--store-timeout", "1h"]);
    let mut waiting = Running::start(command.env("LOCKSTORE_LOG", "debug"));
    waiting.logged("in use");
    // Nobody has the file for longer than the server takes to open it, unless the command comes first.
    embedded.close().unwrap();
    let client = shared.connect();
    assert_eq!(waiting.ended().status.code(), Some(0));
    assert_eq!(count(&client), 1);
}

#[test]
fn a_command_says_which_server_does_not_answer() {
    let shared = Shared::new();
    let server = shared.connect().server_pid();
    stop(server);
    let process = format!("process {server}, which listens on");
    let command = ["ls", "--store-timeout", "50ms"];
    shared.sandbox.fails_with(4, &command, &[&process, "does not answer"]);
}

/// Whoever drops a guard with a lease does not wait for its release; whoever closes the store does.
#[test]
fn releases_that_are_queued_are_made_before_a_store_is_closed() {
    let shared = Shared::new();
    let _server = shared.connect();
    let watching = Shared::options().connect(shared.path()).unwrap();
    for _ in 0..50 {
        let store = Shared::options().connect(shared.path()).unwrap();
        drop(store.lock("k").ttl(LONG).acquire().unwrap());
        store.close().unwrap();
        assert!(!watching.is_locked("k").unwrap());
    }
}

#[test]
fn a_server_waits_for_the_file_only_as_long_as_its_starter() {
    let shared = Shared::new();
    let embedded = shared.sandbox.open();
    let starter = shared.sandbox.start(&["serve", "--detach", "--store-timeout", "1h"]);
    let is_waiting = || {
        let store = shared.path();
        fs::read_dir("/proc").unwrap().any(|process| {
            let line = fs::read(process.unwrap().path().join("cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            words.any(|word| word == b"--in-background")
                && words.any(|word| word == store.as_os_str().as_encoded_bytes())
        })
    };
    wait_until("it waits", is_waiting);
    starter.signal(Signal::KILL);
    wait_until("it has ended", || !is_waiting());
    embedded.close().unwrap();
}
