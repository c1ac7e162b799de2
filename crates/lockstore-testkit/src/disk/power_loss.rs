//! What survives a loss of power.

use super::image::{SECTOR_BYTES, Survivors, Version};
use crate::rng::Rng;

/// What becomes of unsynced data when the power is lost, for
/// [`SimDisk::after_power_loss`](super::SimDisk::after_power_loss).
#[derive(Clone, Debug)]
pub struct PowerLoss {
    survival: Survival,
    tearing: Tearing,
}

impl PowerLoss {
    /// Nothing survives but what was synced.
    pub fn nothing_unsynced() -> Self {
        Self::new(Survival::Nothing)
    }

    /// Everything survives, as if a sync had just ended and the answer to it was lost.
    pub fn everything() -> Self {
        Self::new(Survival::Everything)
    }

    /// Something survives: few or most of the writes, whole or sector by sector, with sectors torn
    /// in two, and with the file's old length or a newer one. The seed decides.
    pub fn seeded(seed: u64) -> Self {
        Self::new(Survival::Seeded(seed))
    }

    /// What happens within a sector that was being written. [`Tearing::Prefix`] unless set.
    #[must_use]
    pub fn tearing(mut self, tearing: Tearing) -> Self {
        self.tearing = tearing;
        self
    }

    fn new(survival: Survival) -> Self {
        Self { survival, tearing: Tearing::Prefix }
    }

    pub(super) fn survivors(&self) -> Drawn {
        let Survival::Seeded(seed) = self.survival else {
            return Drawn {
                survival: self.survival,
                tearing: Tearing::Never,
                rng: Rng::new(0),
                density: 0,
                by_write: None,
            };
        };
        let mut rng = Rng::new(seed);
        let density = [1, 4, 8, 12, 15][rng.index_below(5)];
        let by_write = rng.chance(6).then(|| rng.next());
        Drawn { survival: self.survival, tearing: self.tearing, rng, density, by_write }
    }
}

/// What a disk may do to the sector it is writing when the power is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tearing {
    /// Sectors are written in one piece.
    Never,
    /// A sector may begin with new bytes and go on with old ones.
    #[default]
    Prefix,
    /// A sector may also hold bytes that nobody ever wrote, in any part of it. Few programs are
    /// built to survive that in place: redb's header is not.
    Garbage,
}

/// Something unsynced of which a version survives, for
/// [`SimDisk::after_power_loss_choosing`](super::SimDisk::after_power_loss_choosing).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// The length of the file. Asked first.
    Length {
        /// How many there are to choose from, at least 2.
        versions: usize,
    },
    /// What the name of the journal stands for. Asked behind all of the store's own file, and before the journal.
    Name {
        /// How many there are to choose from, at least 2.
        versions: usize,
    },
    /// A sector within the length that survived.
    Sector {
        /// Its number in the file, in units of [`SECTOR_BYTES`].
        sector: usize,
        /// How many there are to choose from, at least 2.
        versions: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Survival {
    Nothing,
    Everything,
    Seeded(u64),
}

/// Survivors drawn at random, or none, or all.
#[derive(Debug)]
pub(super) struct Drawn {
    survival: Survival,
    tearing: Tearing,
    rng: Rng,
    /// How many of 16 survive.
    density: u64,
    /// Set where a write survives as a whole: the seed of the choice.
    by_write: Option<u64>,
}

impl Drawn {
    /// The number of the version that survives.
    fn version(&mut self, versions: &[Version<'_>]) -> usize {
        if let Some(seed) = self.by_write {
            let kept = versions.iter().rposition(|version| {
                version.change.is_none_or(|change| {
                    Rng::new(seed.wrapping_add(change as u64)).chance(self.density)
                })
            });
            return kept.unwrap_or(0);
        }
        if self.rng.chance(self.density) { 1 + self.rng.index_below(versions.len() - 1) } else { 0 }
    }

    fn tear(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let mut sector = padded(old);
        let torn_at = self.rng.index_below(SECTOR_BYTES + 1);
        sector[..torn_at].copy_from_slice(&padded(new)[..torn_at]);
        if self.tearing == Tearing::Garbage && self.rng.chance(8) {
            let from = self.rng.index_below(SECTOR_BYTES);
            let len = self.rng.index_below(SECTOR_BYTES - from + 1);
            for byte in &mut sector[from..from + len] {
                *byte = self.rng.next().to_le_bytes()[0];
            }
        }
        sector
    }
}

impl Survivors for Drawn {
    fn length(&mut self, versions: usize) -> usize {
        match self.survival {
            Survival::Nothing => 0,
            Survival::Everything => versions - 1,
            Survival::Seeded(_) => self.rng.index_below(versions),
        }
    }

    fn name(&mut self, versions: usize) -> usize {
        self.length(versions)
    }

    fn sector(&mut self, _sector: usize, versions: &[Version<'_>]) -> Vec<u8> {
        let newest = versions.len() - 1;
        let version = match self.survival {
            Survival::Nothing => 0,
            Survival::Everything => newest,
            Survival::Seeded(_) => self.version(versions),
        };
        if version > 0 && self.tearing != Tearing::Never && self.rng.chance(1) {
            let old = self.rng.index_below(version);
            return self.tear(versions[old].bytes, versions[version].bytes);
        }
        versions[version].bytes.to_vec()
    }
}

/// Survivors chosen by the caller.
pub(super) struct Chosen<F>(pub(super) F);

impl<F: FnMut(Unsynced) -> usize> Survivors for Chosen<F> {
    fn length(&mut self, versions: usize) -> usize {
        (self.0)(Unsynced::Length { versions })
    }

    fn name(&mut self, versions: usize) -> usize {
        (self.0)(Unsynced::Name { versions })
    }

    fn sector(&mut self, sector: usize, versions: &[Version<'_>]) -> Vec<u8> {
        let chosen = (self.0)(Unsynced::Sector { sector, versions: versions.len() });
        versions[chosen.min(versions.len() - 1)].bytes.to_vec()
    }
}

fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut sector = bytes.to_vec();
    sector.resize(SECTOR_BYTES, 0);
    sector
}
