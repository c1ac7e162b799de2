//! lockstore, joined.

use std::path::Path;

use bson::{RawDocumentBuf, rawdoc};
use lockstore::{Collection, LockGuard, Store};

use super::SharedCaller;
use crate::documents::job::{Mark, Names};
use crate::peers::documents::marking;
use crate::shared::connect;
use crate::{Result, bulk};

pub(super) struct Caller {
    store: Store,
    jobs: Collection<RawDocumentBuf>,
    held: Option<LockGuard>,
}

impl Caller {
    pub(super) fn new(path: &Path) -> Result<Self> {
        let store = connect(path)?;
        let jobs = store.database("bench").collection("jobs");
        Ok(Self { store, jobs, held: None })
    }
}

impl SharedCaller for Caller {
    fn acquire(&mut self, key: &str, holder: &str) {
        let guard = self.store.lock(key).holder(holder).ttl(bulk::TTL).acquire();
        self.held = Some(guard.expect("the store serves"));
    }

    fn release(&mut self) {
        let guard = self.held.take().expect("a lock is held");
        guard.release().expect("the lock is held");
    }

    fn update(&mut self, names: &Names, mark: &Mark) {
        let filter = rawdoc! { "db_id": &*names.db_id };
        let found = self.jobs.find_one_and_update(filter, marking(mark)).run();
        found.expect("the store commits").expect("there is such a job");
    }
}
