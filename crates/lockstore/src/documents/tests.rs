//! What the tests of documents share.

mod writing;

use std::ops::Bound;
use std::sync::Arc;

use bson::{RawBsonRef, RawDocumentBuf, rawdoc};
use docquery::{Environment, Filter, Update};

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

fn filter(filter: &RawDocumentBuf) -> Arc<Filter> {
    Arc::new(Filter::parse(filter, &Environment::new(0)).unwrap())
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
    documents.map(|document| document.unwrap().raw().to_owned()).collect()
}
