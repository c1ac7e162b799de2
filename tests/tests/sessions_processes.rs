//! Sessions of real processes, over a real socket: what ends them is the end of their process, told by the kernel, and no timer.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};
use lockstore::presence::{Instance, Process, SessionStanding};
use lockstore::{Limits, SessionError, SessionId, Store, StoreOptions};
use lockstore_server::{Client, Connect, Server, ServerOptions};
use lockstore_testkit::crash::pause;
use lockstore_tests::patience::eventually;
use lockstore_tests::presence::{hello, sessions_in};
use tempfile::TempDir;

/// No test comes near its end.
const GRACE: Duration = Duration::from_secs(3_600);

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

    fn start(&self) -> (Server, Store) {
        self.start_with(StoreOptions::new())
    }

    fn start_with(&self, options: StoreOptions) -> (Server, Store) {
        let store = options.session_grace(GRACE).open(self.file()).unwrap();
        let server = Server::start(store.clone(), self.file(), ServerOptions::new()).unwrap();
        (server, store)
    }
}

/// A process that is a client, and has sessions.
struct Program {
    child: Child,
    sessions: Vec<SessionId>,
}

impl Program {
    fn start(server: &Server, instance: u8, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_session_child"))
            .arg(server.socket())
            .arg(instance.to_string())
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let sessions = lines.take_while(|line| line != "ready");
        let sessions = sessions.map(|line| SessionId::new(line.parse().unwrap()).unwrap());
        Self { sessions: sessions.collect(), child }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn take(store: &Store, key: &str, session: SessionId) {
    store.lock(key).session(&store.session_with(session)).try_acquire().unwrap().leak();
}

fn standing(store: &Store, session: SessionId) -> Option<SessionStanding> {
    let sessions = store.sessions().unwrap();
    sessions.into_iter().find(|info| info.session == session).map(|info| info.standing)
}

fn say(client: &mut Client, instance: u8, process: Process) -> RawDocumentBuf {
    client.run_command(&hello(instance, process)).unwrap()
}

#[test]
fn the_locks_of_a_killed_client_go_at_once_and_those_of_a_stopped_one_stay() {
    let place = Place::new();
    let (server, store) = place.start();
    let [killed, stopped] = [1, 2].map(|instance| Program::start(&server, instance, &["2"]));
    for (n, session) in killed.sessions.iter().enumerate() {
        take(&store, &format!("killed/{n}"), *session);
    }
    take(&store, "stopped", stopped.sessions[0]);
    let paused = pause(stopped.child.id()).unwrap();
    killed.kill();
    assert!(store.wait_until_free("killed/0", None).unwrap());
    assert!(store.wait_until_free("killed/1", None).unwrap());
    eventually("its sessions are over", || store.sessions().unwrap().len() == 2);
    assert_eq!(standing(&store, stopped.sessions[0]), Some(SessionStanding::Connected));
    assert!(store.is_locked("stopped").unwrap());
    paused.resume().unwrap();
    stopped.kill();
    assert!(store.wait_until_free("stopped", None).unwrap());
}

#[test]
fn a_killed_client_whose_child_keeps_its_connection_open_is_dead_all_the_same() {
    let place = Place::new();
    let (server, store) = place.start();
    let program = Program::start(&server, 1, &["1", "inherit"]);
    take(&store, "k", program.sessions[0]);
    program.kill();
    assert!(store.wait_until_free("k", None).unwrap());
    eventually("the server has hung up", || server.connections() == 0);
}

#[test]
fn a_client_that_comes_back_has_its_sessions_and_another_has_not() {
    let place = Place::new();
    let (server, store) = place.start();
    let own = Process::current().unwrap();
    let connect = || Client::connect(server.socket()).unwrap();
    let mut client = connect();
    assert_eq!(sessions_in(&say(&mut client, 1, own)), Some(vec![]));
    let open = rawdoc! { "lockSessionOpen": 1, "$db": "admin" };
    let number = client.run_command(&open).unwrap().get_i64("session").unwrap();
    let session = SessionId::new(number.unsigned_abs()).unwrap();
    take(&store, "k", session);
    drop(client);
    let is_lost = || matches!(standing(&store, session), Some(SessionStanding::Lost { .. }));
    eventually("the server has seen it", is_lost);
    assert_eq!(sessions_in(&say(&mut connect(), 2, own)), Some(vec![]));
    let mut client = connect();
    assert_eq!(sessions_in(&say(&mut client, 1, own)), Some(vec![number]));
    assert_eq!(standing(&store, session), Some(SessionStanding::Connected));
    // One that comes before the server knows that the last connection is gone.
    let mut next = connect();
    assert_eq!(sessions_in(&say(&mut next, 1, own)), Some(vec![number]));
    drop(client);
    eventually("the old one is gone", || server.connections() == 1);
    assert_eq!(standing(&store, session), Some(SessionStanding::Connected));

    let close = rawdoc! { "lockSessionClose": number, "$db": "admin" };
    let mut stranger = connect();
    say(&mut stranger, 3, own);
    assert!(!stranger.run_command(&close).unwrap().get_bool("closed").unwrap());
    assert!(next.run_command(&close).unwrap().get_bool("closed").unwrap());
    assert!(!store.is_locked("k").unwrap());
    assert!(!next.run_command(&close).unwrap().get_bool("closed").unwrap());
}

#[test]
fn sessions_outlive_a_restart_of_the_server_and_end_when_their_process_does() {
    let place = Place::new();
    let (server, store) = place.start();
    let [dies_meanwhile, dies_later, stays] =
        [1, 2, 3].map(|instance| Program::start(&server, instance, &["1"]));
    let keys = ["meanwhile", "later", "stays"];
    for (key, program) in keys.into_iter().zip([&dies_meanwhile, &dies_later, &stays]) {
        take(&store, key, program.sessions[0]);
    }
    server.stop().unwrap();
    drop(store);
    dies_meanwhile.kill();
    let (server, store) = place.start();
    assert_eq!(store.recovery().unwrap().sessions, 2);
    assert!(!store.is_locked("meanwhile").unwrap());
    assert!(store.is_locked("later").unwrap() && store.is_locked("stays").unwrap());
    // In the grace, and without a connection.
    dies_later.kill();
    assert!(store.wait_until_free("later", None).unwrap());
    let sessions = store.sessions().unwrap();
    assert!(matches!(sessions[0].standing, SessionStanding::Lost { .. }) && sessions.len() == 1);
    assert_eq!(sessions[0].session, stays.sessions[0]);
    assert!(store.check().unwrap().is_sound());
    drop(server);
}

#[test]
fn who_says_to_be_another_process_is_refused() {
    let place = Place::new();
    let (server, store) = place.start();
    let program = Program::start(&server, 1, &["1"]);
    let own = Process::current().unwrap();
    let other = Process::with_pid(program.child.id()).unwrap();
    let mut client = Client::connect(server.socket()).unwrap();
    let open = rawdoc! { "lockSessionOpen": 1, "$db": "admin" };
    assert_eq!(
        client.run_command(&open).unwrap().get_i32("code").unwrap(),
        20,
        "it has not said who"
    );
    assert_eq!(say(&mut client, 2, other).get_i32("code").unwrap(), 13, "it is another process");
    let early = Process { started_ticks: own.started_ticks - 1, ..own };
    assert_eq!(say(&mut client, 2, early).get_i32("code").unwrap(), 13);
    assert_eq!(say(&mut client, 1, own).get_i32("code").unwrap(), 13, "the client is another's");
    let nothing = rawdoc! { "lockHello": 1, "$db": "admin" };
    assert_eq!(client.run_command(&nothing).unwrap().get_i32("code").unwrap(), 2);
    // None of this has done the other any harm.
    assert_eq!(standing(&store, program.sessions[0]), Some(SessionStanding::Connected));
    assert_eq!(store.presence_of(Instance([1; 16])).unwrap(), Some(other));
    assert_eq!(sessions_in(&say(&mut client, 2, own)), Some(vec![]));
    assert_eq!(say(&mut client, 2, own).get_i32("code").unwrap(), 20, "once is enough");
}

#[test]
fn a_client_that_opens_one_session_too_many_is_told_the_bound() {
    let place = Place::new();
    let limits = Limits { sessions_max: 1, ..Limits::default() };
    let (server, _) = place.start_with(StoreOptions::new().limits(limits));
    let client = Store::connect(place.file()).unwrap();
    let session = client.session().unwrap();
    let refused = client.session().unwrap_err();
    assert!(matches!(refused, SessionError::LimitReached { max: 1 }), "{refused:?}");
    session.end().unwrap();
    client.session().unwrap().end().unwrap();
    client.close().unwrap();
    server.stop().unwrap();
}

#[test]
fn sessions_are_listed() {
    let place = Place::new();
    let (server, store) = place.start();
    let program = Program::start(&server, 1, &["1"]);
    take(&store, "k", program.sessions[0]);
    let mut client = Client::connect(server.socket()).unwrap();
    let reply = client.run_command(&rawdoc! { "lockSessions": 1, "$db": "admin" }).unwrap();
    let sessions = reply.get_array("sessions").unwrap();
    let shown = sessions.get_document(0).unwrap();
    assert_eq!(shown.get_i64("pid").unwrap(), i64::from(program.child.id()));
    assert_eq!(shown.get_i64("session").unwrap().unsigned_abs(), program.sessions[0].get());
    assert_eq!(shown.get_i64("locks").unwrap(), 1);
    assert_eq!(shown.get_str("standing").unwrap(), "connected");
    shown.get_datetime("since").unwrap();
}
