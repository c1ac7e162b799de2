//! What readers see: the state as of one commit, published whole.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use imbl::shared_ptr::DefaultSharedPtr;
use lockcore::{Key, Lock};

use crate::disk::{Disk, DiskError, Snapshot};
use crate::document_locks::side_grant::is_side_key;
use crate::documents::Catalog;

/// The published state. Readers load the view without a lock; a listing holds the keys for one page.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<View>,
    /// The keys of the view in their order, but those of side grants, for listing: at least those of the view at any
    /// time, and a reader passes over what the view does not have.
    keys: RwLock<BTreeSet<Key>>,
    /// Whether views come without their rows for now: the file is to be had alone.
    withheld: Mutex<bool>,
    /// Notified when they come with their rows again.
    shown: Condvar,
}

/// The locks and the documents as of one commit.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// How many batches had changed something when this was published.
    pub(crate) sequence: u64,
    /// Persistent, so that publishing costs what changed and not what exists.
    locks: imbl::GenericHashMap<ByKey, (), foldhash::fast::RandomState, DefaultSharedPtr>,
    catalog: Catalog,
    /// The rows of the collections. There are none without collections, so that a store of locks alone
    /// takes no snapshots, and none while they are withheld.
    rows: Option<Arc<Snapshot>>,
}

/// A lock that is found by its key.
#[derive(Clone, Debug)]
struct ByKey(Arc<Lock>);

impl Published {
    /// The first view: the locks and collections that an opening has found.
    pub(crate) fn new<'a>(
        locks: impl Iterator<Item = &'a Arc<Lock>>,
        catalog: &Catalog,
        disk: &Disk,
    ) -> Result<Self, DiskError> {
        let mut view = View {
            sequence: 0,
            locks: imbl::GenericHashMap::default(),
            catalog: catalog.clone(),
            rows: rows_of(catalog, disk)?,
        };
        let mut keys = Vec::with_capacity(locks.size_hint().0);
        for lock in locks {
            if !is_side_key(lock.key()) {
                keys.push(lock.key().clone());
            }
            view.locks.insert(ByKey(Arc::clone(lock)), ());
        }
        // A set that is made of all its keys at once sorts them once, and fills its nodes.
        let keys = RwLock::new(keys.into_iter().collect());
        let (withheld, shown) = (Mutex::new(false), Condvar::new());
        Ok(Self { view: ArcSwap::from_pointee(view), keys, withheld, shown })
    }

    /// The newest view.
    pub(crate) fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Replaces the view by one in which the locks of `changed` are as given, and the collections those of
    /// `catalog`; their rows are those of the last commit to `disk`, which is given if there was one. Only the writer
    /// calls this.
    ///
    /// # Errors
    ///
    /// The disk gave no snapshot. Readers go on with the view before, which must be the last one.
    pub(crate) fn publish<'a>(
        &self,
        changed: impl Iterator<Item = (&'a Key, Option<&'a Arc<Lock>>)>,
        catalog: &Catalog,
        disk: Option<&Disk>,
    ) -> Result<u64, DiskError> {
        let mut next = View::clone(&self.view.load());
        next.sequence += 1;
        if let Some(disk) = disk {
            next.catalog.clone_from(catalog);
            next.rows = if *self.withheld() { None } else { rows_of(catalog, disk)? };
        }
        let mut gone = Vec::new();
        for (key, lock) in changed {
            // The key is removed first: an insertion keeps the old key, which is the old lock.
            let known = next.locks.remove(key.as_str()).is_some();
            match lock {
                Some(lock) => {
                    next.locks.insert(ByKey(Arc::clone(lock)), ());
                    if !known && !is_side_key(key) {
                        self.write_keys().insert(key.clone());
                    }
                }
                None => gone.push(key),
            }
        }
        let sequence = next.sequence;
        self.view.store(Arc::new(next));
        if !gone.is_empty() {
            let mut keys = self.write_keys();
            for key in gone {
                keys.remove(key.as_str());
            }
        }
        Ok(sequence)
    }

    /// Shows the views of now and later without their rows, so that the file can be had alone once readers have
    /// let go of older ones. Only who is in the writer's seat calls this.
    pub(crate) fn withhold_rows(&self) {
        *self.withheld() = true;
        self.view.store(Arc::new(View { rows: None, ..View::clone(&self.view.load()) }));
    }

    /// Ends [`Published::withhold_rows`]. Only who is in the writer's seat calls this.
    pub(crate) fn show_rows(&self, disk: &Disk) -> Result<(), DiskError> {
        let view = View::clone(&self.view.load());
        let rows = rows_of(&view.catalog, disk)?;
        let mut withheld = self.withheld();
        self.view.store(Arc::new(View { rows, ..view }));
        *withheld = false;
        self.shown.notify_all();
        Ok(())
    }

    /// Waits until views come with their rows, but not for long: whether the store is still to be used must be
    /// asked in between.
    pub(crate) fn wait_for_rows(&self) {
        let withheld = self.withheld();
        if *withheld {
            drop(self.shown.wait_timeout(withheld, WAIT_MAX));
        }
    }

    /// What a forked child does with the view of its parent: it is not dropped, for that would tell redb.
    pub(crate) fn forget(&self) {
        std::mem::forget(self.view.load_full());
    }

    /// At most `limit` locks whose keys begin with `prefix` and come after `after`, in the order of keys.
    pub(crate) fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<Arc<Lock>> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        // The keys first: while they are held, the view can only be one whose keys are all among them.
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let view = self.view.load_full();
        keys.range::<str, _>((start, Bound::Unbounded))
            .take_while(|key| key.starts_with(prefix))
            .filter_map(|key| view.lock(key).cloned())
            .take(limit)
            .collect()
    }

    fn withheld(&self) -> MutexGuard<'_, bool> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_keys(&self) -> std::sync::RwLockWriteGuard<'_, BTreeSet<Key>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// The lock of `key`, if anybody holds it.
    pub(crate) fn lock(&self, key: &str) -> Option<&Arc<Lock>> {
        self.locks.get_key_value(key).map(|(lock, ())| &lock.0)
    }

    /// All locks that are held, in no particular order.
    pub(crate) fn locks(&self) -> impl Iterator<Item = &Arc<Lock>> {
        self.locks.keys().map(|lock| &lock.0)
    }

    /// How many locks are held.
    pub(crate) fn len(&self) -> usize {
        self.locks.len()
    }

    /// The collections.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The rows of the collections; `None` when there are no collections, or the rows are withheld.
    pub(crate) fn try_rows(&self) -> Option<&Arc<Snapshot>> {
        self.rows.as_ref()
    }
}

/// The rows that the collections of `catalog` have, as of the last commit.
fn rows_of(catalog: &Catalog, disk: &Disk) -> Result<Option<Arc<Snapshot>>, DiskError> {
    if catalog.is_empty() { Ok(None) } else { Ok(Some(Arc::new(disk.snapshot()?))) }
}

impl PartialEq for ByKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.key() == other.0.key()
    }
}

impl Eq for ByKey {}

impl Hash for ByKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.key().as_str().hash(state);
    }
}

impl Borrow<str> for ByKey {
    fn borrow(&self) -> &str {
        self.0.key()
    }
}

/// How long a reader waits for rows at most before it looks whether the store has stopped.
const WAIT_MAX: Duration = Duration::from_millis(100);
