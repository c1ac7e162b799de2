//! What a forked child makes of the store that it inherited: nothing at all.
//!
//! The one test has a program of its own, so that few threads are left behind by the fork.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bson::doc;
use fork::Fork;
use lockstore::{AcquireError, JournalUse, LockGuard, OpenError, RenewError, Session, Store};
use lockstore::{Collection, DocumentError, ReadError, Transaction, TransactionOptions};
use lockstore::{StoreError, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_tests::machine::secs;
use lockstore_tests::patience::eventually;
use lockstore_tests::task::Task;

/// All that a process may have of a store.
struct Belongings {
    guards: Vec<LockGuard>,
    session: Session,
    waiting: Task<lockstore::AcquireFuture>,
    watching: Task<lockstore::WaitFuture>,
    events: lockstore::Subscription,
    transaction: Transaction,
    store: Store,
}

/// How many documents a command finds, or its code if it is refused.
fn found(store: &Store) -> Result<i32, i32> {
    let reply = store.database("test").run_command(&bson::rawdoc! { "count": "jobs" });
    reply.get_i32("n").map_err(|_| reply.get_i32("code").unwrap())
}

fn inside(transaction: &Transaction) -> Collection {
    transaction.collection("test", "jobs")
}

fn belongings(store: Store) -> Belongings {
    let documents: bson::RawArrayBuf = [bson::rawdoc! { "_id": 1 }].into_iter().collect();
    store.database("test").run_command(&bson::rawdoc! { "insert": "jobs", "documents": documents });
    assert_eq!(found(&store), Ok(1));
    let guards = vec![
        store.lock("endless").holder("parent").acquire().unwrap(),
        store.lock("leased").holder("parent").ttl(secs(3_600)).acquire().unwrap(),
        store.lock("kept").holder("parent").ttl(secs(3_600)).acquire().unwrap(),
    ];
    guards[2].keep_alive();
    let waiting = Task::pending(store.lock("endless").acquire_async());
    let watching = Task::pending(store.wait_until_free_async("endless", None));
    eventually("both wait", || store.stats().unwrap().waiters == 2);
    let session = store.session().unwrap();
    let events = store.subscribe("").unwrap();
    // It lives longer than the test.
    let options = TransactionOptions::new().lifetime(secs(3_600));
    let transaction = store.begin_transaction_with(&options).unwrap();
    inside(&transaction).insert_one(doc! { "_id": 2 }).unwrap();
    Belongings { guards, session, waiting, watching, events, transaction, store }
}

/// What the child does with them. Panics where it should not succeed.
fn live_as_a_child(belongings: Belongings, path: &Path, parent: u32) {
    let Belongings { guards, session, mut waiting, watching, events, transaction, store } =
        belongings;
    let forked = |error: &StoreError| matches!(error, StoreError::Forked { opened_by } if *opened_by == parent);
    assert!(matches!(store.is_locked("endless"), Err(ReadError::Store(error)) if forked(&error)));
    assert!(
        matches!(store.is_lock_holder("endless", "parent"), Err(ReadError::Store(error)) if forked(&error))
    );
    assert!(matches!(store.inspect("endless"), Err(ReadError::Store(error)) if forked(&error)));
    assert!(forked(&store.list("", None, 1).unwrap_err()));
    assert!(forked(&store.stats().unwrap_err()));
    assert!(forked(&store.check().unwrap_err()));
    assert!(forked(&store.compact().unwrap_err()));
    assert!(forked(&store.audit(None, 1).unwrap_err()));
    assert!(forked(&store.subscribe("").unwrap_err()));
    assert!(store.backup(path.with_extension("copy")).is_err() && store.session().is_err());
    let told = |error: AcquireError| matches!(error, AcquireError::Store(e) if forked(&e));
    assert!(told(store.lock("new").acquire().unwrap_err()));
    assert!(told(store.lock("new").try_acquire().unwrap_err()));
    assert!(told(Task::new(store.lock("new").acquire_async()).outcome().unwrap_err()));
    let renewed = guards[1].renew().unwrap_err();
    assert!(matches!(renewed, RenewError::Store(error) if forked(&error)));
    assert!(waiting.poll().is_pending());
    found(&store).unwrap_err();
    let told = |error: DocumentError| matches!(error, DocumentError::Store(e) if forked(&e));
    assert!(told(inside(&transaction).find_one(doc! {}).run().unwrap_err()));
    assert!(told(inside(&transaction).insert_one(doc! { "_id": 3 }).unwrap_err()));
    assert!(told(store.begin_transaction().unwrap_err()));
    // The file is the parent's; another one may be the child's own.
    assert!(matches!(Store::open(path), Err(OpenError::Locked { .. })));
    let own = Store::open(path.with_extension("child")).unwrap();
    own.lock("k").acquire().unwrap().release().unwrap();
    own.close().unwrap();
    // To let go of everything is to touch nothing, whatever its order.
    assert!(events.try_recv().is_err());
    drop((waiting, watching));
    drop(guards);
    assert!(told(transaction.commit().unwrap_err()));
    assert!(forked(&session.end().unwrap_err()));
    assert!(forked(&store.close().unwrap_err()));
}

#[test]
fn a_forked_child_neither_uses_nor_harms_the_store_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.redb");
    let parent = std::process::id();
    // Its time stands still, so that no checkpoint is due, which would write to the file too.
    let options = StoreOptions::new().clock(Arc::new(ManualClock::new()));
    let options = options.journal(JournalUse::AfterCommits(0));
    let mut belongings = belongings(options.open(&path).unwrap());
    let files = || {
        [path.clone(), path.with_extension("redb-journal")].map(|file| std::fs::read(file).unwrap())
    };
    let before = files();
    for round in 0..5 {
        let child = match fork::fork().unwrap() {
            Fork::Child => {
                let lived = || live_as_a_child(belongings, &path, parent);
                let lived = catch_unwind(AssertUnwindSafe(lived));
                std::process::exit(i32::from(lived.is_err()));
            }
            Fork::Parent(child) => child,
        };
        let mut status = None;
        eventually("the child ends", || {
            status = fork::waitpid_nohang(child).unwrap();
            status.is_some()
        });
        assert_eq!(status, Some(0), "round {round}");
        assert!(files() == before, "the child has written to a file");
    }
    // All is as it was with the parent.
    for guard in belongings.guards.drain(1..) {
        guard.renew().unwrap();
        guard.release().unwrap();
    }
    assert!(matches!(Store::open(&path), Err(OpenError::Locked { .. })));
    assert_eq!(found(&belongings.store), Ok(1));
    drop(belongings.guards);
    belongings.waiting.outcome().unwrap().release().unwrap();
    assert!(belongings.watching.outcome().unwrap());
    belongings.session.end().unwrap();
    assert_eq!(inside(&belongings.transaction).count_documents(doc! {}).run().unwrap(), 2);
    belongings.transaction.commit().unwrap();
    assert_eq!(found(&belongings.store), Ok(2));
    assert!(belongings.store.check().unwrap().is_sound());
    belongings.store.close().unwrap();
    assert_eq!(Store::open(&path).unwrap().list("", None, 10).unwrap(), []);
}
