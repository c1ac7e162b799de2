//! What the tests of documents share.

mod agreeing;
mod building;
mod clearing;
mod defining;
mod expiring;
mod finding;
mod modifying;
mod pacing;
mod preparing;
mod reopening;
mod writing;

use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use bson::{RawDocumentBuf, rawdoc};
use tempfile::TempDir;

use super::*;
use crate::disk::Direction;
use crate::error::DocumentError;
use crate::store::Store;

fn namespace() -> Namespace {
    Namespace::new("test", "jobs").unwrap()
}

fn new_collection() -> NewCollection {
    NewCollection { uuid: [4; 16], options: rawdoc! {} }
}

fn done<T>(attempt: Result<Attempt<T>, DocumentError>) -> T {
    match attempt.unwrap() {
        Attempt::Done(done) => done,
        Attempt::Again => panic!("the plan was out of date"),
    }
}

fn try_insert(store: &Store, document: RawDocumentBuf) -> Result<(), DocumentError> {
    let insert = Insert {
        namespace: namespace(),
        create: Some(new_collection()),
        documents: vec![document],
        ordered: true,
    };
    done(store.engine().insert(insert)).results.remove(0)
}

/// Makes an index with a key, a name and options, and builds it.
fn create_index(
    store: &Store,
    mut key: RawDocumentBuf,
    name: &str,
    options: &RawDocumentBuf,
) -> Result<Arc<Index>, DocumentError> {
    let mut spec = rawdoc! { "v": 2, "key": std::mem::take(&mut key), "name": name };
    for (option, value) in options.iter().map(Result::unwrap) {
        spec.append(option, value);
    }
    let create = Some(new_collection());
    let made = done_or(store.engine().create_indexes(
        &**store.engine(),
        &namespace(),
        create,
        vec![spec],
    ))?;
    Ok(Arc::clone(made.collection.index(name).unwrap()))
}

fn done_or<T>(attempt: Result<Attempt<T>, DocumentError>) -> Result<T, DocumentError> {
    match attempt? {
        Attempt::Done(done) => Ok(done),
        Attempt::Again => panic!("the plan was out of date"),
    }
}

/// The records of all entries of an index, in the order of their keys.
fn entries(store: &Store, index: &Index) -> Vec<u64> {
    let reading = store.engine().reading().unwrap();
    let all = (Edge::Open, Edge::Open);
    let entries = reading.entries(index.id(), all, Direction::Forward).unwrap();
    entries.map(|entry| entry.unwrap().record().get()).collect()
}

#[track_caller]
fn check(store: &Store) {
    let report = store.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.lockstore");
    (folder, path)
}

fn insert(store: &Store, document: RawDocumentBuf) {
    try_insert(store, document).unwrap();
}

fn collection(store: &Store) -> Arc<Collection> {
    Arc::clone(store.engine().reading().unwrap().catalog().collection("test.jobs").unwrap())
}

/// Every document in its natural order.
fn documents(store: &Store) -> Vec<RawDocumentBuf> {
    let reading = store.engine().reading().unwrap();
    let Some(collection) = reading.catalog().collection("test.jobs") else { return Vec::new() };
    let all = (Bound::Unbounded, Bound::Unbounded);
    let documents = reading.documents(collection.id(), all, Direction::Forward).unwrap();
    documents.map(|document| document.unwrap().read().unwrap().raw().to_owned()).collect()
}
