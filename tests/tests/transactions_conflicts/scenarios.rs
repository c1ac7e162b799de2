//! Transactions beside each other: the first to commit wins, nothing is lost, and readers see all of one or nothing.

#[path = "locks.rs"]
mod locks;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bson::{Document, doc};
use lockstore::{
    Collection, DocumentError, ErrorCode, IndexModel, Store, Transaction, TransactionEnd,
    TransactionOptions,
};
use lockstore_tests::deployment::Deployment;
use lockstore_tests::patience::patient;

fn deployment() -> Deployment {
    Deployment::of(module_path!())
}

fn collection(store: &Store, name: &str) -> Collection {
    store.database("test").collection(name)
}

fn inside(transaction: &lockstore::Transaction, name: &str) -> Collection {
    transaction.collection("test", name)
}

#[track_caller]
fn assert_conflict(committed: Result<(), DocumentError>) {
    let error = committed.expect_err("it is a conflict");
    assert!(matches!(error, DocumentError::WriteConflict { .. }), "{error:?}");
    assert_eq!(error.code(), ErrorCode::WRITE_CONFLICT);
    assert!(error.is_transient());
}

#[track_caller]
fn assert_sound(store: &Store) {
    deployment().assert_sound(store);
}

/// A store with the documents 0 to 4, each with `n` as its number and a unique index on it.
fn filled() -> Store {
    let store = deployment().in_memory();
    let items = collection(&store, "items");
    items.insert_many((0..5).map(|n| doc! { "_id": n, "n": n })).run().unwrap();
    items.create_index(IndexModel::new(doc! { "n": 1 }).unique(true)).unwrap();
    store
}

/// Has `change` and `meanwhile`, what somebody does outside of the transaction, come into each other's way, in a transaction that began before:
/// what comes second in a file is seen to at the commit. On MongoDB it would wait for the transaction, which would wait for it; so there it comes
/// first, and the change is the conflict.
fn collide(
    tx: &Transaction,
    change: impl FnOnce(&Collection) -> Result<(), DocumentError>,
    meanwhile: impl FnOnce() -> Result<(), DocumentError>,
) -> Result<(), DocumentError> {
    let items = inside(tx, "items");
    items.find_one(doc! {}).run()?;
    if deployment().is_mongodb() {
        meanwhile()?;
        return change(&items);
    }
    change(&items)?;
    meanwhile()
}

/// What has become of a transaction that makes a change, when somebody else makes a definition meanwhile that is about the same.
fn outlasts(
    store: &Store,
    change: impl FnOnce(&Transaction),
    definition: impl FnOnce(),
) -> Result<(), DocumentError> {
    let options = TransactionOptions::new().lifetime(Duration::from_millis(500));
    let options = if deployment().is_mongodb() { options } else { patient() };
    let tx = store.begin_transaction_with(&options).unwrap();
    change(&tx);
    definition();
    tx.commit()
}

/// A definition that has come meanwhile is a conflict. On MongoDB it has waited until the transaction was over.
#[track_caller]
fn assert_defined_meanwhile(committed: Result<(), DocumentError>) {
    if deployment().is_mongodb() {
        let over = committed.expect_err("it was in the way");
        let is_over =
            matches!(over, DocumentError::TransactionOver(TransactionEnd::Expired { .. }));
        assert!(is_over, "{over:?}");
    } else {
        assert_conflict(committed);
    }
}

fn set(n: i32) -> Document {
    doc! { "$set": { "n": n } }
}

#[test]
fn of_two_that_change_a_document_one_wins() {
    let store = filled();
    let (first, second) = (store.begin_transaction().unwrap(), store.begin_transaction().unwrap());
    inside(&second, "items").update_one(doc! { "_id": 1 }, set(11)).run().unwrap();
    inside(&second, "items").insert_one(doc! { "_id": 9, "n": 9 }).unwrap();
    inside(&second, "more").insert_one(doc! { "_id": 1 }).unwrap();
    let changed = inside(&first, "items").update_one(doc! { "_id": 1 }, set(21)).run().map(drop);
    let items = collection(&store, "items");
    if deployment().is_mongodb() {
        // It is the first to change it.
        assert_conflict(changed);
        first.commit().unwrap_err();
        second.commit().unwrap();
        assert_eq!(
            items.find_one(doc! { "_id": 1 }).run().unwrap(),
            Some(doc! { "_id": 1, "n": 11 })
        );
        assert_eq!(items.count_documents(doc! {}).run().unwrap(), 6);
        return;
    }
    // It is the first to commit.
    changed.unwrap();
    first.commit().unwrap();
    assert_conflict(second.commit());
    assert_eq!(items.find_one(doc! { "_id": 1 }).run().unwrap(), Some(doc! { "_id": 1, "n": 21 }));
    assert_eq!(items.count_documents(doc! {}).run().unwrap(), 5);
    assert_eq!(items.count_documents(doc! { "n": 9 }).run().unwrap(), 0);
    assert_eq!(store.database("test").collection_names().unwrap(), ["items"]);
    assert_sound(&store);
}

/// A write without a transaction is one of its own.
#[test]
fn whatever_a_transaction_has_changed_must_be_as_it_was() {
    type Step = fn(&Collection) -> Result<(), DocumentError>;
    let meanwhile: [Step; 3] = [
        |items| {
            let set = doc! { "$set": { "x": 1 } };
            items.update_one(doc! { "_id": 1 }, set).run().map(drop)
        },
        |items| items.delete_one(doc! { "_id": 1 }).run().map(drop),
        |items| items.replace_one(doc! { "_id": 1 }, doc! { "n": 1, "y": 1 }).run().map(drop),
    ];
    let changes: [Step; 2] = [
        |items| items.update_one(doc! { "_id": 1 }, set(11)).run().map(drop),
        |items| items.delete_one(doc! { "_id": 1 }).run().map(drop),
    ];
    for change in changes {
        for meanwhile in meanwhile {
            let store = filled();
            let tx = store.begin_transaction().unwrap();
            let collided = collide(&tx, change, || meanwhile(&collection(&store, "items")));
            assert_conflict(collided.and_then(|()| tx.commit()));
            assert_sound(&store);
        }
    }
}

#[test]
fn those_that_change_different_documents_all_commit() {
    let store = filled();
    let open: Vec<_> = (0..5)
        .map(|n| {
            let tx = store.begin_transaction().unwrap();
            let items = inside(&tx, "items");
            items.update_one(doc! { "_id": n }, set(n + 100)).run().unwrap();
            items.insert_one(doc! { "_id": n + 10, "n": n + 10 }).unwrap();
            tx
        })
        .collect();
    for tx in open {
        tx.commit().unwrap();
    }
    let items = collection(&store, "items");
    assert_eq!(items.count_documents(doc! { "n": { "$gte": 100 } }).run().unwrap(), 5);
    assert_eq!(items.count_documents(doc! {}).run().unwrap(), 10);
    assert_sound(&store);
}

#[test]
fn a_unique_key_that_has_appeared_meanwhile_is_a_conflict_and_then_an_error() {
    let store = filled();
    let attempts = AtomicU32::new(0);
    let failed = store.transaction(|tx| {
        let first = attempts.fetch_add(1, Ordering::Relaxed) == 0;
        let change = |items: &Collection| items.insert_one(doc! { "_id": 6, "n": 77 }).map(drop);
        collide(tx, change, || {
            if first {
                collection(&store, "items").insert_one(doc! { "_id": 7, "n": 77 })?;
            }
            Ok(())
        })
    });
    assert!(matches!(failed, Err(DocumentError::DuplicateKey(_))), "{failed:?}");
    assert_eq!(attempts.into_inner(), 2);
    assert_eq!(collection(&store, "items").count_documents(doc! {}).run().unwrap(), 6);
    assert_sound(&store);
}

#[test]
fn a_collection_that_was_dropped_or_made_meanwhile_is_a_conflict() {
    let store = filled();
    let changes: [fn(&Collection); 2] = [
        |items| {
            items.update_one(doc! { "_id": 1 }, set(11)).run().unwrap();
        },
        |items| {
            items.insert_one(doc! { "_id": 9, "n": 9 }).unwrap();
        },
    ];
    for (change, makes_again) in changes.into_iter().zip([true, false]) {
        let drops = || {
            assert!(collection(&store, "items").drop().unwrap());
            if makes_again {
                collection(&store, "items").insert_one(doc! { "_id": 1, "n": 1 }).unwrap();
            }
        };
        assert_defined_meanwhile(outlasts(&store, |tx| change(&inside(tx, "items")), drops));
    }
    let makes = |tx: &Transaction| {
        inside(tx, "new").insert_one(doc! { "_id": 1 }).unwrap();
    };
    let makes_too = || {
        collection(&store, "new").insert_one(doc! { "_id": 2 }).unwrap();
    };
    assert_conflict(outlasts(&store, makes, makes_too));
    assert_eq!(collection(&store, "new").count_documents(doc! {}).run().unwrap(), 1);
    assert_sound(&store);
}

/// An index that comes meanwhile gets the entries of what the transaction writes, or the commit is a conflict. On MongoDB it waits.
#[test]
fn an_index_that_has_come_meanwhile_is_kept_right() {
    let store = filled();
    let items = collection(&store, "items");
    let changes = |tx: &Transaction| {
        let items = inside(tx, "items");
        items.insert_one(doc! { "_id": 5, "n": 5, "m": 1 }).unwrap();
        items.update_one(doc! { "_id": 4 }, doc! { "$set": { "m": 1 } }).run().unwrap();
    };
    let defines = |index: IndexModel| {
        items.create_index(index).unwrap();
    };
    let committed = outlasts(&store, changes, || defines(IndexModel::new(doc! { "m": 1 })));
    let by_m = items.count_documents(doc! { "m": 1 }).hint("m_1").run().unwrap();
    if deployment().is_mongodb() {
        assert_defined_meanwhile(committed);
        assert_eq!(by_m, 0);
    } else {
        committed.unwrap();
        assert_eq!(by_m, 2);
    }

    let inserts = |tx: &Transaction| {
        let both = [doc! { "n": 6, "u": 1 }, doc! { "n": 7, "u": 1 }];
        inside(tx, "items").insert_many(both).run().unwrap();
    };
    let unique = IndexModel::new(doc! { "u": 1 }).unique(true).sparse(true);
    assert_defined_meanwhile(outlasts(&store, inserts, || defines(unique)));
    assert_sound(&store);
}

#[test]
fn a_conflict_is_the_callers_error_after_the_last_attempt() {
    let store = filled();
    let attempts = AtomicU32::new(0);
    let options = TransactionOptions::new().attempts_max(3);
    let failed = store.transaction_with(&options, |tx| {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed).cast_signed();
        let update = |items: &Collection, n: i32| {
            items.update_one(doc! { "_id": 1 }, set(n)).run().map(drop)
        };
        collide(
            tx,
            |items| update(items, 50),
            || update(&collection(&store, "items"), 60 + attempt),
        )
    });
    assert_conflict(failed);
    assert_eq!(attempts.into_inner(), 3);
    let item = collection(&store, "items").find_one(doc! { "_id": 1 }).run().unwrap().unwrap();
    assert_eq!(item.get_i32("n").unwrap(), 62);
}

/// A transaction inside another is one of its own, and nothing waits for anything.
#[test]
fn a_transaction_inside_another_neither_sees_it_nor_hangs() {
    let store = filled();
    store
        .transaction(|outer| {
            inside(outer, "items").update_one(doc! { "_id": 1 }, set(11)).run()?;
            store.transaction(|inner| {
                assert_eq!(inside(inner, "items").count_documents(doc! { "n": 11 }).run()?, 0);
                inside(inner, "items").update_one(doc! { "_id": 2 }, set(12)).run()?;
                Ok::<_, DocumentError>(())
            })?;
            assert_eq!(inside(outer, "items").count_documents(doc! { "n": 12 }).run()?, 0);
            Ok::<_, DocumentError>(())
        })
        .unwrap();
    assert_eq!(
        collection(&store, "items").count_documents(doc! { "n": { "$gte": 11 } }).run().unwrap(),
        2
    );
    // Where the inner one is in the outer one's way, the outer one runs again, and then its inner one is in its way again.
    let options = TransactionOptions::new().attempts_max(4);
    let failed = store.transaction_with(&options, |outer| {
        inside(outer, "items")
            .update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 100 } })
            .run()?;
        store.transaction(|inner| {
            inside(inner, "items")
                .update_one(doc! { "_id": 1 }, doc! { "$inc": { "n": 1_000 } })
                .run()?;
            Ok::<_, DocumentError>(())
        })
    });
    assert_conflict(failed);
}

/// Read, add one, write back: without transactions most of this would be lost.
#[test]
fn no_increment_is_lost_where_64_threads_read_modify_and_write() {
    let (threads, each) = (64, 5);
    let store = deployment().in_memory();
    let counters = collection(&store, "counters");
    counters.insert_one(doc! { "_id": "c", "n": 0 }).unwrap();
    let options = patient();
    thread::scope(|scope| {
        for thread in 0..threads {
            let (store, options) = (&store, &options);
            scope.spawn(move || {
                for turn in 0..each {
                    store
                        .transaction_with(options, |tx| {
                            let counters = inside(tx, "counters");
                            let counter =
                                counters.find_one(doc! { "_id": "c" }).run()?.expect("it is there");
                            let n = counter.get_i32("n").expect("it is a number");
                            counters.replace_one(doc! { "_id": "c" }, doc! { "n": n + 1 }).run()?;
                            inside(tx, "journal")
                                .insert_one(doc! { "_id": format!("{thread}/{turn}"), "n": n })?;
                            Ok::<_, DocumentError>(())
                        })
                        .unwrap();
                }
            });
        }
    });
    let counter = counters.find_one(doc! {}).run().unwrap().unwrap();
    assert_eq!(counter.get_i32("n").unwrap(), threads * each);
    let steps = collection(&store, "journal").distinct("n", doc! {}).run().unwrap();
    assert_eq!(steps.len(), usize::try_from(threads * each).unwrap());
    assert_sound(&store);
}

/// Transfers keep the sum, whoever looks at it, and however.
#[test]
fn readers_see_all_of_a_transaction_or_nothing() {
    let (accounts_len, has) = (8, 100);
    let store = deployment().in_memory();
    let accounts = collection(&store, "accounts");
    accounts
        .insert_many((0..accounts_len).map(|id| doc! { "_id": id, "has": has, "side": id % 2 }))
        .run()
        .unwrap();
    accounts.create_index(IndexModel::new(doc! { "has": 1 })).unwrap();
    accounts.create_index(IndexModel::new(doc! { "side": 1, "has": -1 })).unwrap();
    let sum_of = |found: lockstore::Cursor<Document>| -> i32 {
        found.map(|account| account.unwrap().get_i32("has").unwrap()).sum()
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    for turn in 0..150 {
                        let (from, to) = (
                            (thread + turn) % accounts_len,
                            (thread * 3 + turn * 5 + 1) % accounts_len,
                        );
                        store
                            .transaction_with(&patient(), |tx| {
                                let accounts = inside(tx, "accounts");
                                accounts
                                    .update_one(
                                        doc! { "_id": from },
                                        doc! { "$inc": { "has": -7 } },
                                    )
                                    .run()?;
                                accounts
                                    .update_one(doc! { "_id": to }, doc! { "$inc": { "has": 7 } })
                                    .run()?;
                                Ok::<_, DocumentError>(())
                            })
                            .unwrap();
                    }
                })
            })
            .collect();
        for reader in 0..4 {
            let (accounts, is_over, store) = (&accounts, &is_over, &store);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let sum = match reader {
                        0 => sum_of(accounts.find(doc! {}).run().unwrap()),
                        3 => sum_of(accounts.find(doc! {}).hint("has_1").run().unwrap()),
                        1 => {
                            let sums = accounts.aggregate([
                                doc! { "$group": { "_id": null, "sum": { "$sum": "$has" } } },
                            ]);
                            let sums: Document = sums.run().unwrap().next().unwrap().unwrap();
                            sums.get_i32("sum").unwrap()
                        }
                        _ => {
                            // In a transaction, even two looks agree: by one index, and by another.
                            let tx = store.begin_transaction_with(&patient()).unwrap();
                            let accounts = inside(&tx, "accounts");
                            let by_has = accounts
                                .find(doc! { "has": { "$gte": -100_000 } })
                                .hint("has_1")
                                .run();
                            let by_side = accounts
                                .find(doc! { "side": { "$in": [0, 1] } })
                                .hint("side_1_has_-1")
                                .run();
                            let (one, other) = (sum_of(by_has.unwrap()), sum_of(by_side.unwrap()));
                            assert_eq!(one, other);
                            one
                        }
                    };
                    assert_eq!(sum, accounts_len * has);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_sound(&store);
}
