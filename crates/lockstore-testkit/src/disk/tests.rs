//! What the disk promises by itself, and redb on top of it.

use std::collections::BTreeSet;
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};

use super::*;

fn disk_with(bytes: &[u8]) -> SimDisk {
    SimDisk::from_bytes(bytes.to_vec())
}

#[test]
fn a_kill_keeps_what_was_written_and_a_power_loss_only_what_was_synced() {
    let disk = disk_with(&[0; 8]);
    let file = disk.backend();
    file.write(0, b"synced").unwrap();
    file.sync_data().unwrap();
    file.write(0, b"cached").unwrap();
    assert_eq!(disk.after_kill().contents(), b"cached\0\0");
    let lost = disk.after_power_loss(&PowerLoss::nothing_unsynced());
    assert_eq!(lost.contents(), b"synced\0\0");
    // The next process's disk still knows what is not durable.
    let lost = disk.after_kill().after_power_loss(&PowerLoss::nothing_unsynced());
    assert_eq!(lost.contents(), b"synced\0\0");
}

#[test]
fn sectors_survive_in_any_combination() {
    let disk = disk_with(&[0; 3 * SECTOR_BYTES]);
    disk.backend().write(0, &[1; 3 * SECTOR_BYTES]).unwrap();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let loss = PowerLoss::seeded(seed).tearing(Tearing::Never);
        let bytes = disk.after_power_loss(&loss).contents();
        assert!(bytes.chunks(SECTOR_BYTES).all(|sector| sector.iter().all(|&b| b == sector[0])));
        seen.insert(bytes.iter().step_by(SECTOR_BYTES).copied().collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn a_seed_repeats() {
    let disk = disk_with(&[0; 24 * SECTOR_BYTES]);
    disk.backend().write(0, &[1; 24 * SECTOR_BYTES]).unwrap();
    let image = |seed| disk.after_power_loss(&PowerLoss::seeded(seed)).contents();
    assert_eq!(image(3), image(3));
    assert_ne!(image(3), image(4));
}

#[test]
fn a_torn_sector_begins_new_and_ends_old() {
    let disk = disk_with(&[0; SECTOR_BYTES]);
    disk.backend().write(0, &[1; SECTOR_BYTES]).unwrap();
    let mut torn = 0;
    for seed in 0..500 {
        let bytes = disk.after_power_loss(&PowerLoss::seeded(seed)).contents();
        let new = bytes.iter().take_while(|&&byte| byte == 1).count();
        assert!(bytes[new..].iter().all(|&byte| byte == 0));
        torn += usize::from(new > 0 && new < SECTOR_BYTES);
    }
    assert!(torn > 0);
}

#[test]
fn garbage_comes_only_when_asked_for() {
    let disk = disk_with(&[0; SECTOR_BYTES]);
    disk.backend().write(0, &[1; SECTOR_BYTES]).unwrap();
    let garbage = (0..500).any(|seed| {
        let loss = PowerLoss::seeded(seed).tearing(Tearing::Garbage);
        disk.after_power_loss(&loss).contents().iter().any(|&byte| byte > 1)
    });
    assert!(garbage);
}

/// All outcomes of a loss of power, by trying every answer to every question.
fn all_outcomes(disk: &SimDisk) -> BTreeSet<Vec<u8>> {
    let mut outcomes = BTreeSet::new();
    let mut answers: Vec<usize> = Vec::new();
    loop {
        let mut asked = Vec::new();
        let after = disk.after_power_loss_choosing(|unsynced| {
            let (Unsynced::Length { versions }
            | Unsynced::Name { versions }
            | Unsynced::Sector { versions, .. }) = unsynced;
            let answer = answers.get(asked.len()).copied().unwrap_or(0);
            asked.push((answer, versions));
            answer
        });
        outcomes.insert(after.contents());
        // Count up, last question first, like an odometer.
        while asked.last().is_some_and(|&(answer, versions)| answer + 1 == versions) {
            asked.pop();
        }
        let Some(last) = asked.last_mut() else {
            return outcomes;
        };
        last.0 += 1;
        answers = asked.iter().map(|&(answer, _)| answer).collect();
    }
}

#[test]
fn a_sector_stands_at_one_of_its_versions() {
    let disk = disk_with(b"aaaa");
    let file = disk.backend();
    file.write(0, b"bb").unwrap();
    file.write(2, b"cc").unwrap();
    let expected = [b"aaaa", b"bbaa", b"bbcc"].map(|bytes| bytes.to_vec());
    assert_eq!(all_outcomes(&disk), BTreeSet::from(expected));
}

#[test]
fn growth_may_be_lost_and_data_in_it_may_be_lost_without_it() {
    let disk = disk_with(b"old");
    let file = disk.backend();
    file.write(3, b"new").unwrap();
    let expected = [&b"old"[..], b"old\0\0\0", b"oldnew"].map(<[u8]>::to_vec);
    assert_eq!(all_outcomes(&disk), BTreeSet::from(expected));
    file.sync_data().unwrap();
    assert_eq!(disk.durable_contents(), b"oldnew");
}

#[test]
fn what_a_truncation_cut_off_does_not_come_back_when_the_file_grows_again() {
    let disk = disk_with(b"secret");
    let file = disk.backend();
    file.set_len(2).unwrap();
    file.set_len(6).unwrap();
    file.write(4, b"!").unwrap();
    let expected = [&b"secret"[..], b"se", b"se\0\0\0\0", b"se\0\0!\0"].map(<[u8]>::to_vec);
    assert_eq!(all_outcomes(&disk), BTreeSet::from(expected));
}

#[test]
fn power_lost_at_an_operation_ends_everything_after_it() {
    let disk = SimDisk::new();
    disk.lose_power_at_operation(2);
    let file = disk.backend();
    file.write(0, b"a").unwrap();
    assert!(file.write(1, b"b").is_err());
    assert!(disk.is_off());
    for result in [
        file.write(0, b"c"),
        file.sync_data(),
        file.set_len(1),
        file.read(0, &mut [0]),
        file.len().map(drop),
    ] {
        assert_eq!(result.unwrap_err().to_string(), "the simulated machine has lost power");
    }
    assert_eq!(disk.counts().total(), 2);
    // The write that was cut may have reached the disk.
    let after = disk.after_power_loss(&PowerLoss::everything());
    assert_eq!(after.contents(), b"ab");
    assert!(!after.is_off());
}

#[test]
fn faults_strike_the_operation_they_name() {
    let disk = SimDisk::new();
    let file = disk.backend();
    disk.inject(Fault::no_space().on(DiskOp::Write).nth(2).after_bytes(1));
    disk.inject(Fault::io_error().on(DiskOp::Read).from_then_on());
    file.write(0, b"ab").unwrap();
    assert_eq!(file.write(0, b"cd").unwrap_err().raw_os_error(), Some(28));
    assert_eq!(disk.contents(), b"cb");
    file.write(0, b"ef").unwrap();
    for _ in 0..3 {
        assert_eq!(file.read(0, &mut [0]).unwrap_err().raw_os_error(), Some(5));
    }
    disk.clear_faults();
    file.read(0, &mut [0]).unwrap();
}

#[test]
fn a_failed_sync_keeps_forgets_or_reverts() {
    let cases = [
        (FailedSync::StillDirty, b"new", b"new"),
        (FailedSync::MarkedClean, b"new", b"old"),
        (FailedSync::Reverted, b"old", b"old"),
    ];
    for (failed_sync, read, durable) in cases {
        let disk = disk_with(b"old");
        let file = disk.backend();
        file.write(0, b"new").unwrap();
        disk.inject(Fault::io_error().failed_sync(failed_sync));
        file.sync_data().unwrap_err();
        file.sync_data().unwrap();
        assert_eq!(disk.contents(), read, "{failed_sync:?}");
        assert_eq!(disk.durable_contents(), durable, "{failed_sync:?}");
    }
}

#[test]
fn a_sync_that_is_held_ends_with_the_power() {
    let disk = SimDisk::new();
    let held = disk.hold_syncs();
    assert!(!held.wait_for_sync(Duration::from_millis(1)));
    let file = disk.backend();
    let program = std::thread::spawn(move || file.sync_data());
    assert!(held.wait_for_sync(Duration::from_secs(60)));
    assert_eq!(held.waiting(), 1);
    disk.lose_power();
    program.join().unwrap().unwrap_err();
}

#[test]
fn a_file_is_open_once() {
    let disk = SimDisk::new();
    let db = Database::builder().create_with_backend(disk.backend()).unwrap();
    assert!(Database::builder().create_with_backend(disk.backend()).is_err());
    drop(db);
    Database::builder().create_with_backend(disk.backend()).unwrap();
}

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");
const COMMITS: u64 = 6;

/// Commits 0, 1, 2, ... until something fails, large enough that the file grows. Returns how many
/// commits were answered. The database is closed at the end, with what that writes.
fn workload(disk: &SimDisk) -> Result<u64, redb::Error> {
    let db = Database::builder().create_with_backend(disk.backend())?;
    for n in 0..COMMITS {
        if let Err(error) = commit(&db, n) {
            assert!(!matches!(error, redb::Error::Corrupted(_)), "{error}");
            return Ok(n);
        }
    }
    Ok(COMMITS)
}

fn commit(db: &Database, n: u64) -> Result<(), redb::Error> {
    let txn = db.begin_write()?;
    {
        let mut table = txn.open_table(TABLE)?;
        for part in 0..20 {
            table.insert(n * 100 + part, vec![part.to_le_bytes()[0]; 8_000].as_slice())?;
        }
    }
    txn.commit()?;
    Ok(())
}

/// The number of commits found in what a crash left: they are all there, whole and in order.
#[track_caller]
fn recovered(disk: &SimDisk) -> u64 {
    let db = Database::builder().create_with_backend(disk.backend()).unwrap();
    let txn = db.begin_read().unwrap();
    let table = match txn.open_table(TABLE) {
        Err(redb::TableError::TableDoesNotExist(_)) => return 0,
        table => table.unwrap(),
    };
    let mut found = 0;
    for (row, expected) in table.iter().unwrap().zip(0..) {
        let (key, value) = row.unwrap();
        assert_eq!(key.value(), expected / 20 * 100 + expected % 20);
        assert!(value.value().iter().all(|&byte| u64::from(byte) == expected % 20));
        found += 1;
    }
    assert_eq!(found % 20, 0, "part of a commit is there");
    found / 20
}

#[track_caller]
fn check_every_cut(cuts: impl Iterator<Item = u64>, cut: impl Fn(&SimDisk, u64)) {
    for n in cuts {
        let disk = SimDisk::new();
        cut(&disk, n);
        // Until the database was created once, redb itself promises nothing.
        let Ok(answered) = workload(&disk) else {
            continue;
        };
        assert!(disk.is_off());
        let losses = [
            PowerLoss::nothing_unsynced(),
            PowerLoss::everything(),
            PowerLoss::seeded(n),
            PowerLoss::seeded(n + 1_000_000),
        ];
        for loss in losses {
            let found = recovered(&disk.after_power_loss(&loss));
            assert!(
                (answered..=answered + 1).contains(&found),
                "cut {n}, {loss:?}: {answered} commits were answered, {found} were found"
            );
        }
    }
}

#[test]
fn redb_survives_power_loss_at_every_sync() {
    let probe = SimDisk::new();
    assert_eq!(workload(&probe).unwrap(), COMMITS);
    let syncs = probe.counts().syncs;
    assert!(syncs > COMMITS);
    assert_eq!(recovered(&probe), COMMITS);
    check_every_cut(1..=syncs, SimDisk::lose_power_at_sync);
}

#[test]
fn redb_survives_power_loss_at_operations() {
    let probe = SimDisk::new();
    workload(&probe).unwrap();
    let operations = probe.counts().total();
    check_every_cut((1..=operations).step_by(7), SimDisk::lose_power_at_operation);
}

#[test]
fn an_error_at_any_operation_is_told_and_corrupts_nothing() {
    let probe = SimDisk::new();
    workload(&probe).unwrap();
    for nth in (1..=probe.counts().total()).step_by(7) {
        for fault in [Fault::io_error(), Fault::no_space().from_then_on()] {
            let disk = SimDisk::new();
            disk.inject(fault.nth(nth));
            let Ok(answered) = workload(&disk) else {
                continue;
            };
            disk.clear_faults();
            let found = recovered(&disk.after_kill());
            assert!((answered..=answered + 1).contains(&found), "operation {nth}");
        }
    }
}
