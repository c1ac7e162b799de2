//! The bounds of transactions, and transactions on a store that ends.

use std::time::Duration;

use bson::{Document, RawArrayBuf, doc, rawdoc};
use lockstore::{
    Collection, DocumentError, ErrorCode, Store, StoreError, Transaction, TransactionEnd,
    TransactionOptions,
};
use lockstore_testkit::disk::{DiskOp, Fault};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;

fn jobs(store: &Store) -> Collection {
    store.database("factory").collection("jobs")
}

fn inside(transaction: &Transaction) -> Collection {
    transaction.collection("factory", "jobs")
}

#[track_caller]
fn assert_expired<T: std::fmt::Debug>(result: Result<T, DocumentError>) {
    let error = result.expect_err("its time is over");
    let expected = TransactionEnd::Expired { lifetime: secs(5) };
    assert!(matches!(&error, DocumentError::TransactionOver(end) if *end == expected), "{error:?}");
    assert_eq!(error.code(), ErrorCode::TRANSACTION_EXCEEDED_LIFETIME_LIMIT_SECONDS);
    assert!(error.is_transient());
}

#[test]
fn a_transaction_is_over_after_its_lifetime() {
    let machine = Machine::new();
    let store = machine.open();
    jobs(&store).insert_many((0..300).map(|n| doc! { "_id": n })).run().unwrap();
    let tx = store.begin_transaction().unwrap();
    let jobs_inside = inside(&tx);
    let mut found = jobs_inside.find(doc! {}).batch_size(2).run().unwrap();
    machine.clock.advance(secs(4));
    jobs_inside.delete_many(doc! {}).run().unwrap();
    machine.clock.advance(secs(1));
    assert_expired(jobs_inside.find_one(doc! {}).run());
    assert_expired(jobs_inside.insert_one(doc! {}));
    assert_expired(found.by_ref().skip(2).collect::<Result<Vec<Document>, _>>());
    assert_expired(tx.lock("k").acquire());
    assert_expired(tx.commit());
    assert_eq!(jobs(&store).count_documents(doc! {}).run().unwrap(), 300);
    // One that is committed in the last moment is not.
    let tx = store.begin_transaction().unwrap();
    inside(&tx).delete_one(doc! {}).run().unwrap();
    machine.clock.advance(Duration::from_nanos(4_999_999_999));
    tx.commit().unwrap();
    let again = store.transaction(|tx| {
        inside(tx).delete_one(doc! {}).run()?;
        machine.clock.advance(secs(6));
        Ok::<_, DocumentError>(())
    });
    assert_expired(again);
}

/// As long as it is open the file keeps what others replace. At the end of its time that ends, though nobody asks for anything.
#[test]
fn a_transaction_that_is_forgotten_keeps_the_file_growing_for_its_lifetime_and_no_longer() {
    let machine = Machine::new();
    let store = machine.open();
    jobs(&store).insert_one(doc! { "_id": 1 }).unwrap();
    let rewrite = |times: u32| {
        let before = store.stats().unwrap().file_bytes;
        for n in 0..times {
            let large = vec![u8::try_from(n % 251).unwrap(); 50_000];
            let large = bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: large };
            jobs(&store)
                .update_one(doc! { "_id": 1 }, doc! { "$set": { "large": large } })
                .run()
                .unwrap();
        }
        store.stats().unwrap().file_bytes.saturating_sub(before)
    };
    rewrite(20);
    let tx = store.begin_transaction().unwrap();
    let jobs_inside = inside(&tx);
    jobs_inside.update_one(doc! { "_id": 1 }, doc! { "$set": { "n": 1 } }).run().unwrap();
    let grown = rewrite(200);
    assert!(grown >= 8_000_000, "{grown}");
    machine.clock.advance(secs(5));
    // The background thread lets go of what it holds; a compaction needs the file without readers.
    eventually("nobody reads any more", || store.compact().is_ok());
    rewrite(20);
    let grown = rewrite(400);
    assert!(grown < 4_000_000, "{grown}");
    assert_expired(tx.commit());
}

#[test]
fn a_transaction_that_becomes_too_large_is_aborted() {
    let store = Store::in_memory().unwrap();
    jobs(&store)
        .insert_many((0..10).map(|n| doc! { "_id": n, "text": "x".repeat(1_000) }))
        .run()
        .unwrap();
    let options = TransactionOptions::new().documents_max(5);
    let tx = store.begin_transaction_with(&options).unwrap();
    for _ in 0..3 {
        inside(&tx)
            .update_many(doc! { "_id": { "$lt": 5 } }, doc! { "$inc": { "n": 1 } })
            .run()
            .unwrap();
    }
    let large = inside(&tx).insert_one(doc! { "_id": 11 }).unwrap_err();
    assert_eq!(large.code(), ErrorCode::TRANSACTION_TOO_LARGE);
    let DocumentError::TransactionTooLarge(size) = large else { panic!("{large:?}") };
    assert_eq!((size.documents, size.documents_max), (6, 5));
    assert_eq!(
        inside(&tx).find_one(doc! {}).run().unwrap_err().code(),
        ErrorCode::TRANSACTION_TOO_LARGE
    );
    assert_eq!(tx.commit().unwrap_err().code(), ErrorCode::TRANSACTION_TOO_LARGE);

    // Of a command with many writes none is tried any more, and none is said to be done.
    for ordered in [true, false] {
        let mut tx = store.begin_transaction_with(&options).unwrap();
        let updates = (0..20)
            .map(|n| rawdoc! { "q": { "_id": n }, "u": { "$inc": { "n": 1 } }, "upsert": true });
        let updates: RawArrayBuf = updates.collect();
        let command = rawdoc! { "update": "jobs", "updates": updates, "ordered": ordered };
        assert_eq!(tx.run_command("factory", &command).get_i32("code").unwrap(), 257);
        let documents: RawArrayBuf = (1..600).map(|n| rawdoc! { "_id": -n }).collect();
        let command = rawdoc! { "insert": "jobs", "documents": documents, "ordered": ordered };
        let mut tx = store.begin_transaction_with(&options).unwrap();
        assert_eq!(tx.run_command("factory", &command).get_i32("code").unwrap(), 257);
    }

    // What is deleted counts too: the transaction remembers it.
    let options = TransactionOptions::new().bytes_max(5_000);
    let tx = store.begin_transaction_with(&options).unwrap();
    let deleted = inside(&tx).delete_many(doc! {}).run().unwrap_err();
    assert_eq!(deleted.code(), ErrorCode::TRANSACTION_TOO_LARGE);
    drop(tx);
    let tx = store.begin_transaction_with(&options).unwrap();
    let grown = (0..20).try_for_each(|n| {
        inside(&tx)
            .update_one(doc! { "_id": 1 }, doc! { "$set": { "text": "y".repeat(n * 500) } })
            .run()
            .map(drop)
    });
    assert_eq!(grown.unwrap_err().code(), ErrorCode::TRANSACTION_TOO_LARGE);
    drop(tx);
    let inside_bounds = store.transaction_with(&options, |tx| {
        for n in 0..100 {
            inside(tx)
                .update_one(doc! { "_id": 1 }, doc! { "$set": { "text": "z".repeat(500 + n) } })
                .run()?;
        }
        Ok::<_, DocumentError>(())
    });
    inside_bounds.unwrap();
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

#[test]
fn a_transaction_changes_so_many_locks_and_relies_on_so_many() {
    let store = Store::in_memory().unwrap();
    let tx = store.begin_transaction().unwrap();
    let locks: Vec<_> = (0..1_000).map(|n| tx.lock(&format!("k{n}")).acquire().unwrap()).collect();
    assert_eq!(tx.lock("more").acquire().unwrap_err().code(), ErrorCode::TRANSACTION_TOO_LARGE);
    tx.commit().unwrap();
    assert_eq!(store.stats().unwrap().locks, 1_000);
    let guards: Vec<_> = locks.into_iter().map(|lock| lock.guard().unwrap()).collect();
    let tx = store.begin_transaction().unwrap();
    for guard in &guards {
        tx.require(guard.fence()).unwrap();
        tx.release(guard).unwrap();
    }
    tx.require(guards[0].fence()).unwrap();
    let more = store.lock("more").acquire().unwrap();
    assert_eq!(tx.require(more.fence()).unwrap_err().code(), ErrorCode::TRANSACTION_TOO_LARGE);
    tx.commit().unwrap();
    assert_eq!(store.stats().unwrap().locks, 1);
}

#[test]
fn a_store_that_is_closed_ends_its_transactions() {
    let machine = Machine::new();
    let store = machine.open();
    jobs(&store).insert_one(doc! { "_id": 1 }).unwrap();
    let tx = store.begin_transaction().unwrap();
    let jobs_inside = inside(&tx);
    jobs_inside.insert_one(doc! { "_id": 2 }).unwrap();
    store.clone().close().unwrap();
    let closed = |error: DocumentError| matches!(error, DocumentError::Store(StoreError::Closed));
    assert!(closed(jobs_inside.find_one(doc! {}).run().unwrap_err()));
    assert!(closed(jobs_inside.insert_one(doc! {}).unwrap_err()));
    assert!(closed(tx.commit().unwrap_err()));
    assert!(closed(store.begin_transaction().unwrap_err()));
    let store = machine.open();
    assert_eq!(jobs(&store).count_documents(doc! {}).run().unwrap(), 1);
}

#[test]
fn a_store_that_stops_commits_nothing_any_more() {
    let machine = Machine::new();
    let store = machine.open();
    jobs(&store).insert_one(doc! { "_id": 1 }).unwrap();
    let (first, second) = (store.begin_transaction().unwrap(), store.begin_transaction().unwrap());
    inside(&first).insert_one(doc! { "_id": 2 }).unwrap();
    inside(&second).insert_one(doc! { "_id": 3 }).unwrap();
    machine.disk.inject(Fault::io_error().on(DiskOp::Sync));
    let stopped =
        |error: DocumentError| matches!(error, DocumentError::Store(StoreError::Poisoned { .. }));
    assert!(stopped(first.commit().unwrap_err()));
    assert!(stopped(inside(&second).find_one(doc! {}).run().unwrap_err()));
    assert!(stopped(second.commit().unwrap_err()));
    let reopened = machine.after_kill().open();
    let found = jobs(&reopened).distinct("_id", doc! {}).run().unwrap();
    // The one that failed may be on disk; the one behind it is not.
    assert!(found == [1.into()] || found == [1.into(), 2.into()], "{found:?}");
}

/// A compaction needs that nobody reads: it waits for transactions, and they go on.
#[test]
fn a_compaction_and_a_transaction_do_not_wait_for_each_other_for_ever() {
    let machine = Machine::new();
    let store = machine.open();
    jobs(&store).insert_one(doc! { "_id": 1 }).unwrap();
    let tx = store.begin_transaction().unwrap();
    inside(&tx).insert_one(doc! { "_id": 2 }).unwrap();
    let other = store.clone();
    let compaction = lockstore_tests::call::Call::start_asleep(move || other.compact().map(drop));
    assert_eq!(inside(&tx).count_documents(doc! {}).run().unwrap(), 2);
    tx.commit().unwrap();
    compaction.outcome().unwrap();
    assert_eq!(jobs(&store).count_documents(doc! {}).run().unwrap(), 2);
}
