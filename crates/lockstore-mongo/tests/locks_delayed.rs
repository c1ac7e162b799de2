//! Writes that the network keeps, and delivers when nobody expects them any more.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bson::{Document, doc};
use lockstore::{
    AcquireError, Collection, DocumentError, LockDocumentError, LockManager, Store, StoreError,
};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// A way to a member that can keep messages.
struct Network {
    port: u16,
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What the next messages have to contain that are kept, one of it, and how many there are to be.
    wanted: Mutex<(&'static [&'static str], usize)>,
    messages: Mutex<Vec<Vec<u8>>>,
    member: Mutex<String>,
}

impl Network {
    fn to(member: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Arc::new(Kept::default());
        member.clone_into(&mut kept.member.lock().unwrap());
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), kept) = (client, Arc::clone(&shared)) else { return };
                thread::spawn(move || pass(client, &kept));
            }
        });
        Self { port, kept }
    }

    /// Keeps the next messages that have one of `texts` in them. Whoever sends one sees its connection break.
    fn keep(&self, texts: &'static [&'static str], messages: usize) {
        *self.kept.wanted.lock().unwrap() = (texts, messages);
    }

    /// Keeps nothing any more.
    fn keep_nothing(&self) {
        self.keep(&[], 0);
    }

    /// Delivers what was kept, and waits for the replies.
    fn deliver(&self) -> usize {
        let messages = std::mem::take(&mut *self.kept.messages.lock().unwrap());
        for message in &messages {
            let mut member = TcpStream::connect(&*self.kept.member.lock().unwrap()).unwrap();
            member.write_all(message).unwrap();
            read_message(&mut member).unwrap();
        }
        messages.len()
    }
}

impl Kept {
    fn takes(&self, message: &[u8]) -> bool {
        let mut wanted = self.wanted.lock().unwrap();
        let (texts, left) = &mut *wanted;
        let has = |text: &str| message.windows(text.len()).any(|it| it == text.as_bytes());
        if *left == 0 || !texts.iter().any(|text| has(text)) {
            return false;
        }
        *left -= 1;
        self.messages.lock().unwrap().push(message.to_vec());
        true
    }
}

fn pass(mut client: TcpStream, kept: &Kept) {
    let mut member = TcpStream::connect(&*kept.member.lock().unwrap()).unwrap();
    let (mut back, mut to_client) = (member.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        // It ends when either side has gone.
        let _ = std::io::copy(&mut back, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    while let Ok(message) = read_message(&mut client) {
        if kept.takes(&message) || member.write_all(&message).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = member.shutdown(Shutdown::Both);
}

fn read_message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = vec![0; usize::try_from(u32::from_le_bytes(length)).unwrap()];
    message[..4].copy_from_slice(&length);
    from.read_exact(&mut message[4..])?;
    Ok(message)
}

/// A store whose network keeps messages, and one whose does not.
struct Two {
    network: Network,
    store: Store,
    other: Store,
    locks: String,
}

impl Two {
    fn with(options: &ReplicaSetOptions) -> Self {
        let (set, locks) = (ReplicaSet::shared(), new_database());
        let primary = set.primary().unwrap();
        let uri = set.uri();
        let members = uri.trim_start_matches("mongodb://").split('/').next().unwrap();
        let network = Network::to(members.split(',').nth(primary).unwrap());
        let address = format!("mongodb://127.0.0.1:{}/?directConnection=true", network.port);
        let connect = |address| options.clone().database(&locks).connect(address).unwrap();
        let (store, other) = (connect(&address), connect(&uri));
        Self { network, store, other, locks }
    }

    fn waits_for(&self, what: &str, is_so: impl Fn(&Store) -> bool) {
        let start = Instant::now();
        while !is_so(&self.other) {
            assert!(start.elapsed() < PATIENCE, "waited too long until {what}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_write_that_arrives_when_it_was_given_up_changes_nothing() {
    let Two { network, store, other, .. } = Two::with(&ReplicaSetOptions::new());
    network.keep(&["findAndModify"], 1);
    let guard = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    guard.release().unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(!store.is_locked("k").unwrap(), "the first attempt was granted nothing");

    // The same where somebody else has the lock by the time that is found out.
    let held = other.lock("k").holder("b").acquire().unwrap();
    network.keep(&["findAndModify"], 1);
    let refused = store.lock("k").holder("a").try_acquire().unwrap_err();
    assert!(matches!(refused, AcquireError::Held { .. }), "{refused}");
    held.release().unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(!store.is_locked("k").unwrap(), "nobody was granted it who has been refused");

    // The same of a release that names no grant.
    let before = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    before.leak();
    network.keep(&["released"], 1);
    store.release_lock("k", "a").unwrap();
    assert!(!store.is_locked("k").unwrap());
    let later = store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(store.is_locked("k").unwrap(), "the first attempt has released nothing");
    later.release().unwrap();
}

/// Where a process has written a lock last, its next write rests on that, and has no number.
#[test]
fn a_write_that_rests_on_the_process_s_last_changes_nothing_when_it_arrives_late() {
    let Two { network, store, other, .. } = Two::with(&ReplicaSetOptions::new());
    let acquire = || store.lock("k").holder("a").acquire_timeout(PATIENCE).unwrap();
    acquire().release().unwrap();
    network.keep(&["findAndModify"], 1);
    acquire().release().unwrap();
    assert_eq!(network.deliver(), 1);
    assert!(!other.is_locked("k").unwrap(), "the first attempt was granted nothing");

    acquire().release().unwrap();
    let held = acquire();
    network.keep(&["released"], 1);
    held.release().unwrap();
    let later = acquire();
    assert_eq!(network.deliver(), 1);
    assert!(other.is_locked("k").unwrap(), "the first attempt has released nothing");
    later.release().unwrap();

    // The same where others have had it meanwhile.
    for _ in 0..3 {
        other.lock("k").holder("b").acquire().unwrap().release().unwrap();
        network.keep(&["findAndModify"], 1);
        let held = acquire();
        assert_eq!(network.deliver(), 1);
        network.keep(&["released"], 1);
        held.release().unwrap();
        let theirs = other.lock("k").holder("b").acquire().unwrap();
        assert_eq!(network.deliver(), 1);
        theirs.release().expect("nobody has released it");
    }
}

#[test]
fn a_release_of_which_nobody_knows_ends_nothing_that_was_acquired_behind_its_answer() {
    let two = Two::with(&ReplicaSetOptions::new().patience(Duration::from_secs(1)));
    let Two { network, store, other, .. } = &two;
    // Its writes are kept until its caller is told that nobody knows; the second time also those that would make them void.
    for (key, kept) in [("step", &["released"][..]), ("at once", &["released", "voided"])] {
        let held = store.lock(key).holder("a").acquire_timeout(PATIENCE).unwrap();
        network.keep(kept, usize::MAX);
        let unknown = held.release().unwrap_err();
        let told = format!("{unknown:?}");
        assert!(told.contains("OutcomeUnknown"), "{told}");
        let joined = other.lock(key).holder("a").try_acquire().unwrap();
        assert!(network.deliver() > 0);
        assert!(other.is_locked(key).unwrap(), "{key}: it was rejoined");
        network.keep_nothing();
        joined.release().unwrap();

        // The same of one that names no grant, and of one that its holder has acquired anew.
        store.lock(key).holder("a").acquire_timeout(PATIENCE).unwrap().leak();
        network.keep(kept, usize::MAX);
        let told = format!("{:?}", store.release_lock(key, "a").unwrap_err());
        assert!(told.contains("OutcomeUnknown"), "{told}");
        other.release_lock(key, "a").unwrap();
        let anew = other.lock(key).holder("a").try_acquire().unwrap();
        assert!(network.deliver() > 0);
        assert!(other.is_locked(key).unwrap(), "{key}: it was acquired anew");
        network.keep_nothing();
        anew.release().unwrap();
    }
}

#[test]
fn who_was_refused_is_not_put_into_the_line_later() {
    let Two { network, store, other, .. } = Two::with(&ReplicaSetOptions::new());
    let held = other.lock("k").holder("b").acquire().unwrap();
    let session = store.session().unwrap();
    // The driver sends it twice after what was tried at once, and by then it is too late to wait.
    network.keep(&["findAndModify"], 3);
    let wanted = store.lock("k").holder("a").session(&session);
    wanted.acquire_timeout(Duration::from_millis(100)).unwrap_err();
    assert_eq!(network.deliver(), 3);
    assert_eq!(other.stats().unwrap().waiters, 0);
    held.release().unwrap();
    assert!(!other.is_locked("k").unwrap());
}

#[test]
fn who_could_not_leave_the_line_in_time_leaves_it_later() {
    let two = Two::with(&ReplicaSetOptions::new().patience(Duration::from_secs(1)));
    let Two { network, store, other, .. } = &two;
    let held = other.lock("k").holder("b").acquire().unwrap();
    let session = store.session().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let wanted = store.lock("k").holder("a").session(&session);
            wanted.acquire_timeout(Duration::from_secs(2))
        });
        two.waits_for("it stands in the line", |other| other.stats().unwrap().waiters == 1);
        network.keep(&["findAndModify"], usize::MAX);
        waits.join().unwrap().unwrap_err();
    });
    assert_eq!(other.stats().unwrap().waiters, 1);
    network.keep_nothing();
    two.waits_for("it has left", |other| other.stats().unwrap().waiters == 0);
    held.release().unwrap();
    assert!(network.deliver() > 0);
    assert!(!other.is_locked("k").unwrap());
}

#[test]
fn what_is_granted_to_a_call_of_which_nobody_knows_is_given_back() {
    const AWAY: &[&str] = &["findAndModify", "voided"];
    let two = Two::with(&ReplicaSetOptions::new().patience(Duration::from_secs(1)));
    let Two { network, store, other, locks } = &two;
    let unknown = |key| {
        network.keep(AWAY, usize::MAX);
        let unknown = store.lock(key).holder("a").try_acquire().unwrap_err();
        let AcquireError::Store(StoreError::OutcomeUnknown { .. }) = unknown else {
            panic!("{unknown}")
        };
    };
    // It was granted, and the reply was lost.
    unknown("done");
    assert!(network.deliver() > 0);
    assert!(other.is_locked("done").unwrap());
    network.keep_nothing();
    two.waits_for("it is given back", |other| !other.is_locked("done").unwrap());

    // It is still on its way.
    let counters = other.database(locks).collection::<Document>("counters");
    let voided = || {
        let found = counters.find_one(doc! { "_id": "voided" }).run().unwrap();
        found.map_or(0, |counter| counter.get_i64("last").unwrap())
    };
    let before = voided();
    unknown("late");
    network.keep_nothing();
    two.waits_for("it is void", |_| voided() > before);
    assert!(network.deliver() > 0);
    assert!(!other.is_locked("late").unwrap(), "nobody was granted it");
}

#[test]
fn a_document_that_is_locked_for_a_call_of_which_nobody_knows_is_given_back() {
    const COMMIT: &[&str] = &["commitTransaction"];
    let two = Two::with(&ReplicaSetOptions::new().patience(SHORT));
    let Two { network, store, other, .. } = &two;
    let database = new_database();
    let jobs_of = |store: &Store| -> Collection { store.database(&database).collection("jobs") };
    let (jobs, others) = (jobs_of(store), jobs_of(other));
    others.insert_many([doc! { "_id": "late" }, doc! { "_id": "done" }]).run().unwrap();
    let unknown = |id, away| {
        network.keep(away, usize::MAX);
        let unknown = jobs.lock_document(doc! { "_id": id }).acquire().unwrap_err();
        let LockDocumentError::Document(DocumentError::Store(StoreError::OutcomeUnknown {
            ..
        })) = unknown
        else {
            panic!("{unknown:?}")
        };
    };
    let is_free = |id| {
        let job: Document = others.find_one(doc! { "_id": id }).run().unwrap().unwrap();
        lockstore::get_lock_id(&job).is_none()
    };
    // Its commit is still on its way. While its transaction is open, nobody else can change the document.
    unknown("late", COMMIT);
    network.keep_nothing();
    two.waits_for("its transaction is over", |_| {
        let seen = doc! { "$set": { "seen": true } };
        others.update_one(doc! { "_id": "late" }, seen).max_time(SHORT).run().is_ok()
    });
    assert!(network.deliver() > 0);
    assert!(is_free("late"), "nobody has locked it");

    // It was committed, the reply was lost, and for longer than any call is patient nothing else can be committed.
    unknown("done", &["commitTransaction", "singleBatch"]);
    assert!(network.deliver() > 0);
    assert!(!is_free("done"));
    network.keep(COMMIT, usize::MAX);
    thread::sleep(SHORT * 4);
    network.keep_nothing();
    two.waits_for("it is given back", |_| is_free("done"));
}

#[test]
fn a_grant_whose_session_may_be_over_is_given_back() {
    let options = ReplicaSetOptions::new().session_ttl(PATIENCE * 10);
    let two = Two::with(&options.patience(Duration::from_secs(1)));
    let Two { network, store, .. } = &two;
    let session = store.session().unwrap();
    // Nothing is heard of sessions.
    network.keep(&["$until"], usize::MAX);
    let unknown = store.lock("k").session(&session).try_acquire().unwrap_err();
    let AcquireError::Store(StoreError::OutcomeUnknown { .. }) = unknown else {
        panic!("{unknown}")
    };
    two.waits_for("it is given back", |other| !other.is_locked("k").unwrap());
    network.keep_nothing();
    store.lock("k").session(&session).try_acquire().unwrap().release().unwrap();
}

const PATIENCE: Duration = Duration::from_secs(30);
/// Of a call that is not to be waited for.
const SHORT: Duration = Duration::from_secs(1);
