//! lockstore, through the calls that its users make.

use bson::{DateTime, RawBson, RawDocumentBuf, rawdoc};
use lockstore::{Collection, Store};

use super::{JobCaller, JobLocker, JobStore, JobWriter, LockCaller, Pipeline, WriteCaller};
use crate::Result;
use crate::documents::job::{self, Mark, Names};

/// A collection of jobs. Documents are read as their bytes.
#[derive(Debug)]
pub(crate) struct OurJobs {
    store: Store,
    jobs: Collection<RawDocumentBuf>,
}

struct OurCaller<'a> {
    jobs: &'a Collection<RawDocumentBuf>,
    taken: Option<RawDocumentBuf>,
}

impl OurJobs {
    /// The collection of `store`, with its indexes.
    pub(crate) fn new(store: Store) -> Result<Self> {
        let database = store.database("bench");
        let reply = database.run_command(&indexes());
        if reply.get_f64("ok")? < 1.0 {
            return Err(format!("the indexes were not made: {reply:?}").into());
        }
        let jobs = database.collection("jobs");
        Ok(Self { store, jobs })
    }

    /// Inserts so many jobs.
    pub(crate) fn fill(&self, documents: usize) -> Result {
        for first in (0..documents).step_by(AT_ONCE) {
            let numbers = first..documents.min(first + AT_ONCE);
            self.jobs.insert_many(numbers.map(job::bson)).run()?;
        }
        Ok(())
    }

    /// Unlocks all jobs, which are inserted with what an update has set.
    pub(crate) fn unlock_all(&self) -> Result {
        let reply = self.store.database("bench").run_command(&unlocking_all());
        if reply.get_f64("ok")? < 1.0 { Err(format!("{reply:?}").into()) } else { Ok(()) }
    }

    /// The store itself.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The collection itself.
    pub(crate) fn collection(&self) -> &Collection<RawDocumentBuf> {
        &self.jobs
    }

    /// Closes the store.
    pub(crate) fn close(self) -> Result {
        Ok(self.store.close()?)
    }
}

impl JobWriter for OurJobs {
    fn caller(&self) -> Box<dyn WriteCaller + '_> {
        Box::new(OurCaller { jobs: &self.jobs, taken: None })
    }
}

impl JobStore for OurJobs {
    fn jobs(&self) -> Box<dyn JobCaller + '_> {
        Box::new(OurCaller { jobs: &self.jobs, taken: None })
    }
}

impl OurCaller<'_> {
    fn find_one_and_update(
        &self,
        filter: RawDocumentBuf,
        update: RawDocumentBuf,
    ) -> RawDocumentBuf {
        let found = self.jobs.find_one_and_update(filter, update).run();
        found.expect("the store commits").expect("there is such a job")
    }

    fn find_one(&self, filter: RawDocumentBuf) -> usize {
        let found = self.jobs.find_one(filter).run().expect("the store is open");
        usize::from(found.is_some())
    }
}

impl WriteCaller for OurCaller<'_> {
    fn update(&mut self, names: &Names, mark: &Mark) {
        self.find_one_and_update(rawdoc! { "db_id": &*names.db_id }, marking(mark));
    }

    fn take(&mut self, mark: &Mark) {
        let (filter, update) = (rawdoc! { "state": job::READY }, taking(mark));
        let found = self.jobs.find_one_and_update(filter, update).sort(rawdoc! { "index": 1 });
        self.taken = found.run().expect("the store commits");
    }

    fn put_back(&mut self, mark: &Mark, index: i64) {
        let taken = self.taken.take().expect("a job was taken");
        let db_id = taken.get_str("db_id").expect("a job has one");
        self.find_one_and_update(rawdoc! { "db_id": db_id }, putting_back(mark, index));
    }
}

impl JobCaller for OurCaller<'_> {
    fn update_by_uuid(&mut self, names: &Names, mark: &Mark) {
        self.find_one_and_update(rawdoc! { "uuid": &*names.uuid }, marking(mark));
    }

    fn by_id(&mut self, names: &Names) -> usize {
        self.find_one(rawdoc! { "_id": names.id })
    }

    fn by_index(&mut self, names: &Names) -> usize {
        self.find_one(rawdoc! { "db_id": &*names.db_id })
    }

    fn last_queued(&mut self, limit: usize) -> usize {
        let found = self.jobs.find(rawdoc! { "state": job::READY }).sort(rawdoc! { "index": -1 });
        found.limit(limit as u64).run().expect("the store is open").flatten().count()
    }

    fn most_urgent(&mut self, limit: usize) -> usize {
        let found = self.jobs.find(rawdoc! {}).sort(rawdoc! { "priority": -1 });
        found.limit(limit as u64).run().expect("the store is open").flatten().count()
    }

    fn by_uuid(&mut self, names: &Names) -> usize {
        let found = self.jobs.find(rawdoc! { "uuid": &*names.uuid }).run();
        found.expect("the store is open").flatten().count()
    }

    fn pipeline(&mut self, pipeline: Pipeline<'_>) -> usize {
        let stages = pipeline.stages.into_iter().flatten().map(RawBson::from);
        let found = self.jobs.aggregate(stages).with_type::<RawDocumentBuf>().run();
        found.expect("the store is open").flatten().count()
    }
}

impl JobLocker for OurJobs {
    fn locker(&self) -> Box<dyn LockCaller + '_> {
        Box::new(OurCaller { jobs: &self.jobs, taken: None })
    }
}

impl LockCaller for OurCaller<'_> {
    fn by_index(&mut self, names: &Names, mark: &Mark) {
        let request = self.jobs.lock_document(rawdoc! { "db_id": &*names.db_id });
        let lock = request.lock_id(&*mark.lock_id).acquire().expect("the store commits");
        assert!(lock.locked_document().is_some(), "nobody else has locked it");
        lock.release().expect("it is held");
    }

    fn next_of_queue(&mut self, mark: &Mark, index: i64) {
        let request = self.jobs.lock_document(rawdoc! { "state": job::READY });
        let request = request.sort(rawdoc! { "index": 1 }).lock_id(&*mark.lock_id);
        let mut lock = request.acquire().expect("the store commits");
        assert!(lock.locked_document().is_some(), "the queue is long");
        lock.set_update_on_release(rawdoc! { "$set": { "index": index } }).expect("an update");
        lock.release().expect("it is held");
    }
}

/// The command that unlocks all jobs.
pub(super) fn unlocking_all() -> RawDocumentBuf {
    let unlock = rawdoc! { "$set": { "lock_id": null } };
    rawdoc! { "update": "jobs", "updates": [{ "q": {}, "u": unlock, "multi": true }] }
}

/// The command that makes the indexes.
pub(super) fn indexes() -> RawDocumentBuf {
    rawdoc! {
        "createIndexes": "jobs",
        "indexes": [
            { "key": { "db_id": 1 }, "name": "db_id_1" },
            { "key": { "state": 1, "index": 1 }, "name": "state_1_index_1" },
        ],
    }
}

/// The update that marks a job.
pub(in crate::peers) fn marking(mark: &Mark) -> RawDocumentBuf {
    rawdoc! { "$set": {
        "priority": mark.priority,
        "updated_on": DateTime::from_millis(mark.updated_on_ms),
        "lock_id": &*mark.lock_id,
    } }
}

/// The update that takes a job.
pub(super) fn taking(mark: &Mark) -> RawDocumentBuf {
    rawdoc! { "$set": {
        "state": job::TAKEN,
        "updated_on": DateTime::from_millis(mark.updated_on_ms),
        "lock_id": &*mark.lock_id,
    } }
}

/// The update that puts a job back.
pub(super) fn putting_back(mark: &Mark, index: i64) -> RawDocumentBuf {
    rawdoc! { "$set": {
        "state": job::READY,
        "index": index,
        "updated_on": DateTime::from_millis(mark.updated_on_ms),
        "lock_id": null,
    } }
}

/// How many documents are inserted by one call.
pub(super) const AT_ONCE: usize = 1_000;
