//! Rows that are written are read back, and only those.

use super::*;
use crate::records::FORMAT_VERSION;

#[test]
fn a_new_store_has_its_meta_rows_and_nothing_else() {
    let disk = in_memory();
    let snapshot = disk.snapshot().unwrap();
    let meta = snapshot.meta().unwrap();
    assert_eq!((meta.format.version, meta.format.store_id), (FORMAT_VERSION, [7; 16]));
    assert_eq!(meta.token.reserved_below, 1);
    assert_eq!(meta.wall.mark_ms, 1_700_000_000_000);
    let counts = TableId::ALL.map(|table| snapshot.count(table).unwrap());
    assert_eq!(counts, TableId::ALL.map(|table| if table == TableId::Meta { 4 } else { 0 }));
}

#[test]
fn a_batch_is_applied_in_order_across_tables() {
    let disk = in_memory();
    let (name, note) = (RowKey::Name("note"), RowKey::audit(1));
    disk.commit(&[
        put(2),
        RowChange::put(TableId::Audit, note.clone(), b"first".to_vec()),
        put(1),
        delete(2),
        RowChange::put(TableId::Meta, name, b"note".to_vec()),
        RowChange::put(TableId::Audit, note.clone(), b"second".to_vec()),
        delete(9),
        put(3),
    ])
    .unwrap();
    assert_eq!(grants(&disk).unwrap(), [1, 3]);
    let snapshot = disk.snapshot().unwrap();
    let audit = snapshot.get(TableId::Audit, &note).unwrap();
    assert_eq!(audit.as_deref(), Some(&b"second"[..]));
    assert!(snapshot.get(TableId::Grants, &note).unwrap().is_some());
    assert_eq!(snapshot.get(TableId::Audit, &RowKey::audit(2)).unwrap(), None);
    assert_eq!(disk.stats().unwrap().grants, 2);
    assert_eq!(disk.stats().unwrap().audit, 1);
}

#[test]
fn a_snapshot_sees_one_moment() {
    let disk = in_memory();
    fill(&disk, 1..=3);
    let snapshot = disk.snapshot().unwrap();
    disk.commit(&[delete(1), put(4), put(5)]).unwrap();
    assert_eq!(snapshot.count(TableId::Grants).unwrap(), 3);
    assert_eq!(grants(&disk).unwrap(), [2, 3, 4, 5]);
}

#[test]
fn the_last_rows_are_paged_through_backwards() {
    let disk = in_memory();
    fill(&disk, 1..=10);
    let snapshot = disk.snapshot().unwrap();
    let page = |before: Option<u64>, rows_max| -> Vec<u64> {
        let before = before.map(|number| RowKey::grant(token(number)));
        let rows = snapshot.last_rows(TableId::Grants, before.as_ref(), rows_max);
        let number = |(key, _): (Vec<u8>, Vec<u8>)| token_of(&key).unwrap().get();
        rows.unwrap().into_iter().map(number).collect()
    };
    assert_eq!(page(None, 3), [10, 9, 8]);
    assert_eq!(page(Some(8), 3), [7, 6, 5]);
    assert_eq!(page(Some(2), 3), [1]);
    assert_eq!(page(Some(1), 3), []);
    assert_eq!(page(None, 0), []);
}

#[test]
fn a_visitor_ends_the_scan_with_its_error() {
    let disk = in_memory();
    fill(&disk, 1..=10);
    let mut seen = 0;
    let error = disk
        .snapshot()
        .unwrap()
        .for_each_row(TableId::Grants, |_, _| {
            seen += 1;
            if seen < 3 {
                return Ok(());
            }
            Err(DiskError::Busy { doing: "visit" })
        })
        .unwrap_err();
    assert!(matches!(error, DiskError::Busy { doing: "visit" }), "{error}");
    assert_eq!(seen, 3);
}

#[test]
fn a_store_opens_with_its_rows_after_a_close_and_after_a_kill() {
    let (folder, path) = place();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    fill(&disk, 1..=500);
    disk.commit(&[delete(250)]).unwrap();
    // What a kill leaves is what is in the file now.
    let killed = folder.path().join("killed");
    fs::copy(&path, &killed).unwrap();
    let expected = grants(&disk).unwrap();
    disk.close().unwrap();
    for path in [path, killed] {
        let disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
        assert_eq!(grants(&disk).unwrap(), expected);
        fill(&disk, 501..=502);
        drop(disk);
        let mut disk = Disk::open(&path, &ONLY_EXISTING).unwrap();
        assert_eq!(grants(&disk).unwrap().len(), expected.len() + 2);
        assert_eq!(disk.check_integrity().unwrap(), Integrity::Sound);
    }
}

#[test]
fn compaction_keeps_the_rows_and_shrinks_the_file() {
    let (_folder, path) = place();
    let mut disk = Disk::open(&path, &OPTIONS).unwrap();
    for batch in 0..20 {
        fill(&disk, batch * 1000 + 1..=batch * 1000 + 1000);
    }
    let kept = 19_500..=19_600;
    let gone: Vec<_> = (1..=20_000).filter(|number| !kept.contains(number)).map(delete).collect();
    disk.commit(&gone).unwrap();
    let before = disk.file_bytes();
    assert!(disk.compact().unwrap());
    let after = disk.file_bytes();
    assert!(after < before / 2, "{before} bytes became {after}");
    assert_eq!(fs::metadata(&path).unwrap().len(), after);
    assert_eq!(grants(&disk).unwrap(), kept.collect::<Vec<_>>());
    assert_eq!(disk.check_integrity().unwrap(), Integrity::Sound);
}

#[test]
fn compaction_waits_for_no_reader() {
    let mut disk = in_memory();
    let snapshot = disk.snapshot().unwrap();
    let error = disk.compact().unwrap_err();
    assert!(matches!(error, DiskError::Busy { .. }), "{error}");
    let error = disk.check_integrity().unwrap_err();
    assert!(matches!(error, DiskError::Busy { .. }), "{error}");
    drop(snapshot);
    disk.compact().unwrap();
}

#[test]
fn small_commits_do_not_make_the_file_grow() {
    #[track_caller]
    fn churn(disk: &Disk, rounds: u64) {
        let round = |number| disk.commit(&[delete(number), put(number + 10)]).unwrap();
        fill(disk, 1..=10);
        (1..=rounds / 10).for_each(round);
        let before = disk.file_bytes();
        (rounds / 10 + 1..=rounds).for_each(round);
        let after = disk.file_bytes();
        assert!(after <= before, "{before} bytes became {after}");
        assert_eq!(grants(disk).unwrap(), (rounds + 1..=rounds + 10).collect::<Vec<_>>());
    }
    churn(&in_memory(), 100_000);
    for (journal, rounds) in [(JournalUse::Never, 1_000), (JournalUse::AfterCommits(0), 5_000)] {
        let (_folder, path) = place();
        churn(&Disk::open(&path, &DiskOptions { journal, ..OPTIONS }).unwrap(), rounds);
    }
}

#[test]
fn a_backup_is_a_store_with_the_same_rows() {
    let (folder, path) = place();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    fill(&disk, 1..=20_000);
    let gone: Vec<_> = (1..=19_900).map(delete).collect();
    disk.commit(&gone).unwrap();
    let copy = folder.path().join("copy");
    disk.backup(&copy).unwrap();
    fill(&disk, 30_000..=30_001);

    let copied = Disk::open(&copy, &ONLY_EXISTING).unwrap();
    assert_eq!(grants(&copied).unwrap(), (19_901..=20_000).collect::<Vec<_>>());
    let meta = |disk: &Disk| disk.snapshot().unwrap().meta().unwrap();
    assert_eq!(meta(&copied), meta(&disk));
    assert!(copied.file_bytes() < disk.file_bytes());
    assert_eq!(names(folder.path()), ["copy", "test.lockstore"]);
}

#[test]
fn a_backup_overwrites_nothing_and_makes_no_folder() {
    let (folder, path) = place();
    let disk = Disk::open(&path, &OPTIONS).unwrap();
    let error = disk.backup(&path).unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error}");
    let error = disk.backup(&folder.path().join("no/where")).unwrap_err();
    assert!(matches!(error, BackupError::MissingFolder { .. }), "{error}");
    let error = disk.backup(&path.join("inside")).unwrap_err();
    assert!(matches!(error, BackupError::Destination { .. }), "{error}");
    assert_eq!(names(folder.path()), ["test.lockstore"]);
}
