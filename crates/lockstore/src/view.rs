//! What readers see: the state as of one commit, published whole.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use imbl::shared_ptr::DefaultSharedPtr;
use lockcore::{Key, Lock};

/// The published state. Readers load the view without a lock; a listing holds the keys for one page.
#[derive(Debug)]
pub(crate) struct Published {
    view: ArcSwap<View>,
    /// The keys of the view in their order, for listing: at least those of the view at any time, and a
    /// reader passes over what the view does not have.
    keys: RwLock<BTreeSet<Key>>,
}

/// The locks as of one commit.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// How many batches had changed something when this was published.
    pub(crate) sequence: u64,
    /// Persistent, so that publishing costs what changed and not what exists.
    locks: imbl::GenericHashMap<ByKey, (), foldhash::fast::RandomState, DefaultSharedPtr>,
}

/// A lock that is found by its key.
#[derive(Clone, Debug)]
struct ByKey(Arc<Lock>);

impl Published {
    pub(crate) fn new<'a>(locks: impl Iterator<Item = &'a Arc<Lock>>) -> Self {
        let mut view = View { sequence: 0, locks: imbl::GenericHashMap::default() };
        let mut keys = Vec::with_capacity(locks.size_hint().0);
        for lock in locks {
            keys.push(lock.key().clone());
            view.locks.insert(ByKey(Arc::clone(lock)), ());
        }
        // A set that is made of all its keys at once sorts them once, and fills its nodes.
        let keys = RwLock::new(keys.into_iter().collect());
        Self { view: ArcSwap::from_pointee(view), keys }
    }

    /// The newest view.
    pub(crate) fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// Replaces the view by one in which the locks of `changed` are as given. Only the writer calls this.
    pub(crate) fn publish<'a>(
        &self,
        changed: impl Iterator<Item = (&'a Key, Option<&'a Arc<Lock>>)>,
    ) -> u64 {
        let mut next = View::clone(&self.view.load());
        next.sequence += 1;
        let mut gone = Vec::new();
        for (key, lock) in changed {
            // The key is removed first: an insertion keeps the old key, which is the old lock.
            let known = next.locks.remove(key.as_str()).is_some();
            match lock {
                Some(lock) => {
                    next.locks.insert(ByKey(Arc::clone(lock)), ());
                    if !known {
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
        sequence
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

    fn write_keys(&self) -> std::sync::RwLockWriteGuard<'_, BTreeSet<Key>> {
        self.keys.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl View {
    /// The lock of `key`, if anybody holds it.
    pub(crate) fn lock(&self, key: &str) -> Option<&Arc<Lock>> {
        self.locks.get_key_value(key).map(|(lock, ())| &lock.0)
    }

    /// How many locks are held.
    pub(crate) fn len(&self) -> usize {
        self.locks.len()
    }
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
