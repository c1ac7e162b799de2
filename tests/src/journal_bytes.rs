//! What the fuzz target `journal_bytes` does: opens a good store beside any journal, and looks at what it has.

use std::sync::{Arc, OnceLock};

use arbitrary::{Arbitrary, Unstructured};
use lockstore::{OpenError, Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::SimDisk;

use crate::storage::Storage;

/// A journal that may be that of the store.
#[derive(Arbitrary, Debug)]
enum Case<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// The store's own, with its blocks in another order and bytes that are others.
    Damaged {
        /// Its length is changed to this.
        len: Option<u16>,
        /// Which block is overwritten with which.
        moved: Vec<(u8, u8)>,
        /// What was written where.
        edits: Vec<(u16, &'a [u8])>,
    },
    /// One whose records are whole, with a checksum that is right, whatever they hold.
    Sealed {
        /// The number of the first record.
        sequence: u64,
        /// Their rows, as they say how many they are, and what they are.
        records: Vec<(u32, &'a [u8])>,
    },
}

/// Opens the good store with the journal that `bytes` describe.
///
/// # Panics
///
/// When the store panics, or has what was never committed together.
pub fn journal_bytes(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let (good, journal) = good();
    let mut journal = journal.clone();
    let is_sealed = matches!(case, Case::Sealed { .. });
    match case {
        Case::Bytes(bytes) => journal = bytes.to_vec(),
        Case::Damaged { len, moved, edits } => {
            for (from, to) in moved {
                let blocks = journal.len() / BLOCK;
                let [from, to] = [from, to].map(|block| usize::from(block) % blocks * BLOCK);
                journal.copy_within(from..from + BLOCK, to);
            }
            for (at, with) in edits {
                let rest = journal.get_mut(usize::from(at)..).unwrap_or_default();
                let len = rest.len().min(with.len());
                rest[..len].copy_from_slice(&with[..len]);
            }
            journal.resize(len.map_or(journal.len(), usize::from), 0);
        }
        Case::Sealed { sequence, records } => seal_all(&mut journal, sequence, &records),
    }
    let disk = good.with_journal(Some(journal.clone()));
    let store = match open(&disk) {
        Ok(store) => store,
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && (is_sealed || text.contains("journal")), "{error:?}");
            let unchanged = disk.contents() == good.contents();
            assert!(is_sealed || unchanged, "the store was changed: {error:?}");
            return;
        }
    };
    if is_sealed {
        // Whoever can write what is sealed can write anything. It was understood, or refused.
        drop(store.check());
        return;
    }
    let held: Vec<bool> = (0..LOCKS)
        .map(|lock| store.is_locked(&key(lock)).expect("a store that opens can be read"))
        .collect();
    let first = held.iter().take_while(|held| **held).count();
    assert!(first > 0 && held[first..].iter().all(|held| !held), "{held:?}");
    assert!(store.check().expect("a store that opens can be read").is_sound());
    store.close().expect("the disk is sound");
    assert_eq!(disk.journal_contents(), None);
}

/// A store whose first lock is in its file, and each other in a record of its journal.
fn good() -> &'static (SimDisk, Vec<u8>) {
    static GOOD: OnceLock<(SimDisk, Vec<u8>)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let disk = SimDisk::new();
        let store = open(&disk).expect("the store opens");
        for lock in 0..LOCKS {
            let guard = store.lock(&key(lock)).holder("h").try_acquire();
            drop(guard.expect("nobody holds it").leak());
        }
        let killed = disk.after_kill();
        let journal = killed.journal_contents().expect("it has a journal");
        (killed, journal)
    })
}

fn open(disk: &SimDisk) -> Result<Store, OpenError> {
    let options = StoreOptions::new().clock(Arc::new(ManualClock::new())).cache_bytes(1 << 20);
    Storage::Journalled.open(options, disk)
}

/// Overwrites the records with these.
fn seal_all(journal: &mut [u8], sequence: u64, records: &[(u32, &[u8])]) {
    let salt: [u8; 8] = journal[SALT..SALT + 8].try_into().expect("eight bytes");
    journal[BLOCK..].fill(0);
    let mut at = BLOCK;
    for (index, (rows, payload)) in (0..).zip(records) {
        let sequence = sequence.wrapping_add(index);
        let mut record = vec![0; 4];
        record.extend(u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        record.extend(salt);
        record.extend(sequence.to_le_bytes());
        record.extend(rows.to_le_bytes());
        record.extend(*payload);
        let checksum = crc32fast::hash(&record[4..]);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
        let Some(place) = journal.get_mut(at..at + record.len()) else { return };
        place.copy_from_slice(&record);
        at += record.len().next_multiple_of(BLOCK);
    }
}

fn key(lock: usize) -> String {
    format!("lock {lock}")
}

const LOCKS: usize = 9;

/// Of the format of journals: the unit of the file, and where the salt stands in the first one.
const BLOCK: usize = 4096;
const SALT: usize = 28;
