//! The pages in which redb keeps its own records: which pages are free again, and how the file is laid out.
//!
//! Damage in a page of ours is met by a read or a commit, and is an error, also where redb panics: see
//! [`guarded`](super::guard::guarded). Damage in redb's own tables of free pages is worse. Each commit, and the close of the file,
//! takes entries out of them through an iterator (`extract_freed_pages`) that looks at its page once more when it is
//! dropped: if that page cannot be understood, the second panic comes while the first unwinds, and the process ends. So
//! these pages are compared with their checksums before a file is used in which not every page is. They are few.
//!
//! What is left is a page that is damaged in a file that is open already, before redb has read it.
//!
//! The layout is that of redb's file format 3 (`docs/design.md` there): a page is a leaf or a branch, has its own
//! checksum in its parent, and the root has it in the header.

use std::io;

use redb::StorageBackend;
use twox_hash::XxHash3_128;

use super::DiskError;
use super::gate::Gate;

/// Compares each page of redb's own tables with its checksum.
///
/// # Errors
///
/// [`DiskError::Corrupted`] says which page is damaged; the file cannot be read.
pub(super) fn verify(gate: &Gate) -> Result<(), DiskError> {
    let mut header = [0; HEADER_BYTES];
    gate.read(0, &mut header).map_err(unreadable)?;
    let header = Bytes(&header);
    let slot = FIRST_SLOT + SLOT_BYTES * usize::from(header.u8(GOD_BYTE)? & PRIMARY_BIT);
    if header.u8(slot + HAS_SYSTEM_ROOT)? == 0 {
        return Ok(());
    }
    let file = File {
        gate,
        page_bytes: u64::from(header.u32(12)?),
        region_header_pages: u64::from(header.u32(16)?),
        region_data_pages: u64::from(header.u32(20)?),
    };
    let tables = Tree { root: header.link(slot + SYSTEM_ROOT)?, key: None, value: None };
    let mut trees = Vec::new();
    file.walk(&tables, tables.root, 0, &mut |definition| {
        trees.extend(tree_of(definition)?);
        Ok(())
    })?;
    for tree in trees {
        file.walk(&tree, tree.root, 0, &mut |_| Ok(()))?;
    }
    Ok(())
}

/// Where a page is, and what its checksum must be.
#[derive(Clone, Copy)]
struct Link {
    page: u64,
    checksum: u128,
}

/// A table's tree. Keys and values that are all of one length say so here, and not in the pages.
struct Tree {
    root: Link,
    key: Option<usize>,
    value: Option<usize>,
}

struct File<'g> {
    gate: &'g Gate,
    page_bytes: u64,
    region_header_pages: u64,
    region_data_pages: u64,
}

/// Bytes that may end too soon.
#[derive(Clone, Copy)]
struct Bytes<'b>(&'b [u8]);

/// What a page says of itself.
enum Page {
    /// Where each value begins and ends.
    Leaf(Vec<(usize, usize)>),
    Branch(Vec<Link>),
}

impl File<'_> {
    /// Verifies the page behind `link` and all below it, and gives each value to `found`.
    fn walk(
        &self,
        tree: &Tree,
        link: Link,
        depth: usize,
        found: &mut dyn FnMut(Bytes<'_>) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        if depth > DEPTH_MAX {
            return Err(damaged("the tree is deeper than any can be"));
        }
        let page = self.read(link.page)?;
        let page = Bytes(&page);
        let (parts, end) = page.parts(tree)?;
        if XxHash3_128::oneshot(page.part(0, end)?) != link.checksum {
            return Err(damaged(&format!(
                "the page {:#x} is not what its checksum says",
                link.page
            )));
        }
        match parts {
            Page::Leaf(values) => {
                for (start, end) in values {
                    found(Bytes(page.part(start, end)?))?;
                }
                Ok(())
            }
            Page::Branch(children) => {
                children.into_iter().try_for_each(|child| self.walk(tree, child, depth + 1, found))
            }
        }
    }

    /// Reads a page: its number has the region, the place in it, and how often its size is doubled.
    fn read(&self, number: u64) -> Result<Vec<u8>, DiskError> {
        let order = number >> 59;
        let index = number & (0xf_ffff >> order);
        let region = (number >> 20) & 0xf_ffff;
        let region_pages = self.region_header_pages + self.region_data_pages;
        let bytes = self.page_bytes << order;
        let pages = 1 + region * region_pages + self.region_header_pages;
        let start = pages.saturating_mul(self.page_bytes).saturating_add(index * bytes);
        if start.saturating_add(bytes) > self.gate.bytes() {
            return Err(damaged(&format!("the page {number:#x} is behind the end of the file")));
        }
        let mut page = vec![0; usize::try_from(bytes).map_err(|_| damaged("a page is too large"))?];
        self.gate.read(start, &mut page).map_err(unreadable)?;
        Ok(page)
    }
}

/// The tree of a table, by its definition; `None` for a table without rows.
fn tree_of(definition: Bytes<'_>) -> Result<Option<Tree>, DiskError> {
    let width = |at: usize| -> Result<_, DiskError> {
        Ok((definition.u8(at)? != 0).then_some(definition.u32(at + 1)? as usize))
    };
    if definition.u8(9)? == 0 {
        return Ok(None);
    }
    Ok(Some(Tree { root: definition.link(10)?, key: width(42)?, value: width(47)? }))
}

impl<'b> Bytes<'b> {
    /// What the page is made of, and where it ends: what is behind that is not in its checksum.
    fn parts(self, tree: &Tree) -> Result<(Page, usize), DiskError> {
        let count = usize::from(self.u16(2)?);
        match (self.u8(0)?, count.checked_sub(1)) {
            (LEAF, Some(last)) => {
                let ends = |fixed: Option<usize>| if fixed.is_none() { 4 * count } else { 0 };
                let keys = 4 + ends(tree.key) + ends(tree.value);
                let keys_end = self.end(tree.key, 4, keys, last)?;
                let value_end = |n| self.end(tree.value, 4 + ends(tree.key), keys_end, n);
                let mut values = Vec::with_capacity(count);
                let mut start = keys_end;
                for n in 0..count {
                    let end = value_end(n)?;
                    values.push((start, end));
                    start = end;
                }
                Ok((Page::Leaf(values), start))
            }
            (BRANCH, Some(last)) => {
                let numbers = 8 + 16 * (count + 1);
                let ends = numbers + 8 * (count + 1);
                let keys = ends + if tree.key.is_none() { 4 * count } else { 0 };
                let children = (0..=count).map(|n| {
                    Ok(Link { page: self.u64(numbers + 8 * n)?, checksum: self.u128(8 + 16 * n)? })
                });
                let children = children.collect::<Result<_, DiskError>>()?;
                Ok((Page::Branch(children), self.end(tree.key, ends, keys, last)?))
            }
            (kind, _) => Err(damaged(&format!("a page of {count} entries is of the type {kind}"))),
        }
    }

    /// Where the key or value number `n` ends: counted from `first` where all have one length, else by the list at `ends`.
    fn end(
        self,
        fixed: Option<usize>,
        ends: usize,
        first: usize,
        n: usize,
    ) -> Result<usize, DiskError> {
        match fixed {
            Some(length) => Ok(first.saturating_add(length.saturating_mul(n + 1))),
            None => Ok(self.u32(ends + 4 * n)? as usize),
        }
    }

    fn part(self, start: usize, end: usize) -> Result<&'b [u8], DiskError> {
        self.0.get(start..end).ok_or_else(|| damaged("an entry is behind the end of its page"))
    }

    fn array<const N: usize>(self, at: usize) -> Result<[u8; N], DiskError> {
        let bytes = self.part(at, at.saturating_add(N))?;
        Ok(bytes.try_into().expect("it has this length"))
    }

    fn u8(self, at: usize) -> Result<u8, DiskError> {
        self.array(at).map(u8::from_le_bytes)
    }

    fn u16(self, at: usize) -> Result<u16, DiskError> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(self, at: usize) -> Result<u32, DiskError> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(self, at: usize) -> Result<u64, DiskError> {
        self.array(at).map(u64::from_le_bytes)
    }

    fn u128(self, at: usize) -> Result<u128, DiskError> {
        self.array(at).map(u128::from_le_bytes)
    }

    fn link(self, at: usize) -> Result<Link, DiskError> {
        Ok(Link { page: self.u64(at)?, checksum: self.u128(at + 8)? })
    }
}

fn damaged(what: &str) -> DiskError {
    DiskError::Corrupted { doing: "open", what: format!("in redb's own tables: {what}") }
}

fn unreadable(source: io::Error) -> DiskError {
    DiskError::from_redb("open", redb::Error::Io(source))
}

/// The header: 64 bytes, and two slots for commits, of which a bit says which is the last one.
const HEADER_BYTES: usize = FIRST_SLOT + 2 * SLOT_BYTES;
const GOD_BYTE: usize = 9;
const PRIMARY_BIT: u8 = 1;
const FIRST_SLOT: usize = 64;
const SLOT_BYTES: usize = 128;
const HAS_SYSTEM_ROOT: usize = 2;
const SYSTEM_ROOT: usize = 40;

const LEAF: u8 = 1;
const BRANCH: u8 = 2;

/// Deeper than any tree in a file of a few petabytes.
const DEPTH_MAX: usize = 64;
