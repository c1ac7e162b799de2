//! Room outside memory, and the runs of records that stages put there.

use std::fmt;

use super::Workspace;
use crate::{Error, ErrorCode, Result};

/// Room outside memory for what does not fit into it. What is there goes with it.
pub trait Scratch: fmt::Debug + Send {
    /// Adds `bytes` at the end.
    ///
    /// # Errors
    ///
    /// There is no room left, or it cannot be written.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Fills `bytes` with what stands at `offset`.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not there.
    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()>;
}

/// A scratch, and how much has been put there.
#[derive(Debug)]
pub(crate) struct Room {
    scratch: Box<dyn Scratch>,
    end: u64,
}

/// Records in the order in which they were put away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    blocks: Vec<Block>,
    /// What is not put away yet.
    open: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    offset: u64,
    bytes: usize,
}

/// Reads a run from its beginning.
#[derive(Debug)]
pub(crate) struct RunReader {
    run: Run,
    /// Which block comes next.
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl Room {
    /// Room for `stage`, which takes more memory than it may.
    ///
    /// # Errors
    ///
    /// There is none: the stage cannot go on.
    pub(crate) fn new(stage: &str, workspace: &dyn Workspace) -> Result<Self> {
        match workspace.scratch()? {
            Some(scratch) => Ok(Self { scratch, end: 0 }),
            None => Err(no_room(stage, workspace.memory_bytes())),
        }
    }

    /// Where the next bytes go.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Puts bytes away behind the others.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.scratch.append(bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Fills `bytes` with what was put away at `offset`.
    pub(crate) fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.scratch.read(offset, bytes)
    }
}

/// The error for a stage that would take more than it may.
pub(crate) fn no_room(stage: &str, bytes_max: usize) -> Error {
    let message = format!(
        "{stage} takes more than {bytes_max} bytes of memory, and may not use the disk: allowDiskUse would help, or fewer fields"
    );
    Error::new(ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT, message)
}

impl Run {
    /// Puts a record away: its key and what belongs to it.
    pub(crate) fn push(&mut self, key: &[u8], item: &[u8], room: &mut Room) -> Result<()> {
        for part in [key, item] {
            let bytes =
                u32::try_from(part.len()).map_err(|_| super::too_large(u32::MAX as usize))?;
            self.open.extend_from_slice(&bytes.to_le_bytes());
            self.open.extend_from_slice(part);
        }
        if self.open.len() >= BLOCK_BYTES { self.put_away(room) } else { Ok(()) }
    }

    fn put_away(&mut self, room: &mut Room) -> Result<()> {
        let bytes = self.open.len();
        if bytes > 0 {
            self.blocks.push(Block { offset: room.end(), bytes });
            room.append(&self.open)?;
            self.open = Vec::new();
        }
        Ok(())
    }

    /// Nothing more comes: it takes no memory from now on.
    pub(crate) fn finish(mut self, room: &mut Room) -> Result<Self> {
        self.put_away(room)?;
        Ok(self)
    }

    pub(crate) fn into_reader(self) -> RunReader {
        RunReader { run: self, next: 0, block: Vec::new(), at: 0 }
    }
}

impl RunReader {
    /// Goes to the next record; `false` behind the last.
    pub(crate) fn advance(&mut self, room: &mut Room) -> Result<bool> {
        self.at = self.next_at();
        while self.at >= self.block.len() {
            self.at = 0;
            if let Some(block) = self.run.blocks.get(self.next) {
                self.next += 1;
                self.block.resize(block.bytes, 0);
                room.read(block.offset, &mut self.block)?;
            } else if self.run.open.is_empty() {
                self.block = Vec::new();
                return Ok(false);
            } else {
                self.block = std::mem::take(&mut self.run.open);
            }
        }
        Ok(true)
    }

    /// The key of the record at which it stands.
    pub(crate) fn key(&self) -> &[u8] {
        part(&self.block, self.at)
    }

    /// What belongs to that key.
    pub(crate) fn item(&self) -> &[u8] {
        part(&self.block, self.at + LENGTH_BYTES + self.key().len())
    }

    fn next_at(&self) -> usize {
        if self.block.is_empty() {
            return 0;
        }
        self.at + 2 * LENGTH_BYTES + self.key().len() + self.item().len()
    }
}

/// The part that begins at `at`, behind its length.
fn part(block: &[u8], at: usize) -> &[u8] {
    let (length, rest) = block[at..].split_first_chunk().expect("a part begins with its length");
    &rest[..u32::from_le_bytes(*length) as usize]
}

const LENGTH_BYTES: usize = size_of::<u32>();

/// How much of a run is held in memory before it is put away.
const BLOCK_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::Memory;
    use super::*;

    #[test]
    fn a_run_gives_what_was_put_away_in_its_order() {
        let mut room = Room::new("$sort", &Memory::default().with_scratch()).unwrap();
        let mut runs = [Run::default(), Run::default()];
        let large = vec![7; 3 * BLOCK_BYTES];
        for number in 0..20_000_u32 {
            for run in &mut runs {
                run.push(&number.to_le_bytes(), b"some item", &mut room).unwrap();
            }
        }
        for mut run in runs {
            run.push(&[], &large, &mut room).unwrap();
            let mut reader = run.finish(&mut room).unwrap().into_reader();
            for number in 0..20_000_u32 {
                assert!(reader.advance(&mut room).unwrap());
                assert_eq!(
                    (reader.key(), reader.item()),
                    (&number.to_le_bytes()[..], &b"some item"[..])
                );
            }
            assert!(reader.advance(&mut room).unwrap());
            assert_eq!((reader.key(), reader.item()), (&[][..], &large[..]));
            assert!(!reader.advance(&mut room).unwrap());
            assert!(!reader.advance(&mut room).unwrap());
        }
    }

    #[test]
    fn without_room_it_is_an_error() {
        let error = Room::new("$sort", &Memory::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT);
    }
}
