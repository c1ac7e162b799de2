//! Which documents need not be compared with their checksums before they are looked at.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::gate::Gate;
use crate::documents::CollectionId;

/// What is known of the documents in memory.
///
/// A checksum tells whether what was read from the file is what was written there. redb keeps in memory what it has read, and
/// nothing changes it there. So once a scan has compared every document of a collection, and nothing was read from the
/// file meanwhile, its documents are sound as long as nothing is read: what later commits add comes
/// from this process. What redb's cache does not hold is read again, which ends all proofs. Older snapshots
/// may have documents that no scan has seen, so a proof is not for them.
///
/// It serves those documents that a scan passes over. What somebody is given is compared in any case.
#[derive(Debug)]
pub(super) struct Proofs {
    gate: Gate,
    proved: Mutex<Proved>,
}

#[derive(Debug, Default)]
struct Proved {
    /// How often the file had been read then, for all of them.
    reads: u64,
    /// In which snapshot each collection was proved to be sound.
    collections: HashMap<CollectionId, u64>,
}

/// A scan of a collection: what it can rely on, and what it may prove.
#[derive(Debug)]
pub(super) struct Proof<'p> {
    proofs: &'p Proofs,
    collection: CollectionId,
    snapshot: u64,
    /// How often the file had been read when the scan began.
    reads: u64,
    is_proved: bool,
}

impl Proofs {
    pub(super) fn new(gate: Gate) -> Self {
        Self { gate, proved: Mutex::default() }
    }

    /// For a scan that begins now. Later snapshots have higher numbers.
    pub(super) fn begin(&self, collection: CollectionId, snapshot: u64) -> Proof<'_> {
        let reads = self.gate.reads();
        let proved = self.proved();
        let is_proved = proved.reads == reads
            && proved.collections.get(&collection).is_some_and(|proved| *proved <= snapshot);
        Proof { proofs: self, collection, snapshot, reads, is_proved }
    }

    fn proved(&self) -> MutexGuard<'_, Proved> {
        // Each change is whole, so a panic elsewhere leaves nothing half done.
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proof<'_> {
    /// Whether a document that was found just now is known to be sound.
    pub(super) fn holds(&self) -> bool {
        self.is_proved && self.proofs.gate.reads() == self.reads
    }

    /// Every document of the collection has been compared since the beginning, or needed not be.
    pub(super) fn complete(&self) {
        if self.is_proved || self.proofs.gate.reads() != self.reads {
            return;
        }
        let mut proved = self.proofs.proved();
        if proved.reads != self.reads || proved.collections.len() >= COLLECTIONS_MAX {
            *proved = Proved { reads: self.reads, ..Proved::default() };
        }
        proved.collections.insert(self.collection, self.snapshot);
    }
}

/// Of how many collections is remembered that they are sound.
const COLLECTIONS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    const JOBS: CollectionId = CollectionId::new(1);

    fn proofs() -> Proofs {
        Proofs::new(Gate::new(Box::new(InMemoryBackend::new())).unwrap())
    }

    fn read(proofs: &Proofs) {
        proofs.gate.read(0, &mut []).unwrap();
    }

    #[test]
    fn what_a_whole_scan_has_compared_is_sound_until_the_file_is_read() {
        let proofs = proofs();
        let proof = proofs.begin(JOBS, 1);
        assert!(!proof.holds());
        proof.complete();
        assert!(!proof.holds(), "this scan goes on as it began");
        let next = proofs.begin(JOBS, 1);
        assert!(next.holds());
        assert!(!proofs.begin(CollectionId::new(2), 1).holds(), "others were not compared");
        read(&proofs);
        assert!(!next.holds(), "what was just found may have been read after the scan began");
        assert!(!proofs.begin(JOBS, 1).holds());
    }

    #[test]
    fn a_scan_during_which_the_file_is_read_proves_nothing() {
        let proofs = proofs();
        let proof = proofs.begin(JOBS, 1);
        read(&proofs);
        proof.complete();
        assert!(!proofs.begin(JOBS, 1).holds());
        // Nor one that relied on a proof of before.
        proofs.begin(JOBS, 1).complete();
        let relied = proofs.begin(JOBS, 1);
        read(&proofs);
        relied.complete();
        assert!(!proofs.begin(JOBS, 1).holds());
    }

    #[test]
    fn a_proof_is_not_for_older_snapshots() {
        let proofs = proofs();
        proofs.begin(JOBS, 5).complete();
        assert!(!proofs.begin(JOBS, 4).holds());
        assert!(proofs.begin(JOBS, 6).holds());
    }

    #[test]
    fn a_proof_of_before_does_not_come_to_life_again() {
        let proofs = proofs();
        proofs.begin(JOBS, 1).complete();
        read(&proofs);
        proofs.begin(CollectionId::new(2), 1).complete();
        assert!(!proofs.begin(JOBS, 1).holds());
    }
}
