//! Stores in which many locks are held already.

use std::fs;
use std::path::Path;

use lockstore::{Store, StoreOptions};

use crate::peers::RedbAlone;
use crate::place::Place;
use crate::{Result, bulk};

/// A store with live locks, and redb on a copy of its file.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) store: Store,
    pub(super) redb: RedbAlone,
}

impl Live {
    /// Builds both, with `locks` locks, in files called after `name`.
    pub(super) fn new(place: &Place, name: &str, locks: usize) -> Result<Self> {
        let ours = place.file(&format!("{name}.lockstore"));
        let copy = place.file(&format!("{name}.redb"));
        let store = store(&ours, locks)?;
        store.close()?;
        fs::copy(&ours, &copy)?;
        // The copy must not be written back while something is measured.
        fs::File::open(&copy)?.sync_all()?;
        let store = StoreOptions::new().cache_bytes(CACHE_BYTES).open(&ours)?;
        Ok(Self { store, redb: RedbAlone::open(&copy, CACHE_BYTES)? })
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
