//! Rows of a store as a fuzzer makes them: nonsense, and records with any content whose checksum is right.
//!
//! The layout is written out here again, apart from the store's own codec: see the files in
//! `crates/lockstore/testdata`.

use arbitrary::{Arbitrary, Unstructured};

/// A row as it lies in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The name of its table.
    pub table: String,
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What a row may be.
#[derive(Arbitrary, Clone, Debug)]
pub enum AnyRow<'a> {
    /// Any bytes in any table.
    Bytes {
        /// The name of the table.
        table: &'a str,
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// Any bytes with the checksum that belongs to them.
    Sealed {
        /// The table.
        table: Table,
        /// The key.
        key: &'a [u8],
        /// The value without its checksum.
        payload: &'a [u8],
    },
    /// Meta `format`.
    Format {
        /// The version.
        version: u32,
        /// The store's id.
        store_id: [u8; 16],
    },
    /// Meta `token`.
    Token(u64),
    /// Meta `wall`.
    Wall(u64),
    /// A grant.
    Grant {
        /// The token.
        #[arbitrary(with = often_small)]
        token: u64,
        /// The lock.
        key: &'a str,
        /// Who holds it.
        holder: &'a str,
        /// Exclusive is 0, shared is 1.
        #[arbitrary(with = often_known)]
        mode: u8,
        /// The session.
        session: Option<u64>,
        /// When it ends.
        lease: Option<AnyLease>,
    },
    /// A record of a break.
    Break {
        /// The record's number.
        number: u64,
        /// What was locked.
        key: &'a str,
        /// Who held it.
        holder: &'a str,
        /// The token.
        token: u64,
        /// Why it was broken.
        reason: &'a str,
    },
}

/// The lease of a grant.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct AnyLease {
    /// How long it was promised to last.
    #[arbitrary(with = often_small)]
    pub ttl_ms: u64,
    /// When it ends by the wall clock.
    pub wall_deadline_ms: u64,
    /// Whether it was written in the boot in which the store is opened.
    pub same_boot: bool,
    /// When it ends by the clock of that boot.
    #[arbitrary(with = often_small)]
    pub boot_deadline_ms: u64,
    /// Whether a restart has prolonged it.
    pub graced: bool,
    /// When it was written, by the wall clock.
    pub written_wall_ms: u64,
}

/// A table of a store.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Table {
    /// What the store knows of itself.
    Meta,
    /// The locks that are held.
    Grants,
    /// The breaks.
    Audit,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Grants, Self::Audit];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Grants => "grants",
            Self::Audit => "audit",
        }
    }

    fn tag(self) -> u8 {
        match self {
            Self::Meta => 1,
            Self::Grants => 2,
            Self::Audit => 3,
        }
    }
}

impl AnyRow<'_> {
    /// The rows without which there is no store.
    pub const META: [AnyRow<'static>; 3] =
        [AnyRow::Format { version: 1, store_id: [7; 16] }, AnyRow::Token(1 << 33), AnyRow::Wall(0)];

    /// The row, with this boot id for a lease of the same boot.
    pub fn row(&self, boot_id: [u8; 16]) -> Row {
        match *self {
            Self::Bytes { table, key, value } => {
                Row { table: table.to_owned(), key: key.to_vec(), value: value.to_vec() }
            }
            Self::Sealed { table, key, payload } => sealed(table, key, payload.to_vec()),
            Self::Format { version, store_id } => {
                let created = 0_u64.to_le_bytes();
                let payload = [&version.to_le_bytes()[..], &store_id, &created].concat();
                sealed(Table::Meta, b"format", payload)
            }
            Self::Token(below) => sealed(Table::Meta, b"token", below.to_le_bytes().to_vec()),
            Self::Wall(mark) => sealed(Table::Meta, b"wall", mark.to_le_bytes().to_vec()),
            Self::Grant { token, key, holder, mode, session, lease } => {
                let mut payload = Vec::new();
                put_text(&mut payload, key);
                put_text(&mut payload, holder);
                payload.extend(u32::from(mode).to_le_bytes());
                payload.push(u8::from(session.is_some()));
                payload.extend(session.map(u64::to_le_bytes).into_iter().flatten());
                payload.extend(0_u64.to_le_bytes());
                payload.push(u8::from(lease.is_some()));
                if let Some(lease) = lease {
                    lease.put(&mut payload, boot_id);
                }
                sealed(Table::Grants, &token.to_be_bytes(), payload)
            }
            Self::Break { number, key, holder, token, reason } => {
                let mut payload = Vec::new();
                put_text(&mut payload, key);
                put_text(&mut payload, holder);
                payload.extend(token.to_le_bytes());
                put_text(&mut payload, reason);
                payload.extend(0_u64.to_le_bytes());
                sealed(Table::Audit, &number.to_be_bytes(), payload)
            }
        }
    }
}

impl AnyLease {
    fn put(self, payload: &mut Vec<u8>, boot_id: [u8; 16]) {
        payload.extend(self.ttl_ms.to_le_bytes());
        payload.extend(self.wall_deadline_ms.to_le_bytes());
        payload.extend(if self.same_boot { boot_id } else { [0xee; 16] });
        payload.extend(self.boot_deadline_ms.to_le_bytes());
        payload.push(u8::from(self.graced));
        payload.extend(self.written_wall_ms.to_le_bytes());
    }
}

/// Any number, and often one that a store may have counted to.
fn often_small(bytes: &mut Unstructured<'_>) -> arbitrary::Result<u64> {
    if bytes.ratio(7, 8)? { Ok(u64::from(u32::arbitrary(bytes)?)) } else { u64::arbitrary(bytes) }
}

/// Any mode, and often one that there is.
fn often_known(bytes: &mut Unstructured<'_>) -> arbitrary::Result<u8> {
    if bytes.ratio(7, 8)? { Ok(u8::from(bool::arbitrary(bytes)?)) } else { u8::arbitrary(bytes) }
}

fn put_text(payload: &mut Vec<u8>, text: &str) {
    payload.extend((text.len() as u64).to_le_bytes());
    payload.extend(text.as_bytes());
}

fn sealed(table: Table, key: &[u8], payload: Vec<u8>) -> Row {
    let key_bytes = u32::try_from(key.len()).expect("a fuzzer's key is short");
    let mut hasher = crc32fast::Hasher::new();
    for part in [&[table.tag()][..], &key_bytes.to_le_bytes(), key, &payload] {
        hasher.update(part);
    }
    let mut value = payload;
    value.extend(hasher.finalize().to_le_bytes());
    Row { table: table.name().to_owned(), key: key.to_vec(), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstore::records::describe_row;

    #[test]
    fn what_is_written_here_is_read_by_the_store() {
        let lease = AnyLease {
            ttl_ms: 5,
            wall_deadline_ms: 6,
            same_boot: true,
            boot_deadline_ms: 7,
            graced: false,
            written_wall_ms: 8,
        };
        let (key, holder) = ("k", "h");
        let rows = [
            AnyRow::Grant { token: 9, key, holder, mode: 1, session: Some(3), lease: Some(lease) },
            AnyRow::Grant { token: 9, key, holder, mode: 0, session: None, lease: None },
            AnyRow::Break { number: 1, key, holder, token: 9, reason: "in the way" },
        ];
        for row in rows.iter().chain(&AnyRow::META) {
            let Row { table, key, value } = row.row([1; 16]);
            describe_row(&table, &key, &value).unwrap_or_else(|error| panic!("{row:?}: {error}"));
        }
    }
}
