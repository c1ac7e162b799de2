//! What only a store that lives elsewhere does: how many commands it takes, and what becomes of what is left there.

use std::sync::Arc;

use bson::{Document, doc, rawdoc};
use lockstore::collection::{DeleteModel, InsertModel, UpdateModel};
use lockstore::{Collection, DocumentError, Store, TransactionEnd, WriteModel};
use lockstore_testkit::loopback::Loopback;

/// A collection elsewhere, and the way to it.
fn jobs() -> (Collection, Arc<Loopback>, Store) {
    let loopback = Arc::new(Loopback::new(Store::in_memory().unwrap()).unwrap());
    let store = Store::remote(loopback.clone());
    (store.database("factory").collection("jobs"), loopback, store)
}

/// The transactions that are open are there no more.
fn lose_transactions(store: &Store) {
    let killed = store.database("admin").run_command(&rawdoc! { "killAllSessions": [] });
    assert!(killed.get_f64("ok").unwrap() > 0.0, "{killed:?}");
}

/// How many commands `run` takes.
fn commands<T>(loopback: &Loopback, run: impl FnOnce() -> T) -> (T, u64) {
    let before = loopback.commands();
    let done = run();
    (done, loopback.commands() - before)
}

#[test]
fn what_one_message_does_not_hold_is_inserted_by_several_commands() {
    let (jobs, loopback, _store) = jobs();
    let large = "x".repeat(13_000_000);
    let (done, took) = commands(&loopback, || {
        jobs.insert_many((0..5).map(|n| doc! { "_id": n, "large": &large })).run().unwrap()
    });
    assert_eq!((done.inserted_ids.len(), took), (5, 2));
    assert_eq!(done.inserted_ids[&4], 4.into());
    // The sixth is refused where it would be sent, and so are those there that are there already.
    let more = (3..6).map(|n| doc! { "_id": n, "large": if n == 5 { &*large } else { "" } });
    let refused = doc! { "_id": 9, "large": "x".repeat(17_000_000) };
    let again = jobs.insert_many(more.chain([refused])).ordered(false).run();
    let Err(DocumentError::Partial(partial)) = again else { panic!("{again:?}") };
    assert_eq!(partial.errors().keys().collect::<Vec<_>>(), [&0, &1, &3]);
    assert_eq!(partial.result().inserted_ids[&2], 5.into());
    // Each batch of a cursor holds less than two of them.
    let (found, took) = commands(&loopback, || jobs.find(doc! {}).run().unwrap().count());
    assert_eq!(found, 6);
    assert!(took >= 3, "{took}");
}

#[test]
fn writes_of_one_kind_that_follow_each_other_share_a_command() {
    let (jobs, loopback, _store) = jobs();
    let insert = |n: i32| WriteModel::InsertOne(InsertModel::new(doc! { "_id": n }));
    let update = |n: i32| {
        let model = UpdateModel::new(doc! { "_id": n }, doc! { "$set": { "n": n } });
        WriteModel::UpdateOne(model.upsert(true))
    };
    let delete = |n: i32| WriteModel::DeleteOne(DeleteModel::new(doc! { "_id": n }));
    let writes = [insert(1), insert(2), update(2), update(3), update(1), delete(1), delete(7)];
    let (done, took) = commands(&loopback, || jobs.bulk_write(writes).run().unwrap());
    assert_eq!(took, 3);
    assert_eq!((done.inserted_ids.len(), done.matched_count, done.deleted_count), (2, 2, 1));
    assert_eq!(done.upserted_ids[&3], 3.into());
}

#[test]
fn one_document_takes_one_command_and_a_cursor_that_is_dropped_gives_up_the_rest() {
    let (jobs, loopback, _store) = jobs();
    jobs.insert_many((0..300).map(|n| doc! { "_id": n })).run().unwrap();
    let (found, took) = commands(&loopback, || jobs.find_one(doc! {}).run().unwrap());
    assert_eq!((found, took), (Some(doc! { "_id": 0 }), 1));
    let (mut found, took) = commands(&loopback, || jobs.find(doc! {}).run().unwrap());
    assert_eq!(took, 1);
    let ((), took) = commands(&loopback, || {
        found.next().unwrap().unwrap();
        drop(found);
    });
    assert_eq!(took, 1, "the cursor was killed");
    let (count, took) = commands(&loopback, || jobs.find(doc! {}).run().unwrap().count());
    assert_eq!((count, took), (300, 2), "there is nothing left to be killed");
}

#[test]
fn a_transaction_that_has_done_nothing_takes_no_command() {
    let (_, loopback, store) = jobs();
    let ((), took) = commands(&loopback, || store.begin_transaction().unwrap().commit().unwrap());
    assert_eq!(took, 0);
    let ((), took) = commands(&loopback, || drop(store.begin_transaction().unwrap()));
    assert_eq!(took, 0);
}

#[test]
fn transactions_after_each_other_share_a_client_session_and_those_at_once_do_not() {
    let (jobs, _, store) = jobs();
    let begin = || {
        let tx = store.begin_transaction().unwrap();
        jobs.in_transaction(&tx).insert_one(doc! {}).unwrap();
        tx
    };
    for _ in 0..3 {
        begin().commit().unwrap();
        begin().abort();
        assert_eq!(store.stats().unwrap().client_sessions, 1);
    }
    let both = [begin(), begin()];
    // A session is durable before anything is done in it.
    assert_eq!(store.stats().unwrap().client_sessions, 2);
    for tx in both {
        tx.commit().unwrap();
    }
    begin().commit().unwrap();
    assert_eq!(store.stats().unwrap().client_sessions, 2);
}

#[test]
fn a_transaction_that_is_lost_elsewhere_is_run_again() {
    let (jobs, _, store) = jobs();
    for in_the_closure in [true, false] {
        let mut runs = 0;
        let ran: Result<(), DocumentError> = store.transaction(|tx| {
            runs += 1;
            let inside = jobs.in_transaction(tx);
            inside.insert_one(doc! { "closure": in_the_closure })?;
            if runs == 1 {
                lose_transactions(&store);
            }
            if in_the_closure {
                inside.insert_one(doc! { "closure": in_the_closure })?;
            }
            Ok(())
        });
        ran.unwrap();
        assert_eq!(runs, 2);
    }
    assert_eq!(jobs.count_documents(doc! {}).run().unwrap(), 3);
    // One that nobody runs again says so.
    let tx = store.begin_transaction().unwrap();
    tx.collection::<Document>("factory", "jobs").insert_one(doc! {}).unwrap();
    lose_transactions(&store);
    let lost = tx.commit().unwrap_err();
    assert!(matches!(lost, DocumentError::TransactionOver(TransactionEnd::Lost)), "{lost:?}");
    assert!(lost.is_transient());
}
