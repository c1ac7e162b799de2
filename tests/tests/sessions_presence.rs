//! Sessions that are the presence of other processes: they outlive the store's own process, and end when theirs does.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lockstore::bson::{Document, doc};
use lockstore::presence::{
    Instance, Life, Presence, Process, SessionInfo, SessionOwner, SessionStanding, TakeUpError,
};
use lockstore::{
    AcquireError, EndCause, Event, EventKind, LockGuard, SessionError, SessionId, Store, StoreError,
};
use lockstore_tests::deployment::Deployment;
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::{PATIENCE, eventually};
use lockstore_tests::task::Task;

/// The default of the grace.
const GRACE: Duration = secs(10);

/// Just before its end.
const ALMOST: Duration = Duration::from_millis(9_999);

/// A process that does nothing, until it is killed.
struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        let child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        Self(child.expect("there is a cat"))
    }

    fn process(&self, machine: &Machine) -> Process {
        let process = Process::with_pid(self.0.id()).expect("it runs");
        Process { boot_id: lockstore::Clock::boot_id(&machine.clock), ..process }
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.kill();
    }
}

fn client(number: u8, process: Process) -> Presence {
    Presence { instance: Instance([number; 16]), process }
}

/// Process and client that nobody here can look at, as in a container.
fn elsewhere(number: u8, machine: &Machine) -> Presence {
    let process = Process::current().unwrap();
    let boot_id = lockstore::Clock::boot_id(&machine.clock);
    let pid_namespace = process.pid_namespace + 1;
    client(number, Process { boot_id, pid_namespace, ..process })
}

fn take(store: &Store, key: &str, session: SessionId) {
    let session = store.session_with(session);
    store.lock(key).holder("h").session(&session).try_acquire().unwrap().leak();
}

fn is_locked(store: &Store, key: &str) -> bool {
    store.is_locked(key).unwrap()
}

#[track_caller]
fn check(store: &Store) {
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

#[test]
fn a_session_goes_on_when_the_store_is_killed_and_its_process_is_not() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    take(&store, "bound", session);
    let own = store.session().unwrap();
    store.lock("own").session(&own).acquire().unwrap().leak();

    let machine = machine.after_kill();
    let next = machine.open();
    let recovery = next.recovery().unwrap();
    assert_eq!((recovery.sessions, recovery.sessions_ended), (1, 1));
    assert!(is_locked(&next, "bound") && !is_locked(&next, "own"));
    let infos = next.sessions().unwrap();
    assert_eq!((infos.len(), infos[0].session, infos[0].locks), (1, session, 1));
    assert_eq!(infos[0].standing, SessionStanding::Lost { remaining: GRACE });
    let is_its = |info: &SessionInfo| matches!(info.owner, SessionOwner::Client { presence, .. } if presence == owner);
    assert!(is_its(&infos[0]), "{infos:?}");
    check(&next);

    machine.clock.advance(ALMOST);
    assert_eq!(next.session_taken_up(owner).unwrap(), [session]);
    machine.clock.advance(GRACE);
    assert_eq!(next.sessions().unwrap()[0].standing, SessionStanding::Connected);
    take(&next, "bound too", session);
    let later = next.open_session(owner).unwrap();
    assert!(later > session, "no number is given twice");
    check(&next);
    assert!(next.close_session(owner.instance, session).unwrap());
    assert!(!next.close_session(owner.instance, session).unwrap(), "it is closed");
    assert_eq!(next.list("", None, 10).unwrap(), []);
    check(&next);
}

#[test]
fn a_client_that_comes_back_after_the_grace_has_no_session() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    take(&store, "k", session);
    assert_eq!(store.session_lost(owner.instance).unwrap(), Some(Life::Alive));
    machine.clock.advance(ALMOST);
    assert!(is_locked(&store, "k"));
    let waiting = Task::pending(store.lock("k").acquire_async());
    machine.clock.advance(Duration::from_millis(1));
    waiting.outcome().unwrap().leak();
    assert_eq!(store.session_taken_up(owner).unwrap(), []);
    assert_eq!(store.sessions().unwrap(), []);
    let refused = store.lock("other").session(&store.session_with(session)).acquire();
    assert!(matches!(refused, Err(AcquireError::SessionEnded)));
    check(&store);
}

#[test]
fn the_sessions_of_a_process_that_died_while_the_store_was_closed_are_over_before_anything_is_served()
 {
    let machine = Machine::new();
    let (mut dies, lives) = (Sleeper::new(), Sleeper::new());
    let store = machine.open();
    let dead = store.open_session(client(1, dies.process(&machine))).unwrap();
    take(&store, "dead's", dead);
    take(&store, "dead's other", dead);
    let living = store.open_session(client(2, lives.process(&machine))).unwrap();
    take(&store, "living's", living);
    store.close().unwrap();
    dies.kill();
    let store = machine.open();
    let recovery = store.recovery().unwrap();
    assert_eq!((recovery.sessions_ended, recovery.sessions), (2, 1));
    assert!(!is_locked(&store, "dead's") && !is_locked(&store, "dead's other"));
    assert!(is_locked(&store, "living's"));
    check(&store);
}

#[test]
fn a_pid_that_is_given_again_does_not_keep_a_session() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let now = sleeper.process(&machine);
    let before = Process { started_ticks: now.started_ticks - 1, ..now };
    let store = machine.open();
    let session = store.open_session(client(1, before)).unwrap();
    take(&store, "k", session);
    drop(store);
    let store = machine.open();
    assert!(!is_locked(&store, "k") && store.sessions().unwrap().is_empty());
    check(&store);
}

#[test]
fn a_boot_ends_all_sessions() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let store = machine.open();
    let here = store.open_session(client(1, sleeper.process(&machine))).unwrap();
    let there = store.open_session(elsewhere(2, &machine)).unwrap();
    take(&store, "here", here);
    take(&store, "there", there);
    store.lock("endless").acquire().unwrap().leak();
    let machine = machine.after_power_loss(store, secs(1));
    let store = machine.open();
    assert_eq!(store.sessions().unwrap(), []);
    assert!(!is_locked(&store, "here") && !is_locked(&store, "there"));
    assert!(is_locked(&store, "endless"));
    check(&store);
}

#[test]
fn a_store_that_restarts_again_and_again_does_not_keep_the_session_of_who_may_be_dead() {
    let mut machine = Machine::new();
    let sleeper = Sleeper::new();
    let store = machine.open();
    let unknown = store.open_session(elsewhere(1, &machine)).unwrap();
    let alive = store.open_session(client(2, sleeper.process(&machine))).unwrap();
    take(&store, "unknown's", unknown);
    take(&store, "living's", alive);
    for crash in 0..20 {
        machine = machine.after_kill();
        let store = machine.open();
        let is_kept = crash * secs(1) < GRACE;
        assert_eq!(is_locked(&store, "unknown's"), is_kept, "after {crash} crashes");
        assert!(is_locked(&store, "living's"), "it can be seen to live, and is given its time");
        check(&store);
        machine.clock.advance(secs(1));
    }
}

#[test]
fn a_client_that_was_taken_up_has_the_whole_grace_at_the_next_opening() {
    let machine = Machine::new();
    let owner = elsewhere(1, &machine);
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    for _ in 0..3 {
        let store = machine.after_kill().open();
        machine.clock.advance(ALMOST);
        assert_eq!(store.session_taken_up(owner).unwrap(), [session]);
        check(&store);
    }
}

#[test]
fn a_process_that_dies_in_the_grace_is_not_waited_for() {
    let machine = Machine::new();
    let mut sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    take(&store, "k", session);
    store.session_lost(owner.instance).unwrap();
    assert!(is_locked(&store, "k"));
    sleeper.kill();
    let before = store.stats().unwrap().commits;
    assert_eq!(store.session_lost(owner.instance).unwrap(), Some(Life::Dead));
    assert!(!is_locked(&store, "k"));
    assert_eq!(store.stats().unwrap().commits, before + 1, "all of it is one commit");
    assert_eq!(store.session_lost(owner.instance).unwrap(), None, "it has no sessions");
    check(&store);
}

#[test]
fn a_second_loss_does_not_prolong_the_grace() {
    let machine = Machine::new();
    let owner = elsewhere(1, &machine);
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    take(&store, "k", session);
    store.session_lost(owner.instance).unwrap();
    machine.clock.advance(secs(9));
    store.session_lost(owner.instance).unwrap();
    let waiting = Task::pending(store.lock("k").acquire_async());
    machine.clock.advance(secs(1));
    waiting.outcome().unwrap().leak();
}

#[test]
fn another_process_does_not_take_up_what_it_has_inherited() {
    let machine = Machine::new();
    let (parent, child) = (Sleeper::new(), Sleeper::new());
    let owner = client(1, parent.process(&machine));
    let heir = client(1, child.process(&machine));
    let store = machine.open();
    let session = store.open_session(owner).unwrap();
    take(&store, "k", session);
    store.session_lost(owner.instance).unwrap();
    let refused = store.session_taken_up(heir).unwrap_err();
    assert!(matches!(refused, TakeUpError::OtherProcess { .. }), "{refused}");
    assert!(!store.close_session(Instance([2; 16]), session).unwrap(), "it is not that client's");
    assert!(matches!(store.sessions().unwrap()[0].standing, SessionStanding::Lost { .. }));
}

/// Waits before locks, in bounded steps, and a crash between two of them changes nothing of where it ends.
#[test]
fn a_session_with_ten_thousand_locks_ends_whatever_comes_in_between() {
    const LOCKS: usize = 10_000;
    let machine = Machine::new();
    let mut sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open_with(machine.options().events_max(2 * LOCKS));
    let id = store.open_session(owner).unwrap();
    let session = store.session_with(id);
    let guards: Vec<_> = (0..LOCKS)
        .map(|n| Task::new(store.lock(&format!("{n}")).session(&session).acquire_async()))
        .collect();
    for guard in guards {
        guard.outcome().unwrap().leak();
    }
    let before = machine.after_kill();
    let events = store.subscribe("").unwrap();
    sleeper.kill();
    store.session_lost(owner.instance).unwrap();
    let in_between = machine.after_kill();
    assert!(store.stats().unwrap().locks < LOCKS);
    let (mut ended, mut most, mut in_batch) = (0, 0, (0, 0));
    loop {
        let Event { sequence, kind } = events.recv_timeout(PATIENCE).unwrap();
        match kind {
            EventKind::Ended { cause: EndCause::SessionEnded, .. } => ended += 1,
            EventKind::SessionClosed { session } if session == id => break,
            kind => panic!("{kind:?}"),
        }
        in_batch = if in_batch.0 == sequence { (sequence, in_batch.1 + 1) } else { (sequence, 1) };
        most = most.max(in_batch.1);
    }
    assert_eq!(ended, LOCKS);
    assert!(most <= 1_024, "one batch ended {most}");
    check(&store);
    for machine in [before, in_between, machine.after_kill()] {
        let store = machine.open();
        assert_eq!((store.list("", None, 1).unwrap(), store.sessions().unwrap()), (vec![], vec![]));
        check(&store);
    }
}

/// The client asked for it, and lives: what was begun is finished without it.
#[test]
fn a_session_whose_end_has_begun_is_over_at_the_next_opening() {
    const LOCKS: usize = 600;
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let id = store.open_session(owner).unwrap();
    (0..LOCKS).for_each(|n| take(&store, &format!("{n}"), id));
    let held = machine.disk.hold_syncs();
    let closing = std::thread::spawn({
        let store = store.clone();
        move || store.close_session(owner.instance, id)
    });
    eventually("the first step is on its way", || {
        held.wait_for_sync(Duration::from_millis(1)) || closing.is_finished()
    });
    drop(held);
    eventually("some are over", || store.stats().unwrap().locks < LOCKS);
    let killed = machine.after_kill();
    assert!(closing.join().unwrap().unwrap());
    let store = killed.open();
    assert_eq!((store.list("", None, 1).unwrap(), store.sessions().unwrap()), (vec![], vec![]));
    check(&store);
}

#[test]
fn the_waits_of_a_lost_session_end_with_it_and_get_nothing() {
    let machine = Machine::new();
    let mut sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let session = store.session_with(store.open_session(owner).unwrap());
    let held = store.lock("k").acquire().unwrap();
    let dead = Task::pending(store.lock("k").session(&session).acquire_async());
    let alive = Task::pending(store.lock("k").acquire_async());
    eventually("both wait", || store.stats().unwrap().waiters == 2);
    assert_eq!(store.sessions().unwrap()[0].waiters, 1);
    sleeper.kill();
    store.session_lost(owner.instance).unwrap();
    assert!(matches!(dead.outcome(), Err(AcquireError::SessionEnded)));
    held.release().unwrap();
    alive.outcome().map(LockGuard::leak).unwrap();
    check(&store);
}

#[test]
fn a_lease_of_a_session_ends_by_its_ttl_all_the_same() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let store = machine.open();
    let id = store.open_session(client(1, sleeper.process(&machine))).unwrap();
    let session = store.session_with(id);
    store.lock("k").ttl(secs(5)).session(&session).acquire().unwrap().leak();
    let machine = machine.after_kill();
    let store = machine.open();
    machine.clock.advance(secs(4));
    assert!(is_locked(&store, "k"));
    machine.clock.advance(secs(1));
    assert!(store.wait_until_free("k", None).unwrap());
    assert_eq!(store.sessions().unwrap()[0].session, id, "the session goes on");
    check(&store);
}

/// In the commit in which its session ends: nobody sees the one without the other.
#[test]
fn the_documents_of_a_dead_process_are_unlocked_with_its_locks() {
    let machine = Machine::new();
    let mut sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let jobs = store.database("factory").collection::<Document>("jobs");
    jobs.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).run().unwrap();
    let session = store.session_with(store.open_session(owner).unwrap());
    let lock =
        |id: i32| jobs.lock_document(doc! { "_id": id }).session(&session).acquire().unwrap();
    let locks = [lock(1), lock(2)];
    take(&store, "k", session.id());
    let infos = store.sessions().unwrap();
    assert_eq!((infos[0].locks, infos[0].document_locks), (1, 2));
    let outlived = machine.after_kill();
    let is_locked_in = |store: &Store| {
        let jobs = store.database("factory").collection::<Document>("jobs");
        let locked = jobs.find(doc! { "lock_id": { "$ne": null } }).run().unwrap();
        locked.count()
    };
    {
        let store = outlived.open();
        assert_eq!(is_locked_in(&store), 2, "it may be there still");
        check(&store);
    }
    let waiting =
        Task::pending(jobs.lock_document(doc! { "_id": 1 }).sleep(secs(1)).acquire_async());
    eventually("it waits", || store.stats().unwrap().waiters == 1);
    sleeper.kill();
    let commits = store.stats().unwrap().commits;
    store.session_lost(owner.instance).unwrap();
    assert_eq!(store.stats().unwrap().commits, commits + 1);
    assert!(!store.is_locked("k").unwrap());
    assert!(waiting.outcome().unwrap().holds(), "the next one has it in the same commit");
    assert!(locks.iter().all(|lock| lock.renew().is_err()));
    check(&store);
    let store = outlived.after_kill().open();
    assert_eq!((is_locked_in(&store), store.stats().unwrap().document_locks), (0, 0));
    check(&store);
}

#[test]
fn fewer_sessions_and_locks_may_be_allowed_than_there_are() {
    let machine = Machine::new();
    let sleeper = Sleeper::new();
    let owner = client(1, sleeper.process(&machine));
    let store = machine.open();
    let [first, _] = [(); 2].map(|()| store.open_session(owner).unwrap());
    (0..5).for_each(|n| take(&store, &format!("{n}"), first));
    let machine = machine.after_kill();
    let limits =
        lockstore::Limits { sessions_max: 1, locks_per_session_max: 2, ..Default::default() };
    let store = machine.open_with(machine.options().limits(limits));
    assert_eq!(store.session_taken_up(owner).unwrap().len(), 2);
    assert!(matches!(store.open_session(owner), Err(SessionError::LimitReached { max: 1 })));
    let more = store.lock("more").session(&store.session_with(first)).try_acquire();
    assert!(matches!(more, Err(AcquireError::LimitReached { .. })), "{more:?}");
    check(&store);
}

#[test]
fn only_who_has_the_file_open_is_asked_about_other_processes() {
    let store = Deployment::Commands.in_memory();
    let presence = Presence { instance: Instance([1; 16]), process: Process::current().unwrap() };
    let elsewhere = |error: &StoreError| matches!(error, StoreError::Elsewhere { .. });
    assert_eq!(store.sessions().unwrap().len(), 0, "these are told to everybody");
    assert!(store.presence_of(presence.instance).is_err_and(|error| elsewhere(&error)));
    assert!(store.session_lost(presence.instance).is_err_and(|error| elsewhere(&error)));
    assert!(matches!(
        store.session_taken_up(presence),
        Err(TakeUpError::Store(StoreError::Elsewhere { .. }))
    ));
    assert!(matches!(
        store.open_session(presence),
        Err(SessionError::Store(StoreError::Elsewhere { .. }))
    ));
}
