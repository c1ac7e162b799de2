//! Stores that were damaged, cut off, or left behind by a power loss.

use std::fmt::Display;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use super::*;
use crate::codec::seal;
use crate::documents::{CollectionId, Edge, IndexId, RecordId};

/// A disk in memory whose content can be looked at, and which writes down what is done to it.
#[derive(Clone, Debug, Default)]
struct Medium(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    journal: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    SetLen(usize),
    Sync,
}

impl Medium {
    fn new(bytes: &[u8]) -> Self {
        let (bytes, journal) = (bytes.to_vec(), Vec::new());
        Self(Arc::new(Mutex::new(Content { bytes, journal })))
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    fn journal(&self) -> Vec<Change> {
        self.0.lock().unwrap().journal.clone()
    }

    fn make(&self, change: Change) {
        let mut content = self.0.lock().unwrap();
        change.make(&mut content.bytes);
        content.journal.push(change);
    }
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => bytes[*at..at + data.len()].copy_from_slice(data),
            Self::SetLen(len) => bytes.resize(*len, 0),
            Self::Sync => {}
        }
    }
}

impl StorageBackend for Medium {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.0.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let found = content.bytes.get(from..from.saturating_add(out.len()));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.make(Change::SetLen(usize::try_from(len).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.make(Change::Sync);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.make(Change::Write(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

/// A store of a few pages: as it is when it was closed, or as a kill leaves it.
fn image(closed: bool) -> Vec<u8> {
    let medium = Medium::default();
    let disk = Disk::open_backend(medium.clone(), None, &OPTIONS).unwrap();
    for batch in 0..5 {
        fill(&disk, batch * 100 + 1..=batch * 100 + 100);
    }
    disk.commit(&(481..=500).map(delete).collect::<Vec<_>>()).unwrap();
    let killed = medium.bytes();
    disk.close().unwrap();
    if closed { medium.bytes() } else { killed }
}

/// A damaged store opens with the right rows, or does not open and stays as it is.
///
/// After a kill the last commit may also be gone as a whole: redb looks for it and cannot tell one that was
/// damaged later from one that never was complete.
#[track_caller]
fn check(damaged: &[u8], closed: bool, story: &dyn Display) {
    let medium = Medium::new(damaged);
    let opened = Disk::open_backend(medium.clone(), None, &ONLY_EXISTING);
    let read = opened.as_ref().map(grants);
    match read {
        Ok(Ok(rows)) if rows.len() == 500 && !closed => {}
        Ok(Ok(rows)) => assert_eq!(rows, (1..=480).collect::<Vec<_>>(), "{story}"),
        Ok(Err(error)) => panic!("{story}: opened, but {error}"),
        Err(error) => {
            let named = matches!(
                error,
                OpenError::NotRedb { .. }
                    | OpenError::Missing { .. }
                    | OpenError::Disk { source: DiskError::Corrupted { .. }, .. }
            );
            assert!(named, "{story}: {error}");
            assert!(medium.bytes() == damaged, "{story}: it was changed");
        }
    }
}

#[test]
fn a_store_that_was_cut_off_is_refused() {
    for closed in [true, false] {
        let image = image(closed);
        let pages = (0..image.len()).step_by(4096);
        let within = pages.clone().map(|bytes| bytes + 1000);
        let lengths = (0..400).step_by(3).chain(pages).chain(within);
        for bytes in lengths.filter(|bytes| *bytes < image.len()) {
            check(&image[..bytes], closed, &format_args!("cut to {bytes}"));
        }
        check(&[&image[..], &[0; 5000]].concat(), closed, &"longer");
    }
}

#[test]
fn a_store_with_a_damaged_byte_is_refused_or_right() {
    for closed in [true, false] {
        let image = image(closed);
        for at in places(&image) {
            for flip in [0x01, 0xff] {
                let mut damaged = image.clone();
                damaged[at] ^= flip;
                check(&damaged, closed, &format_args!("byte {at} ^ {flip:#x}, closed: {closed}"));
            }
        }
    }
}

#[test]
fn a_store_with_a_lost_or_misplaced_page_is_refused_or_right() {
    for closed in [true, false] {
        let image = image(closed);
        let pages: Vec<_> = image.chunks(4096).collect();
        let used = (0..pages.len()).filter(|page| pages[*page].iter().any(|byte| *byte != 0));
        for page in used {
            for other in [&[0; 4096][..], pages[1], pages[2], pages[page.saturating_sub(1)]] {
                let mut damaged = pages.clone();
                damaged[page] = &other[..damaged[page].len().min(other.len())];
                check(&damaged.concat(), closed, &format_args!("page {page}, closed: {closed}"));
            }
        }
    }
}

/// Where to damage a store: the whole header, the start of each page that is in use, and some of the rest.
fn places(image: &[u8]) -> impl Iterator<Item = usize> {
    let used = |page: &usize| image[*page..].iter().take(4096).any(|byte| *byte != 0);
    let used = (0..image.len()).step_by(4096).filter(used);
    let rest = used
        .flat_map(|page| (page..page + 64).step_by(5).chain((page + 64..page + 4096).step_by(509)));
    (0..320).chain(rest).filter(|at| *at < image.len())
}

/// Power is lost after each step of a creation, with all, none, or all but one of the steps since the last
/// sync on the disk: what is opened then is a store without a row too many or too few.
#[test]
fn a_creation_that_lost_power_ends_in_a_new_store() {
    let medium = Medium::default();
    Disk::open_backend(medium.clone(), None, &OPTIONS).unwrap().close().unwrap();
    let journal = medium.journal();
    for end in 0..=journal.len() {
        let is_sync = |change: &Change| matches!(change, Change::Sync);
        let synced = journal[..end].iter().rposition(is_sync).unwrap_or(0);
        let without = (synced..end).map(|left_out| (left_out, left_out + 1));
        for (from, to) in without.chain([(end, end), (synced, end)]) {
            let mut bytes = Vec::new();
            for change in journal[..from].iter().chain(&journal[to..end]) {
                if let Change::Write(at, data) = change {
                    // The length may be what was lost.
                    bytes.resize(bytes.len().max(at + data.len()), 0);
                }
                change.make(&mut bytes);
            }
            let disk = Disk::open_backend(Medium::new(&bytes), None, &OPTIONS)
                .unwrap_or_else(|error| panic!("step {end} without {from}..{to}: {error}"));
            let meta = disk.snapshot().unwrap().meta().unwrap();
            assert_eq!(meta.token.reserved_below, 1);
            fill(&disk, 1..=3);
            assert_eq!(grants(&disk).unwrap(), [1, 2, 3]);
        }
    }
}

/// Without a look at every page, damage is met where it lies: in a row, in the tree, or never.
#[test]
fn a_damaged_store_that_was_not_verified_is_refused_or_right() {
    let image = image(true);
    for at in places(&image) {
        for flip in [0x01, 0xff] {
            let mut damaged = image.clone();
            damaged[at] ^= flip;
            let medium = Box::new(Medium::new(&damaged));
            let Ok(disk) = open::in_backend(medium, None, &ONLY_EXISTING, Verify::No) else {
                continue;
            };
            match grants(&disk) {
                Ok(rows) => {
                    assert_eq!(rows, (1..=480).collect::<Vec<_>>(), "byte {at} ^ {flip:#x}");
                }
                Err(DiskError::Corrupted { .. } | DiskError::Record(_)) => {}
                Err(error) => panic!("byte {at} ^ {flip:#x}: {error}"),
            }
            // Whatever comes of these, it is not a panic, nor the end of the process.
            let committed = disk.commit(&[put(1_000), delete(1)]);
            let closed = disk.close();
            drop((committed, closed));
        }
    }
}

/// The pages of redb's own are looked at before they are used. A panic in redb's iterator over them would end the process,
/// in the commit or in the closing. After a kill redb looks at them itself.
#[test]
fn damage_in_the_pages_of_redbs_own_is_found_at_the_opening() {
    let image = image(true);
    let mut found = 0;
    for at in places(&image).filter(|at| *at >= 320) {
        let mut damaged = image.clone();
        damaged[at] ^= 0xff;
        let medium = Medium::new(&damaged);
        match open::in_backend(Box::new(medium.clone()), None, &ONLY_EXISTING, Verify::No) {
            Ok(disk) => drop((disk.commit(&[put(1_000)]), disk.close())),
            Err(OpenError::Disk { source: DiskError::Corrupted { what, .. }, .. })
                if what.contains("redb's own") =>
            {
                assert!(medium.bytes() == damaged, "byte {at}: it was changed");
                found += 1;
            }
            Err(_) => {}
        }
    }
    assert!(found > 0);
}

/// Closed or killed, with many pages to be used again, and with the state that lets redb reopen a large file at once.
#[test]
fn a_sound_store_whose_pages_are_not_all_verified_opens() {
    for (quick_repair, batches) in [(false, 1), (false, 40), (true, 40)] {
        let medium = Medium::default();
        let disk = Disk::open_backend(medium.clone(), None, &OPTIONS).unwrap();
        let reader = disk.snapshot().unwrap();
        for batch in 0..batches {
            // As a reader holds on to what there was, the pages of each batch are remembered as not free yet.
            fill(&disk, batch * 500 + 1..=batch * 500 + 500);
            disk.commit(&(batch * 500 + 1..=batch * 500 + 490).map(delete).collect::<Vec<_>>())
                .unwrap();
            let mut transaction = disk.db().begin_write().unwrap();
            transaction.set_quick_repair(quick_repair);
            transaction.commit().unwrap();
        }
        let killed = medium.bytes();
        drop(reader);
        let rows = grants(&disk).unwrap();
        disk.close().unwrap();
        for bytes in [killed, medium.bytes()] {
            let medium = Box::new(Medium::new(&bytes));
            let disk = open::in_backend(medium, None, &ONLY_EXISTING, Verify::No).unwrap();
            assert_eq!(grants(&disk).unwrap(), rows, "{quick_repair}, {batches}");
            fill(&disk, 1_000_000..=1_000_000);
        }
    }
}

/// Documents and entries of the same damaged stores: what is read is right, or an error, and never a panic or a
/// scan without end.
#[test]
fn documents_of_a_damaged_store_are_refused_or_right() {
    let collection = CollectionId::new(1);
    let index = IndexId::new(1);
    let document = |number: u64| bson::rawdoc! { "_id": i64::try_from(number).unwrap() };
    let medium = Medium::default();
    let disk = Disk::open_backend(medium.clone(), None, &OPTIONS).unwrap();
    let rows = (1..=300).flat_map(|number| {
        let record = RecordId::new(number);
        let key = RowKey::document(collection, record);
        let value = seal(TableId::Documents, key.as_bytes(), document(number).into_bytes());
        let entry = RowKey::entry(index, &number.to_be_bytes(), record);
        [
            RowChange::put(TableId::Documents, key, value),
            RowChange::put(TableId::IndexEntries, entry, Vec::new()),
        ]
    });
    disk.commit(&rows.collect::<Vec<_>>()).unwrap();
    disk.close().unwrap();
    let image = medium.bytes();
    for at in places(&image) {
        let mut damaged = image.clone();
        damaged[at] ^= 0xff;
        let medium = Box::new(Medium::new(&damaged));
        let Ok(disk) = open::in_backend(medium, None, &ONLY_EXISTING, Verify::No) else { continue };
        let Ok(snapshot) = disk.snapshot() else { continue };
        for direction in [Direction::Forward, Direction::Backward] {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let documents = snapshot.documents(collection, all, direction).into_iter().flatten();
            let read = documents.map(|document| document.and_then(ScannedDocument::read));
            for read in read.filter_map(Result::ok) {
                assert_eq!(read.raw(), &*document(read.record().get()), "byte {at}");
            }
            let all = (Edge::Open, Edge::Open);
            let entries = snapshot.entries(index, all, direction).into_iter().flatten();
            assert!(entries.count() <= 301, "byte {at}");
        }
        if let Ok(Some(read)) = snapshot.document(collection, RecordId::new(7)) {
            assert_eq!(read.raw(), &*document(7), "byte {at}");
        }
    }
}

/// Once all documents have been compared with their checksums a scan does so only with those it gives, until something is
/// read from the file.
#[test]
fn what_is_read_from_the_file_again_is_compared_again() {
    let collection = CollectionId::new(1);
    let document = |number: u64| bson::rawdoc! { "number": format!("number {number:04}") };
    // With one cache all stays in memory, and with the other nothing.
    for (cache_bytes, stays) in [(1 << 20, true), (0, false)] {
        let medium = Medium::default();
        let options = DiskOptions { cache_bytes, ..OPTIONS };
        let disk = Disk::open_backend(medium.clone(), None, &options).unwrap();
        let rows = (1..=300).map(|number| {
            let key = RowKey::document(collection, RecordId::new(number));
            let value = seal(TableId::Documents, key.as_bytes(), document(number).into_bytes());
            RowChange::put(TableId::Documents, key, value)
        });
        disk.commit(&rows.collect::<Vec<_>>()).unwrap();
        let snapshot = disk.snapshot().unwrap();
        // Those that match are read, and the others only looked at.
        let matching = |wanted: &str| {
            let all = (Bound::Unbounded, Bound::Unbounded);
            let documents = snapshot.documents(collection, all, Direction::Forward).unwrap();
            let mut found = Vec::new();
            for scanned in documents {
                let scanned = scanned?;
                if scanned.fields().get("number").as_str() == Some(wanted) {
                    found.push(scanned.read()?.raw().to_owned());
                }
            }
            Ok::<_, DiskError>(found)
        };
        for _ in 0..3 {
            assert_eq!(matching("number 0007").unwrap(), [document(7)]);
        }
        assert_eq!(disk.proofs.begin(collection, u64::MAX).holds(), stays);
        let image = medium.bytes();
        for at in 0..image.len() - 11 {
            if &image[at..at + 11] == b"number 0150" {
                medium.make(Change::Write(at + 7, b"9".to_vec()));
            }
        }
        let found = matching("number 0007");
        let expected = |result: &Result<_, _>| match result {
            Ok(found) => stays && *found == [document(7)],
            Err(error) => !stays && matches!(error, DiskError::Record(_)),
        };
        assert!(expected(&found), "{found:?}");
        assert_eq!(matching("number 9150").is_ok(), stays);
    }
}
