//! Rows: what a batch changes on disk, and the keys under which it lies there.
//!
//! The byte order of a key is the order of its value, so that a scan of a table is in order:
//!
//! | table    | key                                        | value, see [`crate::records`] |
//! | -------- | ------------------------------------------ | ----------------------------- |
//! | `meta`   | a short name in ASCII                      | one record for each name      |
//! | `grants` | the grant's token, u64 big endian          | `GrantRecordV1`               |
//! | `audit`  | the entry's number, u64 big endian         | `BreakRecordV1`               |
//!
//! Tokens and audit numbers only rise, so new rows are appended at the right edge of their tree: a
//! batch of grants changes a few neighbouring pages, whatever its keys are called.

use std::fmt;

use lockcore::Token;

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TableId {
    /// What the store knows of itself: one row for each [`RowKey::Name`].
    Meta,
    /// The locks that are held: one row for each grant, deleted with its release.
    Grants,
    /// What was forced: one row for each broken grant.
    Audit,
}

impl TableId {
    /// Every table, each at the place of its [`TableId::index`].
    pub(crate) const ALL: [Self; 3] = [Self::Meta, Self::Grants, Self::Audit];

    /// The name on disk.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Grants => "grants",
            Self::Audit => "audit",
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
        }
    }

    /// The table's place in [`TableId::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Meta => 0,
            Self::Grants => 1,
            Self::Audit => 2,
        }
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The key of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowKey {
    /// A number, big endian: grants and audit.
    Number([u8; 8]),
    /// A name: meta.
    Name(&'static str),
}

impl RowKey {
    /// Meta: the format of the file and the identity of the store.
    pub(crate) const FORMAT: Self = Self::Name("format");
    /// Meta: the token below which all tokens may have been used.
    pub(crate) const TOKEN: Self = Self::Name("token");
    /// Meta: the wall clock's high-water mark.
    pub(crate) const WALL: Self = Self::Name("wall");

    /// Grants: the row of the grant with this token.
    pub(crate) const fn grant(token: Token) -> Self {
        Self::Number(token.get().to_be_bytes())
    }

    /// Audit: the row with this number.
    pub(crate) const fn audit(number: u64) -> Self {
        Self::Number(number.to_be_bytes())
    }

    /// The key as it lies on disk.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Number(bytes) => bytes,
            Self::Name(name) => name.as_bytes(),
        }
    }

    /// The number that a key of the grants or audit table stands for; `None` when it is not 8 bytes.
    pub(crate) fn number(key: &[u8]) -> Option<u64> {
        key.try_into().ok().map(u64::from_be_bytes)
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(bytes) => u64::from_be_bytes(*bytes).fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_table_is_found_by_its_name_and_place() {
        for (index, table) in TableId::ALL.into_iter().enumerate() {
            assert_eq!(table.index(), index);
            assert_eq!(TableId::from_name(table.name()), Some(table));
        }
        assert_eq!(TableId::from_name("locks"), None);
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
