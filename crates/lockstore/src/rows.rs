//! Rows: what a batch changes on disk, and the keys under which it lies there.
//!
//! The byte order of a key is the order of its value, so that a scan of a table is in order:
//!
//! | table           | key                                               | value, see [`crate::records`]   |
//! | --------------- | ------------------------------------------------- | ------------------------------- |
//! | `meta`          | a short name in ASCII                             | one record for each name        |
//! | `grants`        | the grant's token, u64 big endian                 | `GrantRecordV1`                 |
//! | `audit`         | the entry's number, u64 big endian                | `BreakRecordV1`                 |
//! | `collections`   | the collection's id, u32 big endian               | `CollectionRecordV1`            |
//! | `documents`     | collection id, then record id, u64 big endian     | the document in BSON, checksum  |
//! | `index_entries` | index id, u32 big endian, key bytes, record id    | nothing                         |
//! | `client_sessions` | the session's UUID, then a chunk, u32 big endian | `ClientSessionRecordV1`         |
//! | `sessions`      | the session's number, u64 big endian              | `SessionRecordV1`               |
//!
//! Tokens, audit numbers and record ids only rise, so new rows are appended at the right edge of their tree, or
//! of their collection: a batch of grants changes a few neighbouring pages, whatever its keys are called.
//!
//! The key bytes of an index are `docquery::key`'s: they sort as the values do, and none is the beginning of
//! another, so the record id behind them orders entries of equal keys and disturbs no others.
//!
//! The three tables of documents came with format 2, those of client sessions and of sessions with format 3. A file of an earlier
//! format has none of them, which reads as if they were empty.

use std::fmt;

use lockcore::{SessionId, Token};

use crate::client_sessions::Lsid;
use crate::documents::{CollectionId, IndexId, RecordId};

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TableId {
    /// What the store knows of itself: one row for each [`RowKey::Name`].
    Meta,
    /// The locks that are held: one row for each grant, deleted with its release.
    Grants,
    /// What was forced: one row for each broken grant.
    Audit,
    /// The collections and their indexes: one row for each collection.
    Collections,
    /// The documents: one row for each.
    Documents,
    /// The indexes: one row for each key of each document in each.
    IndexEntries,
    /// What was done in client sessions: some rows for each.
    ClientSessions,
    /// The sessions of processes: one row for each, deleted with its end.
    Sessions,
}

impl TableId {
    /// Every table, each at the place of its [`TableId::index`].
    pub(crate) const ALL: [Self; 8] = [
        Self::Meta,
        Self::Grants,
        Self::Audit,
        Self::Collections,
        Self::Documents,
        Self::IndexEntries,
        Self::ClientSessions,
        Self::Sessions,
    ];

    /// The first format that has the table. A file of an earlier one gets this format with the table's first row, so that
    /// versions which do not know the table open it until then, and not afterwards.
    pub(crate) const fn since(self) -> u32 {
        match self {
            Self::Meta | Self::Grants | Self::Audit => 1,
            Self::Collections | Self::Documents | Self::IndexEntries => 2,
            Self::ClientSessions | Self::Sessions => 3,
        }
    }

    /// The name on disk.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Grants => "grants",
            Self::Audit => "audit",
            Self::Collections => "collections",
            Self::Documents => "documents",
            Self::IndexEntries => "index_entries",
            Self::ClientSessions => "client_sessions",
            Self::Sessions => "sessions",
        }
    }

    /// The table called `name` on disk.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// The byte that stands for the table in the checksum of its rows. Part of the format.
    pub(crate) const fn tag(self) -> u8 {
        match self {
            Self::Meta => 1,
            Self::Grants => 2,
            Self::Audit => 3,
            Self::Collections => 4,
            Self::Documents => 5,
            Self::IndexEntries => 6,
            Self::ClientSessions => 7,
            Self::Sessions => 8,
        }
    }

    /// The table that `tag` stands for.
    pub(crate) fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.tag() == tag)
    }

    /// The table's place in [`TableId::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Meta => 0,
            Self::Grants => 1,
            Self::Audit => 2,
            Self::Collections => 3,
            Self::Documents => 4,
            Self::IndexEntries => 5,
            Self::ClientSessions => 6,
            Self::Sessions => 7,
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowKey {
    /// A number, big endian: grants, audit and sessions.
    Number([u8; 8]),
    /// A name: meta.
    Name(&'static str),
    /// A collection's id, big endian: collections.
    Collection([u8; 4]),
    /// A collection's id and a record's, big endian: documents.
    Document([u8; 12]),
    /// An index id, key bytes and a record id: index entries.
    Entry(Box<[u8]>),
    /// A client session's UUID and a chunk, big endian: client sessions.
    ClientSession([u8; 20]),
}

impl RowKey {
    /// Meta: the format of the file and the identity of the store.
    pub(crate) const FORMAT: Self = Self::Name("format");
    /// Meta: the token below which all tokens may have been used.
    pub(crate) const TOKEN: Self = Self::Name("token");
    /// Meta: the wall clock's high-water mark.
    pub(crate) const WALL: Self = Self::Name("wall");
    /// Meta: the ids below which all collections and indexes may have been.
    pub(crate) const IDS: Self = Self::Name("ids");
    /// Meta: that the last commits are in a journal, and from which one on.
    pub(crate) const JOURNAL: Self = Self::Name("journal");

    /// Grants: the row of the grant with this token.
    pub(crate) const fn grant(token: Token) -> Self {
        Self::Number(token.get().to_be_bytes())
    }

    /// Audit: the row with this number.
    pub(crate) const fn audit(number: u64) -> Self {
        Self::Number(number.to_be_bytes())
    }

    /// Sessions: the row of a session.
    pub(crate) const fn session(session: SessionId) -> Self {
        Self::Number(session.get().to_be_bytes())
    }

    /// Collections: the row of a collection.
    pub(crate) const fn collection(collection: CollectionId) -> Self {
        Self::Collection(collection.get().to_be_bytes())
    }

    /// Documents: the row of a document.
    pub(crate) fn document(collection: CollectionId, record: RecordId) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&collection.get().to_be_bytes());
        bytes[4..].copy_from_slice(&record.get().to_be_bytes());
        Self::Document(bytes)
    }

    /// Index entries: the row that says that `record` has `key` in `index`.
    pub(crate) fn entry(index: IndexId, key: &[u8], record: RecordId) -> Self {
        let mut bytes = Vec::with_capacity(4 + key.len() + 8);
        bytes.extend_from_slice(&index.get().to_be_bytes());
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&record.get().to_be_bytes());
        Self::Entry(bytes.into())
    }

    /// Client sessions: a row of a session.
    pub(crate) fn client_session(session: Lsid, chunk: u32) -> Self {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&session.bytes());
        bytes[16..].copy_from_slice(&chunk.to_be_bytes());
        Self::ClientSession(bytes)
    }

    /// The key as it lies on disk.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Number(bytes) => bytes,
            Self::Name(name) => name.as_bytes(),
            Self::Collection(bytes) => bytes,
            Self::Document(bytes) => bytes,
            Self::Entry(bytes) => bytes,
            Self::ClientSession(bytes) => bytes,
        }
    }

    /// The number that a key of the grants, audit or sessions table stands for; `None` when it is not 8 bytes.
    pub(crate) fn number(key: &[u8]) -> Option<u64> {
        key.try_into().ok().map(u64::from_be_bytes)
    }

    /// The id that a key of the collections table stands for; `None` when it is not 4 bytes.
    pub(crate) fn collection_of(key: &[u8]) -> Option<CollectionId> {
        key.try_into().ok().map(u32::from_be_bytes).map(CollectionId::new)
    }

    /// What a key of the documents table stands for; `None` when it is not 12 bytes.
    pub(crate) fn document_of(key: &[u8]) -> Option<(CollectionId, RecordId)> {
        let (collection, record) = key.split_first_chunk()?;
        let record = RecordId::new(u64::from_be_bytes(record.try_into().ok()?));
        Some((CollectionId::new(u32::from_be_bytes(*collection)), record))
    }

    /// What a key of the client sessions stands for: the session and a chunk. `None` when it is not 20 bytes.
    pub(crate) fn client_session_of(key: &[u8]) -> Option<(Lsid, u32)> {
        let (session, chunk) = key.split_first_chunk()?;
        Some((Lsid::new(*session), u32::from_be_bytes(chunk.try_into().ok()?)))
    }

    /// What a key of the index entries stands for: the index, the key bytes and the record. `None` when it
    /// is less than 12 bytes.
    pub(crate) fn entry_of(key: &[u8]) -> Option<(IndexId, &[u8], RecordId)> {
        let (index, rest) = key.split_first_chunk()?;
        let (key, record) = rest.split_last_chunk()?;
        let record = RecordId::new(u64::from_be_bytes(*record));
        Some((IndexId::new(u32::from_be_bytes(*index)), key, record))
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(bytes) => u64::from_be_bytes(*bytes).fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
            Self::Collection(bytes) => u32::from_be_bytes(*bytes).fmt(f),
            Self::Document(bytes) => {
                let (collection, record) = bytes.split_at(4);
                write!(f, "{}/{}", number(collection), number(record))
            }
            Self::ClientSession(bytes) => {
                let (session, chunk) = Self::client_session_of(bytes).expect("20 bytes are a key");
                write!(f, "{session}/{chunk}")
            }
            Self::Entry(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

/// A number of at most 8 bytes, big endian.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// One row of a batch: what the row is to be once the batch is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowChange {
    /// Where the row lies.
    pub(crate) table: TableId,
    /// Which row it is.
    pub(crate) key: RowKey,
    /// Its encoded record; `None` deletes it, and deleting a row that is not there changes nothing.
    pub(crate) value: Option<Vec<u8>>,
}

impl RowChange {
    /// The row is to hold `value`, whether it was there or not.
    pub(crate) const fn put(table: TableId, key: RowKey, value: Vec<u8>) -> Self {
        Self { table, key, value: Some(value) }
    }

    /// The row is to be gone.
    pub(crate) const fn delete(table: TableId, key: RowKey) -> Self {
        Self { table, key, value: None }
    }

    /// The change as bytes.
    pub(crate) fn borrowed(&self) -> ChangedRow<'_> {
        ChangedRow { table: self.table, key: self.key.as_bytes(), value: self.value.as_deref() }
    }
}

/// A [`RowChange`] as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChangedRow<'c> {
    /// Where the row lies.
    pub(crate) table: TableId,
    /// Which row it is.
    pub(crate) key: &'c [u8],
    /// Its encoded record; `None` deletes it.
    pub(crate) value: Option<&'c [u8]>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_table_is_found_by_its_name_and_place() {
        for (index, table) in TableId::ALL.into_iter().enumerate() {
            assert_eq!(table.index(), index);
            assert_eq!(TableId::from_name(table.name()), Some(table));
            assert_eq!(TableId::from_tag(table.tag()), Some(table));
        }
        assert_eq!(TableId::from_name("locks"), None);
        let tags: BTreeSet<_> = TableId::ALL.into_iter().map(TableId::tag).collect();
        assert_eq!(tags.len(), TableId::ALL.len(), "no row is taken for one of another table");
    }

    proptest! {
        #[test]
        fn the_byte_order_of_a_key_is_the_order_of_its_number(a: u64, b: u64) {
            let (key_a, key_b) = (RowKey::audit(a), RowKey::audit(b));
            prop_assert_eq!(key_a.as_bytes().cmp(key_b.as_bytes()), a.cmp(&b));
            prop_assert_eq!(RowKey::number(key_a.as_bytes()), Some(a));
        }
    }
}
