//! Documents outside memory that are found again by their number.

use bson::{RawDocument, RawDocumentBuf};

use super::scratch::Room;
use super::sorted::stored;
use crate::{Error, ErrorCode, Result};

/// Documents that were put away one behind the other. They stand in blocks, of which those that were asked for last are held in
/// memory: who goes through them at several places at once finds each block there.
#[derive(Debug)]
pub(crate) struct Spilled {
    room: Room,
    blocks: Vec<Block>,
    /// The blocks that were read last, the last at the end, by their numbers.
    read: Vec<(usize, Vec<u8>)>,
    /// What is not put away yet.
    open: Vec<u8>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    /// The number of its first document.
    first: usize,
    offset: u64,
    bytes: usize,
}

impl Spilled {
    pub(crate) fn new(room: Room) -> Self {
        Self { room, blocks: Vec::new(), read: Vec::new(), open: Vec::new(), len: 0 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Puts a document away behind the others.
    pub(crate) fn push(&mut self, document: &RawDocument) -> Result<()> {
        if self.open.is_empty() {
            self.blocks.push(Block { first: self.len, offset: self.room.end(), bytes: 0 });
        }
        self.open.extend_from_slice(document.as_bytes());
        self.len += 1;
        if let Some(block) = self.blocks.last_mut() {
            block.bytes = self.open.len();
        }
        if self.open.len() >= BLOCK_BYTES {
            self.room.append(&self.open)?;
            self.open.clear();
        }
        Ok(())
    }

    /// The document with the number `index`, from 0.
    pub(crate) fn get(&mut self, index: usize) -> Result<RawDocumentBuf> {
        let number = self.blocks.partition_point(|block| block.first <= index);
        let Some(number) = number.checked_sub(1) else { return Err(lost()) };
        let place = index - self.blocks[number].first;
        if number + 1 == self.blocks.len() && !self.open.is_empty() {
            return document(&self.open, place);
        }
        let place_of_read = self.read.iter().position(|(other, _)| *other == number);
        let read = if let Some(place) = place_of_read {
            self.read.remove(place)
        } else {
            let block = self.blocks[number];
            let mut bytes = vec![0; block.bytes];
            self.room.read(block.offset, &mut bytes)?;
            (number, bytes)
        };
        let found = document(&read.1, place);
        self.read.push(read);
        let mut held: usize = self.read.iter().map(|(_, bytes)| bytes.len()).sum();
        while held > READ_BYTES_MAX && self.read.len() > 1 {
            held -= self.read.remove(0).1.len();
        }
        found
    }
}

/// The document at `place` of those that `bytes` are.
fn document(mut bytes: &[u8], place: usize) -> Result<RawDocumentBuf> {
    for _ in 0..place {
        bytes = next(bytes)?.1;
    }
    stored(next(bytes)?.0.to_vec())
}

/// The first document, and what follows it.
fn next(bytes: &[u8]) -> Result<(&[u8], &[u8])> {
    let length = bytes.first_chunk().map(|length| u32::from_le_bytes(*length) as usize);
    length
        .filter(|length| *length > 0)
        .and_then(|length| bytes.split_at_checked(length))
        .ok_or_else(lost)
}

fn lost() -> Error {
    Error::new(ErrorCode::INTERNAL_ERROR, "a document that was put away is not there again")
}

/// After how many bytes a block ends.
const BLOCK_BYTES: usize = 64 * 1024;

/// How many bytes of blocks are held that were read, and one block in any case.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::super::testing::Memory;
    use super::*;

    #[test]
    fn each_document_is_found_by_its_number() {
        let room = Room::new("$x", &Memory::default().with_scratch()).unwrap();
        let mut spilled = Spilled::new(room);
        let text = |n: i32| "x".repeat(if n % 1_000 == 0 { 3 * BLOCK_BYTES } else { 50 });
        let count = 20_000;
        for n in 0..count {
            spilled.push(&rawdoc! { "n": n, "text": text(n) }).unwrap();
        }
        assert_eq!(spilled.len(), 20_000);
        for n in (0..count).chain((0..count).rev().step_by(7)).chain((0..count).step_by(977)) {
            let found = spilled.get(usize::try_from(n).unwrap()).unwrap();
            assert_eq!(found.get_i32("n").unwrap(), n);
            assert_eq!(found.get_str("text").unwrap().len(), text(n).len());
        }
        assert!(spilled.get(20_000).is_err());
    }
}
