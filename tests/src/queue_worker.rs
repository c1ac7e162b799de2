//! Busy threads that do the jobs of a queue, each under a lock of its document, and tell which they have done.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use bson::{Bson, Document, doc};
use lockstore::{Collection, IndexModel, ReleaseDocumentError, Session, Store};
use lockstore_testkit::crash::Record;

/// Something that is known of a job: its number, and the token that it was locked with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueFact {
    /// It was locked.
    Taken(i64, u64),
    /// It was released as done.
    Done(i64, u64),
}

/// What must be in the store.
#[derive(Debug, Default)]
pub struct QueueAccount {
    /// The tokens with which each job was locked.
    taken: BTreeMap<i64, BTreeSet<u64>>,
    /// The token with which it was done.
    done: BTreeMap<i64, u64>,
}

/// One busy thread.
pub struct QueueWorker<'a> {
    /// The store that it works with.
    pub store: &'a Store,
    /// What its locks end with; those of a worker without one have a TTL.
    pub session: Option<&'a Session>,
    /// Tells it from all other threads, and of all other processes.
    pub name: String,
    /// Takes what it knows.
    pub report: &'a (dyn Fn(QueueFact) + Sync),
}

impl Record for QueueFact {
    fn to_line(&self) -> String {
        match self {
            Self::Taken(job, token) => format!("taken {job} {token}"),
            Self::Done(job, token) => format!("done {job} {token}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let [verb, job, token] = *words.as_slice() else { return None };
        let (job, token) = (job.parse().ok()?, token.parse().ok()?);
        match verb {
            "taken" => Some(Self::Taken(job, token)),
            "done" => Some(Self::Done(job, token)),
            _ => None,
        }
    }
}

/// Puts so many jobs into the queue.
///
/// # Panics
///
/// When that fails.
pub fn fill(store: &Store, jobs: i64) {
    let queue = queue(store);
    let by_state = IndexModel::new(doc! { "state": 1, "priority": -1 });
    queue.create_index(by_state).expect("the index is made");
    let todo = |job| doc! { "_id": job, "state": "todo", "priority": job * 7_919 % jobs };
    queue.insert_many((0..jobs).map(todo)).run().expect("they are inserted");
}

impl QueueAccount {
    /// Takes a fact.
    ///
    /// # Panics
    ///
    /// When it tells that a job was done twice, or that two have locked it with one token.
    pub fn take(&mut self, fact: &QueueFact) {
        match *fact {
            QueueFact::Taken(job, token) => {
                let is_new = self.taken.entry(job).or_default().insert(token);
                assert!(is_new, "job {job} was locked twice with token {token}");
            }
            QueueFact::Done(job, token) => {
                let before = self.done.insert(job, token);
                assert_eq!(before, None, "job {job} is done once more, with token {token}");
            }
        }
    }

    /// Checks that each job was done once or not at all, and that what was answered is so. Gives how many are left.
    ///
    /// # Panics
    ///
    /// When the store holds anything else, or is not sound.
    pub fn check(&self, store: &Store) -> usize {
        let report = store.check().expect("the store can be checked");
        assert!(report.is_sound(), "{:?}", report.problems);
        let mut left = 0;
        for job in queue(store).find(doc! {}).run().expect("the store serves") {
            let job = job.expect("it is read");
            let id = job.get_i64("_id").expect("a number");
            let answered = self.done.get(&id);
            let is_session = |lock_id: &str| lock_id.starts_with(IN_SESSION);
            assert!(!job.get_str("lock_id").is_ok_and(is_session), "{job} outlives its session");
            let Ok(done) = job.get_array("done") else {
                assert_eq!(answered, None, "{job} was done");
                assert_eq!(job.get_str("state").expect("a state"), "todo", "{job}");
                left += 1;
                continue;
            };
            assert_eq!(job.get_str("state").expect("a state"), "done", "{job}");
            assert_eq!(job.get("lock_id"), Some(&Bson::Null), "{job} is locked");
            let [token] = done.as_slice() else { panic!("{job} was not done exactly once") };
            let token = token.as_i64().expect("a token").cast_unsigned();
            assert!(answered.is_none_or(|answered| *answered == token), "{job}: {answered:?}");
            let last = self.taken.get(&id).and_then(BTreeSet::last);
            assert!(last <= Some(&token), "{job} was locked again when it was done: {last:?}");
        }
        left
    }

    /// How many jobs were locked more often than once, because somebody was killed.
    pub fn retaken(&self) -> usize {
        self.taken.values().filter(|tokens| tokens.len() > 1).count()
    }
}

impl QueueWorker<'_> {
    /// Works until all jobs are done.
    ///
    /// # Panics
    ///
    /// When the store fails.
    pub fn work(&self) {
        let queue = queue(self.store);
        let kind = if self.session.is_some() { IN_SESSION } else { "leased" };
        for number in 0.. {
            let next = || {
                let next = queue
                    .lock_document(doc! { "state": "todo" })
                    .sort(doc! { "priority": -1 })
                    .lock_id(format!("{kind}/{}/{number}", self.name))
                    .update(doc! { "$inc": { "attempts": 1 }, "$set": { "worker": &self.name } });
                match self.session {
                    Some(session) => next.session(session),
                    None => next.ttl(TTL),
                }
            };
            let mut lock = next().acquire().expect("the store serves");
            if !lock.holds() {
                // Others have locked all that are left, and may not get them done.
                lock = next().sleep(TTL).acquire().expect("the store serves");
            }
            let Some(job) = lock.locked_document() else { return };
            let job = job.get_i64("_id").expect("a number");
            let token = lock.token().expect("it is locked").get();
            (self.report)(QueueFact::Taken(job, token));
            let done =
                doc! { "$set": { "state": "done" }, "$push": { "done": token.cast_signed() } };
            lock.set_update_on_release(done).expect("it is an update");
            match lock.release() {
                Ok(()) => (self.report)(QueueFact::Done(job, token)),
                // This thread has slept past its lease; somebody else does the job.
                Err(ReleaseDocumentError::LockLost { .. }) if self.session.is_none() => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl fmt::Debug for QueueWorker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueWorker").field("name", &self.name).finish_non_exhaustive()
    }
}

fn queue(store: &Store) -> Collection<Document> {
    store.database("factory").collection("queue")
}

/// How the names of those begin whose locks end with a session.
const IN_SESSION: &str = "session";

/// How long the locks of the others last: longer than a thread waits for its turn on most machines.
const TTL: Duration = Duration::from_millis(1_500);
