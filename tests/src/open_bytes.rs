//! What the fuzz target `open_bytes` does: opens a file, whatever it holds, and uses it if it is a store.

use std::panic;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use lockstore::{AcquireError, Clock, OpenError, Store, StoreError, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_testkit::disk::SimDisk;
use redb::{Database, TableDefinition};

use crate::any_row::{AnyRow, Row, Table};
use crate::script::Script;

/// A file that may be a store.
#[derive(Arbitrary, Debug)]
enum Case<'a> {
    /// Any bytes.
    Bytes(&'a [u8]),
    /// A store that was damaged.
    Damaged {
        /// Its length is changed to this.
        len: Option<u16>,
        /// What was written where.
        edits: Vec<(u16, &'a [u8])>,
    },
    /// A sound redb file with any rows.
    Rows {
        /// Whether the rows are added to those that every store has.
        has_meta: bool,
        /// The rows; of two with one key the later one.
        rows: Vec<AnyRow<'a>>,
    },
}

/// Opens the file that `bytes` describe.
///
/// # Panics
///
/// When the store panics, or opens what it then finds to be wrong.
pub fn open_bytes(bytes: &[u8]) {
    let Ok(case) = Case::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    let clock = ManualClock::new();
    let disk = match &case {
        Case::Bytes(bytes) => SimDisk::from_bytes(bytes.to_vec()),
        Case::Damaged { len, edits } => damaged(*len, edits),
        Case::Rows { has_meta, rows } => with_rows(*has_meta, rows, &clock),
    };
    if let Err(error) = open_disk(&disk, &clock) {
        assert!(!error.to_string().is_empty(), "{error:?}");
    }
}

/// Opens a sound redb file with the rows that every store has and these: of two with one key the later one.
///
/// # Errors
///
/// The file is refused.
///
/// # Panics
///
/// As [`open_bytes`].
pub fn open_rows(rows: &[AnyRow<'_>]) -> Result<(), OpenError> {
    let clock = ManualClock::new();
    open_disk(&with_rows(true, rows, &clock), &clock)
}

fn open_disk(disk: &SimDisk, clock: &ManualClock) -> Result<(), OpenError> {
    let options = StoreOptions::new().clock(Arc::new(clock.clone())).cache_bytes(1 << 20);
    let store = options.open_backend(disk.backend())?;
    use_store(&store, clock);
    Ok(())
}

/// Has panics of redb pass, which lockstore makes errors of; every other one goes to the hook that was there
/// before, which in a fuzzer ends the process.
pub fn let_redb_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let in_redb = panic.location().is_some_and(|at| at.file().contains("/redb-"));
        if !in_redb {
            before(panic);
        }
    }));
}

fn use_store(store: &Store, clock: &ManualClock) {
    let locks = store.list("", None, usize::MAX).expect("a store that opens can be read");
    let tokens = locks.iter().flat_map(|lock| &lock.holders).map(|holder| holder.token);
    let highest = tokens.max();
    // Records of breaks are not needed to open a store, and are read only here.
    drop(store.audit(None, 100));
    if let Ok(report) = store.check() {
        let unknown = report.problems.iter().find(|problem| !problem.contains("table audit"));
        assert_eq!(unknown, None, "a store that opens is sound");
    }
    match store.lock("(new)").holder("(new)").try_acquire() {
        Ok(guard) => {
            let again = locks.iter().any(|lock| lock.key.as_str() == "(new)");
            assert!(again || Some(guard.token()) > highest, "{guard:?} after {highest:?}");
            told(guard.release().err().map(|error| match error {
                lockstore::ReleaseError::Store(error) => error,
                error => panic!("it was held: {error}"),
            }));
        }
        Err(AcquireError::Store(error)) => told(Some(error)),
        Err(_) => {}
    }
    // Whatever is leased may end.
    clock.advance(Duration::from_secs(1 << 20));
    for lock in locks.iter().take(4) {
        told(store.break_lock(&lock.key, lock.holders[0].token, "").err().and_then(|error| {
            match error {
                lockstore::BreakError::Store(error) => Some(error),
                _ => None,
            }
        }));
    }
    told(store.clone().close().err());
}

/// What is wrong with a file may show later than in opening it, but never as a panic of ours.
fn told(error: Option<StoreError>) {
    if let Some(StoreError::Poisoned { cause }) = error {
        assert!(!cause.contains("panicked"), "{cause}");
    }
}

fn damaged(len: Option<u16>, edits: &[(u16, &[u8])]) -> SimDisk {
    static STORE: OnceLock<Vec<u8>> = OnceLock::new();
    let mut bytes = STORE
        .get_or_init(|| {
            let mut script = Script::default();
            drop(script.play());
            script.disk.contents()
        })
        .clone();
    bytes.resize(len.map_or(bytes.len(), usize::from), 0);
    for (at, with) in edits {
        if let Some(rest) = bytes.get_mut(usize::from(*at)..) {
            let len = rest.len().min(with.len());
            rest[..len].copy_from_slice(&with[..len]);
        }
    }
    SimDisk::from_bytes(bytes)
}

fn with_rows(has_meta: bool, rows: &[AnyRow<'_>], clock: &ManualClock) -> SimDisk {
    let disk = SimDisk::new();
    let meta = if has_meta { &AnyRow::META[..] } else { &[] };
    let boot_id = clock.boot_id().0;
    let rows: Vec<Row> = meta.iter().chain(rows).map(|row| row.row(boot_id)).collect();
    let written = || -> Result<(), redb::Error> {
        let db = Database::builder().create_with_backend(disk.backend())?;
        let transaction = db.begin_write()?;
        for table in Table::ALL {
            transaction.open_table(definition(table.name()))?;
        }
        // redb has no table without a name.
        for Row { table, key, value } in rows.iter().filter(|row| !row.table.is_empty()) {
            let mut table = transaction.open_table(definition(table))?;
            table.insert(key.as_slice(), value.as_slice())?;
        }
        Ok(transaction.commit()?)
    };
    written().expect("redb writes any rows to a sound disk");
    disk
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}
