//! lockstore, through the calls that its users make.

use lockstore::{LockGuard, Store};

use super::{Caller, LockTable};
use crate::bulk::TTL;

/// A store that is open.
#[derive(Debug)]
pub(crate) struct Ours(pub(crate) Store);

struct OurCaller<'a> {
    store: &'a Store,
    guard: Option<LockGuard>,
}

impl LockTable for Ours {
    fn caller(&self) -> Box<dyn Caller + '_> {
        Box::new(OurCaller { store: &self.0, guard: None })
    }
}

impl Caller for OurCaller<'_> {
    fn acquire(&mut self, key: &str, holder: &str) {
        let guard = self.store.lock(key).holder(holder).ttl(TTL).try_acquire();
        self.guard = Some(guard.expect("the lock is free"));
    }

    fn release(&mut self) {
        let guard = self.guard.take().expect("something was acquired");
        guard.release().expect("the lock is held");
    }
}
