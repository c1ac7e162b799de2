//! Stores in which many locks are held already.

use std::fs;
use std::path::Path;

use lockstore::{JournalUse, Store, StoreOptions};

use crate::peers::RedbAlone;
use crate::place::Place;
use crate::{Result, bulk};

/// A store with live locks, one on a copy of its file that has no journal, and redb on another.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) store: Store,
    pub(super) plain: Store,
    pub(super) redb: RedbAlone,
}

impl Live {
    /// Builds them, with `locks` locks, in files called after `name`.
    pub(super) fn new(place: &Place, name: &str, locks: usize) -> Result<Self> {
        let ours = place.file(&format!("{name}.lockstore"));
        let [plain, redb] = ["plain", "redb"].map(|kind| place.file(&format!("{name}.{kind}")));
        let store = store(&ours, locks)?;
        store.close()?;
        for copy in [&plain, &redb] {
            fs::copy(&ours, copy)?;
            // The copy must not be written back while something is measured.
            fs::File::open(copy)?.sync_all()?;
        }
        let options = StoreOptions::new().cache_bytes(CACHE_BYTES);
        let store = options.clone().open(&ours)?;
        let plain = options.journal(JournalUse::Never).open(&plain)?;
        Ok(Self { store, plain, redb: RedbAlone::open(&redb, CACHE_BYTES)? })
    }
}

/// A new store at `path` with `locks` locks.
pub(super) fn store(path: &Path, locks: usize) -> Result<Store> {
    let store = StoreOptions::new().cache_bytes(CACHE_BYTES).open(path)?;
    bulk::fill(&store, locks);
    Ok(store)
}

/// How much each contender may cache: lockstore's default.
pub(super) const CACHE_BYTES: usize = 32 << 20;
