//! A file as a page cache over a durable image, and what a loss of power makes of it.
//!
//! Three rules decide what can survive, and they are all that is modelled:
//!
//! 1. A sector is written back from the cache, whole. So after a crash it stands at one of the
//!    versions it had since the last sync, and a later version contains the earlier ones.
//! 2. Sectors are written back in any order, each on its own.
//! 3. The file's length is metadata, and metadata is journalled in order: the length after a crash
//!    is one that the file had since the last sync. A truncation that survived has freed what it
//!    cut off, which then reads as zeros or as something newer; and what was written after a
//!    truncation that did not survive went to space that is free again.

use std::collections::BTreeMap;
use std::io;

use super::FailedSync;

/// What a disk writes in one piece, in bytes.
pub const SECTOR_BYTES: usize = 512;

/// The longest file, in bytes: it is held in memory. Longer ones fail with `EFBIG`.
pub const FILE_BYTES_MAX: usize = 1 << 32;

#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    durable: Vec<u8>,
    cached: Vec<u8>,
    /// Since the last sync, in order.
    changes: Vec<Change>,
}

/// One version that a sector had since the last sync.
#[derive(Debug)]
pub(super) struct Version<'image> {
    /// The number of the change that made it; none for the durable one.
    pub(super) change: Option<usize>,
    /// At most [`SECTOR_BYTES`]; what is missing is zero.
    pub(super) bytes: &'image [u8],
}

/// Decides what a loss of power leaves.
pub(super) trait Survivors {
    /// Which of the file's lengths survives: 0 is the durable one, `versions - 1` the newest.
    fn length(&mut self, versions: usize) -> usize;

    /// What the name of the journal stands for: 0 is the durable version, `versions - 1` the newest.
    fn name(&mut self, versions: usize) -> usize;

    /// What a sector holds. The versions come oldest first, and there are at least two.
    fn sector(&mut self, sector: usize, versions: &[Version<'_>]) -> Vec<u8>;
}

impl Image {
    pub(super) fn durable(bytes: Vec<u8>) -> Self {
        Self { cached: bytes.clone(), durable: bytes, changes: Vec::new() }
    }

    pub(super) fn cached(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn durable_bytes(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn changes(&self) -> usize {
        self.changes.len()
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(offset)
            .ok()
            .and_then(|start| self.cached.get(start..start.checked_add(out.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(too_large)?;
        let end = start.checked_add(data.len()).ok_or_else(file_too_large)?;
        if data.is_empty() {
            return Ok(());
        }
        if end > self.cached.len() {
            self.set_len(end as u64)?;
        }
        self.cached[start..end].copy_from_slice(data);
        self.changes.push(Change::Sectors(self.snapshot(start, end)));
        Ok(())
    }

    pub(super) fn set_len(&mut self, len: u64) -> io::Result<()> {
        let to = usize::try_from(len).map_err(too_large)?;
        if to > FILE_BYTES_MAX {
            return Err(file_too_large());
        }
        let from = self.cached.len();
        self.cached.resize(to, 0);
        if from != to {
            // The sector in which the new end lies is cut; those behind it are gone.
            let cut = self.snapshot(to, to.next_multiple_of(SECTOR_BYTES));
            self.changes.push(Change::Length { from, to, cut });
        }
        Ok(())
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            match change {
                Change::Length { to, .. } => self.durable.resize(to, 0),
                Change::Sectors(sectors) => sectors.copy_to(&mut self.durable),
            }
        }
    }

    pub(super) fn fail_sync(&mut self, failed_sync: FailedSync) {
        match failed_sync {
            FailedSync::StillDirty => {}
            FailedSync::MarkedClean => self.forget_writes(),
            FailedSync::Reverted => {
                self.forget_writes();
                self.cached.clone_from(&self.durable);
                for change in &self.changes {
                    if let Change::Length { to, .. } = change {
                        self.cached.resize(*to, 0);
                    }
                }
            }
        }
    }

    pub(super) fn damage(&mut self, offset: u64, bytes: &[u8]) {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for image in [&mut self.durable, &mut self.cached] {
            if let Some(rest) = image.get_mut(start..) {
                let len = bytes.len().min(rest.len());
                rest[..len].copy_from_slice(&bytes[..len]);
            }
        }
    }

    pub(super) fn after_power_loss(&self, survivors: &mut impl Survivors) -> Vec<u8> {
        // The changes of length that survive are the first few of them: those numbered below `kept`.
        let lengths: Vec<(usize, usize)> = self.lengths().collect();
        let survived = match lengths.len() {
            0 => 0,
            changes => survivors.length(changes + 1).min(changes),
        };
        let kept = lengths.get(survived).map_or(usize::MAX, |&(change, _)| change);
        let len = match survived {
            0 => self.durable.len(),
            _ => lengths[survived - 1].1,
        };

        let mut image = self.durable.clone();
        image.resize(len, 0);
        for (sector, changes) in self.sectors_below(len) {
            let versions = self.versions(sector, &changes, kept);
            let bytes = match versions.as_slice() {
                [only] => only.bytes.to_vec(),
                several => survivors.sector(sector, several),
            };
            let start = sector * SECTOR_BYTES;
            let end = len.min(start + SECTOR_BYTES);
            image[start..end].fill(0);
            let end = end.min(start + bytes.len());
            image[start..end].copy_from_slice(&bytes[..end - start]);
        }
        image
    }

    /// Each change of length: its number, and the length it made.
    fn lengths(&self) -> impl Iterator<Item = (usize, usize)> {
        let numbered = self.changes.iter().enumerate();
        numbered.filter_map(|(number, change)| match change {
            Change::Length { to, .. } => Some((number, *to)),
            Change::Sectors(_) => None,
        })
    }

    /// The sectors that changed, with the numbers of the changes, as far as a file of `len` bytes has them.
    fn sectors_below(&self, len: usize) -> BTreeMap<usize, Vec<usize>> {
        let mut changed: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, change) in self.changes.iter().enumerate() {
            let (start, end) = change.range();
            let end = end.min(len);
            if start >= end {
                continue;
            }
            for sector in start / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
                changed.entry(sector).or_default().push(number);
            }
        }
        changed
    }

    /// What `sector` may hold, oldest first, when the changes of length numbered below `kept` survive.
    fn versions(&self, sector: usize, changes: &[usize], kept: usize) -> Vec<Version<'_>> {
        let mut versions =
            vec![Version { change: None, bytes: sector_of(&self.durable, 0, sector) }];
        for &number in changes {
            let bytes = match &self.changes[number] {
                Change::Sectors(sectors) => sector_of(&sectors.bytes, sectors.start, sector),
                Change::Length { cut, .. } if number < kept => {
                    versions.clear();
                    sector_of(&cut.bytes, cut.start, sector)
                }
                Change::Length { .. } => break,
            };
            versions.push(Version { change: Some(number), bytes });
        }
        versions
    }

    /// The sectors that the range touches, as they are in the cache.
    fn snapshot(&self, start: usize, end: usize) -> Sectors {
        let start = start - start % SECTOR_BYTES;
        let end = end.next_multiple_of(SECTOR_BYTES).min(self.cached.len());
        Sectors { start, bytes: self.cached.get(start..end).unwrap_or_default().to_vec() }
    }

    fn forget_writes(&mut self) {
        self.changes.retain(|change| matches!(change, Change::Length { .. }));
    }
}

#[derive(Clone, Debug)]
enum Change {
    /// A write, as the sectors it touched looked afterwards.
    Sectors(Sectors),
    /// A change of the length, and the sector it cut in two as it looked afterwards.
    Length { from: usize, to: usize, cut: Sectors },
}

impl Change {
    /// The bytes whose sectors it changed. A file that grows changes none: what is new is zero.
    fn range(&self) -> (usize, usize) {
        match self {
            Self::Sectors(sectors) => (sectors.start, sectors.start + sectors.bytes.len()),
            Self::Length { from, to, .. } => (*to, *from.max(to)),
        }
    }
}

/// Whole sectors; the last one may end with the file.
#[derive(Clone, Debug)]
struct Sectors {
    start: usize,
    bytes: Vec<u8>,
}

impl Sectors {
    /// A write is only ever followed by truncations that its file saw too, so it fits unless one cut it.
    fn copy_to(&self, image: &mut [u8]) {
        let end = image.len().min(self.start + self.bytes.len());
        if let Some(target) = image.get_mut(self.start..end) {
            target.copy_from_slice(&self.bytes[..end - self.start]);
        }
    }
}

/// One sector of `bytes`, which stand at `start` of the file; shorter at the end, empty past it.
fn sector_of(bytes: &[u8], start: usize, sector: usize) -> &[u8] {
    let from = (sector * SECTOR_BYTES).saturating_sub(start).min(bytes.len());
    let to = (from + SECTOR_BYTES).min(bytes.len());
    &bytes[from..to]
}

fn too_large(_: std::num::TryFromIntError) -> io::Error {
    file_too_large()
}

fn file_too_large() -> io::Error {
    rustix::io::Errno::FBIG.into()
}
