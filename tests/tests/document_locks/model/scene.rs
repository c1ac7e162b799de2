//! A store with documents in it, and what the model expects of them.

use std::time::Duration;

use lockstore::bson::{Bson, DateTime, Document, bson, doc};
use lockstore::{Clock, Collection, DocumentLock, Store};
use lockstore_tests::machine::{Machine, secs};
use lockstore_tests::patience::eventually;

use crate::DEPLOYMENT;

/// What has locked a document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum By {
    /// The library.
    Lock,
    /// An ordinary update.
    Update,
}

/// What the first document that matches is when it is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum First {
    Free,
    HeldByAnother(By),
    HeldByTheSame(By),
    /// Its `lock_id` is the empty text, and so is that of the caller.
    Empty,
    /// None is in the state that is asked for.
    NoMatch,
    /// Locked by another, with a TTL that has passed.
    Expired,
}

impl First {
    pub(crate) const ALL: [Self; 8] = [
        Self::Free,
        Self::HeldByAnother(By::Lock),
        Self::HeldByAnother(By::Update),
        Self::HeldByTheSame(By::Lock),
        Self::HeldByTheSame(By::Update),
        Self::Empty,
        Self::NoMatch,
        Self::Expired,
    ];

    /// What stands in the `lock_id` of the document.
    fn lock_id(self) -> Option<&'static str> {
        match self {
            Self::Free | Self::NoMatch | Self::Expired => None,
            Self::HeldByAnother(_) => Some(OTHER),
            Self::HeldByTheSame(_) => Some(ME),
            Self::Empty => Some(""),
        }
    }
}

/// What is done to the document in the same step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Nothing,
    Operators,
    Pipeline,
}

impl Change {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::Operators, Self::Pipeline];

    pub(crate) fn update(self) -> Option<Bson> {
        match self {
            Self::Nothing => None,
            Self::Operators => Some(bson!({ "$inc": { "n": 1 }, "$push": { "log": "begun" } })),
            Self::Pipeline => Some(bson!([
                { "$set": { "was": "$state", "n": { "$add": ["$n", 10] } } },
                { "$set": { "n": { "$multiply": ["$n", 2] } } },
            ])),
        }
    }

    /// What the update makes of a document, in words of this test.
    pub(crate) fn apply(self, document: &mut Document) {
        let n = document.get_i32("n").expect("it is a number");
        match self {
            Self::Nothing => {}
            Self::Operators => {
                document.insert("n", n + 1);
                document.insert("log", bson!(["begun"]));
            }
            Self::Pipeline => {
                document.insert("was", document.get_str("state").expect("a state").to_owned());
                document.insert("n", (n + 10) * 2);
            }
        }
    }
}

/// Two documents that are ready and one that is not, on a machine whose clock stands.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) machine: Machine,
    pub(crate) store: Store,
    pub(crate) jobs: Collection,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let machine = Machine::on(DEPLOYMENT);
        let store = machine.open();
        let jobs = store.database("factory").collection("jobs");
        jobs.insert_many(initial()).run().expect("they are inserted");
        Self { machine, store, jobs }
    }

    /// Brings the document with this `_id` into a state. Gives the lock that somebody had or has, and all documents as they must
    /// be now.
    pub(crate) fn bring_about(
        &self,
        first: First,
        id: &str,
    ) -> (Option<DocumentLock>, Vec<Document>) {
        let lock = |lock_id| self.jobs.lock_document(doc! { "_id": id }).lock_id(lock_id);
        let former = match first {
            First::Free => None,
            First::HeldByAnother(By::Lock) => Some(lock(OTHER)),
            First::HeldByTheSame(By::Lock) => Some(lock(ME)),
            First::Expired => Some(lock(OTHER).ttl(secs(10))),
            First::HeldByAnother(By::Update) | First::HeldByTheSame(By::Update) | First::Empty => {
                let set = doc! { "lock_id": first.lock_id(), "lock_time": self.now() };
                let update = self.jobs.update_one(doc! { "_id": id }, doc! { "$set": set });
                assert_eq!(update.run().expect("it serves").modified_count, 1);
                None
            }
            First::NoMatch => {
                let done = doc! { "$set": { "state": "done" } };
                self.jobs.update_many(doc! {}, done).run().expect("it serves");
                None
            }
        };
        let former = former.map(|request| request.acquire().expect("it is free"));
        let since = self.now();
        if first == First::Expired {
            self.machine.clock.advance(secs(11));
            eventually("it expires", || self.store.stats().expect("it serves").document_locks == 0);
        }
        let mut expected = initial();
        for document in &mut expected {
            match (first, first.lock_id()) {
                (First::NoMatch, _) => {
                    document.insert("state", "done");
                }
                (First::Expired, _) if has_id(document, id) => unlock(document),
                (_, Some(lock_id)) if has_id(document, id) => set_lock(document, lock_id, since),
                _ => {}
            }
        }
        (former, expected)
    }

    pub(crate) fn documents(&self) -> Vec<Document> {
        let found = self.jobs.find(doc! {}).sort(doc! { "_id": 1 }).run().expect("it serves");
        found.collect::<Result<_, _>>().expect("they are read")
    }

    pub(crate) fn now(&self) -> DateTime {
        let millis = self.machine.clock.wall().as_millis();
        DateTime::from_millis(i64::try_from(millis).expect("it is this century"))
    }

    pub(crate) fn advance_ms(&self, ms: u64) {
        self.machine.clock.advance(Duration::from_millis(ms));
    }
}

fn initial() -> Vec<Document> {
    vec![
        doc! { "_id": "a", "rank": 2, "state": "ready", "n": 1 },
        doc! { "_id": "b", "rank": 1, "state": "ready", "n": 1 },
        doc! { "_id": "c", "rank": 0, "state": "waiting", "n": 1 },
    ]
}

pub(crate) fn has_id(document: &Document, id: &str) -> bool {
    document.get_str("_id").is_ok_and(|its| its == id)
}

/// The one with this `_id`.
pub(crate) fn named<'d>(documents: &'d mut [Document], id: &str) -> &'d mut Document {
    documents.iter_mut().find(|document| has_id(document, id)).expect("it is there")
}

pub(crate) fn set_lock(document: &mut Document, lock_id: &str, since: DateTime) {
    document.insert("lock_id", lock_id);
    document.insert("lock_time", since);
}

pub(crate) fn unlock(document: &mut Document) {
    document.insert("lock_id", None::<&str>);
    document.insert("lock_time", None::<&str>);
}

/// The `lock_id` of the caller, unless it is empty.
pub(crate) const ME: &str = "me";
/// The `lock_id` of somebody else.
pub(crate) const OTHER: &str = "other";
