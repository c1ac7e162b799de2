//! Fences: a write is done only if the grant that it relies on is still there, which is looked at in the commit that does it.

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use lockstore::collection::{InsertModel, UpdateModel};
use lockstore::{
    Collection, DocumentError, ErrorCode, IndexModel, LockLost, Store, Token, WriteModel,
};
use lockstore_tests::deployment::Deployment;

pub(crate) fn reports(store: &Store) -> Collection {
    store.database("factory").collection("reports")
}

#[track_caller]
pub(crate) fn lost<T: std::fmt::Debug>(result: Result<T, DocumentError>) -> LockLost {
    match result {
        Err(error @ DocumentError::LockLost(_)) => {
            assert_eq!(error.code(), ErrorCode::LOCK_FAILED);
            assert!(!error.is_transient());
            let DocumentError::LockLost(lost) = error else { unreachable!("it was looked at") };
            *lost
        }
        other => panic!("the lock is lost, and not {other:?}"),
    }
}

/// The first error of many writes.
fn first(error: DocumentError) -> DocumentError {
    match error {
        DocumentError::Partial(partial) => partial.errors().values().next().unwrap().clone(),
        error => error,
    }
}

fn all(store: &Store) -> Vec<Document> {
    reports(store).find(doc! {}).run().unwrap().map(Result::unwrap).collect()
}

fn code(reply: &RawDocumentBuf) -> Option<i32> {
    let errors = reply.get_array("writeErrors").ok();
    let first = errors.and_then(|errors| errors.get_document(0).ok());
    reply.get_i32("code").ok().or_else(|| first?.get_i32("code").ok())
}

#[test]
fn a_commit_looks_at_what_its_transaction_relies_on() {
    let store = Deployment::of(module_path!()).in_memory();
    let guard = store.lock("k").acquire().unwrap();
    // Also where it changes nothing: what it has read was under the lock.
    let reads = store.begin_transaction().unwrap();
    reads.require(guard.fence()).unwrap();
    let writes = store.begin_transaction().unwrap();
    writes.require(guard.fence()).unwrap();
    writes.require(guard.fence()).unwrap();
    writes.collection::<Document>("factory", "reports").insert_one(doc! { "_id": 1 }).unwrap();
    let new = writes.lock("new").acquire().unwrap();
    let fenced = store.begin_transaction().unwrap();
    let inside = reports(&store).in_transaction(&fenced).fenced_by(guard.fence());
    inside.insert_one(doc! { "_id": 2 }).unwrap();
    let keeps = store.begin_transaction().unwrap();
    keeps.require(guard.fence()).unwrap();
    keeps.commit().unwrap();
    guard.release().unwrap();
    for transaction in [reads, writes, fenced] {
        assert_eq!(lost(transaction.commit()).key.as_str(), "k");
    }
    assert_eq!(store.database("factory").collection_names().unwrap(), Vec::<String>::new());
    assert!(new.guard().is_none() && !store.is_locked("new").unwrap());
}

#[test]
fn a_transaction_may_rely_on_what_it_releases_and_releases_and_renews_nothing_that_is_lost() {
    let store = Deployment::of(module_path!()).in_memory();
    let guard = store.lock("k").acquire().unwrap();
    let released = store.transaction(|tx| {
        tx.require(guard.fence())?;
        tx.release(&guard)
    });
    released.unwrap();
    lost(store.transaction(|tx| tx.release(&guard)));
    lost(store.transaction(|tx| tx.renew(&guard)));
}

#[test]
fn every_kind_of_write_carries_its_fence() {
    let store = Deployment::of(module_path!()).in_memory();
    reports(&store).insert_one(doc! { "_id": 1, "n": 1 }).unwrap();
    reports(&store).create_index(IndexModel::new(doc! { "n": 1 })).unwrap();
    let guard = store.lock("k").acquire().unwrap();
    let other = store.lock("other").acquire().unwrap();
    let fenced = reports(&store).fenced_by(other.fence()).fenced_by(guard.fence());
    fenced.insert_one(doc! { "_id": 2, "n": 2 }).unwrap();
    guard.release().unwrap();
    let before = all(&store);
    let one = doc! { "_id": 1 };
    let set = doc! { "$set": { "n": 7 } };
    assert_eq!(lost(fenced.insert_one(doc! { "_id": 3 })).now_held_by, None);
    lost(fenced.update_one(one.clone(), set.clone()).run());
    lost(fenced.update_one(doc! { "_id": 9 }, set.clone()).upsert(true).run());
    lost(fenced.update_many(doc! {}, set.clone()).run());
    lost(fenced.replace_one(one.clone(), doc! { "n": 8 }).run());
    lost(fenced.delete_one(one.clone()).run());
    lost(fenced.delete_many(doc! {}).run());
    lost(fenced.find_one_and_update(one.clone(), set.clone()).run());
    lost(fenced.find_one_and_replace(one.clone(), doc! { "n": 8 }).run());
    lost(fenced.find_one_and_delete(one.clone()).run());
    lost(fenced.create_index(IndexModel::new(doc! { "m": 1 })));
    lost(fenced.drop_index("n_1"));
    lost(fenced.drop());
    let many = fenced.insert_many([doc! { "_id": 3 }, doc! { "_id": 4 }]).run();
    lost(many.map_err(first));
    let many = fenced.insert_many((3..600).map(|n| doc! { "_id": n })).ordered(false).run();
    let Err(DocumentError::Partial(partial)) = many else { panic!("{many:?}") };
    assert_eq!(partial.errors().len(), 597);
    let models = [
        WriteModel::InsertOne(InsertModel::new(doc! { "_id": 3 })),
        WriteModel::UpdateOne(UpdateModel::new(one, set)),
    ];
    lost(fenced.bulk_write(models).run().map_err(first));
    // To read needs no lock.
    assert_eq!(fenced.count_documents(doc! {}).run().unwrap(), 2);
    assert_eq!(all(&store), before);
    assert_eq!(reports(&store).list_indexes().unwrap().len(), 2);
}

#[test]
fn a_command_carries_fences_in_a_field_of_ours() {
    let store = Deployment::of(module_path!()).in_memory();
    let factory = store.database("factory");
    let guard = store.lock("k").holder("me").acquire().unwrap();
    let token = i64::try_from(guard.token().get()).unwrap();
    let fences = || rawdoc! { "key": "k", "holder": "me", "token": token };
    let commands = [
        rawdoc! { "insert": "reports", "documents": [{ "n": 1 }], "lockFences": [fences()] },
        rawdoc! { "update": "reports", "updates": [{ "q": {}, "u": { "$inc": { "n": 1 } } }], "lockFences": [fences()] },
        rawdoc! { "findAndModify": "reports", "update": { "$inc": { "n": 1 } }, "lockFences": [fences()] },
        rawdoc! { "find": "reports", "lockFences": [fences()] },
        rawdoc! { "createIndexes": "reports", "indexes": [{ "key": { "n": 1 }, "name": "n" }], "lockFences": [fences()] },
        rawdoc! { "delete": "reports", "deletes": [{ "q": {}, "limit": 1 }], "lockFences": [fences()] },
        rawdoc! { "drop": "reports", "lockFences": [fences()] },
    ];
    for command in &commands {
        let reply = factory.run_command(command);
        assert_eq!(code(&reply), None, "{command:?}: {reply:?}");
    }
    reports(&store).insert_one(doc! { "n": 1 }).unwrap();
    guard.release().unwrap();
    let before = all(&store);
    for command in &commands {
        let reply = factory.run_command(command);
        let reads = command.get("find").unwrap().is_some();
        assert_eq!(code(&reply), (!reads).then_some(107), "{command:?}: {reply:?}");
    }
    let drop = rawdoc! { "dropDatabase": 1, "lockFences": [fences()] };
    assert_eq!(code(&factory.run_command(&drop)), Some(107));
    let mut tx = store.begin_transaction().unwrap();
    assert_eq!(code(&tx.run_command("factory", &commands[0])), None);
    lost(tx.commit());
    assert_eq!(all(&store), before);
    for (wrong, expected) in [
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": 1 }, 14),
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [1] }, 14),
        (rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k" }] }, 40414),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k", "holder": "me", "token": 0 }] },
            2,
        ),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "", "holder": "me", "token": 1 }] },
            2,
        ),
        (
            rawdoc! { "insert": "reports", "documents": [{}], "lockFences": [{ "key": "k", "holder": "me", "token": 1, "x": 1 }] },
            40415,
        ),
    ] {
        assert_eq!(code(&factory.run_command(&wrong)), Some(expected), "{wrong:?}");
    }
    assert!(Token::new(0).is_none());
}
