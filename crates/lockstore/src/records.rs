//! Records: what the rows of the store hold. The structs are frozen: what is called `V1` never
//! changes, and a new shape gets a new name and a new format version.
//!
//! A record that cannot be read is a [`RecordError`] that names it, and never a default: a token
//! counter that starts again at 0, or a lock that is forgotten, is worse than a store that does not open.

mod client_sessions;
mod collections;
mod sessions;

use std::fmt;

use bincode::{Decode, Encode};
use lockcore::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};

use crate::client_sessions::Lsid;
pub use crate::codec::CodecError;
use crate::codec::{decode, encode, payload};
use crate::documents::{CollectionId, IndexId, RecordId};
use crate::rows::{RowKey, TableId};
pub(crate) use client_sessions::{ANSWER_BYTES_MAX, AnswerV1, ClientSessionRecordV1, RememberedV1};
pub(crate) use collections::{CollectionRecordV1, IdsRecordV1, IndexRecordV1};
pub(crate) use sessions::{SessionRecordV1, StandingV1, session_of};

/// The format of the rows that this version writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u32 = 3;

/// The first format with collections, and so with ids for them.
pub(crate) const COLLECTIONS_SINCE: u32 = TableId::Collections.since();

/// What the format row says while the last commits are in a journal, whatever the format of the rows, which stands in
/// [`JournalRecordV1`] then: versions that know of no journal must not open the file. It is never a format of rows.
pub(crate) const JOURNALLED_FORMAT: u32 = 4;

const _: () = assert!(JOURNALLED_FORMAT > FORMAT_VERSION, "the two must be told apart");

/// More than a store ever counts to, at one a nanosecond for 292 years. A number beyond it is damage, and
/// what lies between is room to count on without a check.
const NUMBER_MAX: u64 = u64::MAX / 2;

/// The longest reason of a break, in bytes of UTF-8.
pub(crate) const REASON_BYTES_MAX: usize = 1024;

/// A row that cannot be read: which it is, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {key} of table {table} is damaged: {reason}")]
pub struct RecordError {
    /// The table's name.
    pub table: String,
    /// The row's key, as people read it: a number, a name, or bytes in hexadecimal.
    pub key: String,
    /// What is wrong with it.
    pub reason: CodecError,
}

/// Meta `format`. This layout is read by every version there will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct FormatRecordV1 {
    /// The format of the file's rows.
    pub(crate) version: u32,
    /// Tells stores apart: drawn at random when the store is made, and copied into its backups.
    pub(crate) store_id: [u8; 16],
    /// When the store was made, by the wall clock.
    pub(crate) created_wall_ms: u64,
}

/// Meta `token`: tokens are reserved in blocks, and a restart goes on behind the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct TokenRecordV1 {
    /// Every token below this one may have been used; none from here on has been.
    pub(crate) reserved_below: u64,
}

/// Meta `wall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct WallRecordV1 {
    /// The latest wall-clock time that the store has seen.
    pub(crate) mark_ms: u64,
}

/// Meta `journal`: the last commits are in the journal with this salt. The row is there while there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct JournalRecordV1 {
    /// The format of the file's rows.
    pub(crate) rows_format: u32,
    /// Tells the journal from every other.
    pub(crate) salt: u64,
    /// The number of the last record that the file has.
    pub(crate) applied: u64,
}

/// Grants: one lock held by one holder. Its token is the row's key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct GrantRecordV1 {
    /// What is locked.
    pub(crate) key: String,
    /// Who holds it.
    pub(crate) holder: String,
    /// Whether others may hold it too.
    pub(crate) mode: ModeV1,
    /// The session that the grant ends with.
    pub(crate) session: Option<u64>,
    /// When it was granted, by the wall clock.
    pub(crate) granted_wall_ms: u64,
    /// Until when it is held; without one it is held until it is released.
    pub(crate) lease: Option<LeaseRecordV1>,
}

/// Part of [`GrantRecordV1`]: a lease, by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct LeaseRecordV1 {
    /// How long it was promised to last when it began.
    pub(crate) ttl_ms: u64,
    /// When it ends by the wall clock, which is asked only after a reboot.
    pub(crate) wall_deadline_ms: u64,
    /// The boot that `boot_deadline_ms` counts from.
    pub(crate) boot_id: [u8; 16],
    /// When it ends by the clock that counts from that boot.
    pub(crate) boot_deadline_ms: u64,
    /// Whether a restart has already prolonged it, which happens once.
    pub(crate) graced: bool,
    /// When this was written, by the wall clock, or the latest time that the store had seen if that was later.
    pub(crate) written_wall_ms: u64,
}

/// How a grant is held. The order of the variants is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum ModeV1 {
    /// By one holder.
    Exclusive,
    /// By any number of holders.
    Shared,
}

/// Audit: a grant that was taken from its holder by force.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct BreakRecordV1 {
    /// What was locked.
    pub(crate) key: String,
    /// Who held it.
    pub(crate) holder: String,
    /// The token of the broken grant.
    pub(crate) token: u64,
    /// Why, in the words of who did it.
    pub(crate) reason: String,
    /// When, by the wall clock.
    pub(crate) at_wall_ms: u64,
}

impl From<Mode> for ModeV1 {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive => Self::Exclusive,
            Mode::Shared => Self::Shared,
        }
    }
}

impl From<ModeV1> for Mode {
    fn from(mode: ModeV1) -> Self {
        match mode {
            ModeV1::Exclusive => Self::Exclusive,
            ModeV1::Shared => Self::Shared,
        }
    }
}

/// What can lie in a row.
pub(crate) trait Record: Encode + Decode<()> {
    /// The name of the kind, in errors.
    const WHAT: &'static str;
    /// The table it lies in.
    const TABLE: TableId;

    /// Whether every field is within its bounds; checked before writing and after reading.
    fn check(&self) -> Result<(), CodecError> {
        Ok(())
    }

    /// The bytes of the record under `key`.
    ///
    /// # Panics
    ///
    /// When a field is outside its bounds: what comes from users is checked long before this.
    fn to_row(&self, key: &RowKey) -> Vec<u8> {
        if let Err(error) = self.check() {
            panic!("a {} was made that cannot be read again: {error}", Self::WHAT);
        }
        encode(Self::TABLE, key.as_bytes(), self)
    }

    /// Reads the record under `key` back.
    fn from_row(key: &[u8], value: &[u8]) -> Result<Self, RecordError> {
        decode::<Self>(Self::WHAT, Self::TABLE, key, value)
            .and_then(|record| record.check().map(|()| record))
            .map_err(|reason| RecordError::new(Self::TABLE.name(), key, reason))
    }
}

impl Record for FormatRecordV1 {
    const WHAT: &'static str = "format record";
    const TABLE: TableId = TableId::Meta;

    fn check(&self) -> Result<(), CodecError> {
        bounded("version", self.version > 0, self.version, "at least 1")
    }
}

impl Record for TokenRecordV1 {
    const WHAT: &'static str = "token record";
    const TABLE: TableId = TableId::Meta;

    fn check(&self) -> Result<(), CodecError> {
        let below = self.reserved_below;
        let within = (1..=NUMBER_MAX).contains(&below);
        bounded("reserved_below", within, below, format_args!("1 to {NUMBER_MAX}"))
    }
}

impl Record for WallRecordV1 {
    const WHAT: &'static str = "wall-clock record";
    const TABLE: TableId = TableId::Meta;
}

impl Record for JournalRecordV1 {
    const WHAT: &'static str = "journal record";
    const TABLE: TableId = TableId::Meta;

    fn check(&self) -> Result<(), CodecError> {
        let expected = format_args!("1 to {FORMAT_VERSION}");
        let format = self.rows_format;
        bounded("rows_format", (1..=FORMAT_VERSION).contains(&format), format, expected)?;
        let expected = format_args!("at most {NUMBER_MAX}");
        bounded("applied", self.applied <= NUMBER_MAX, self.applied, expected)
    }
}

impl Record for GrantRecordV1 {
    const WHAT: &'static str = "grant";
    const TABLE: TableId = TableId::Grants;

    fn check(&self) -> Result<(), CodecError> {
        check_name("key", &self.key, Key::BYTES_MAX)?;
        check_name("holder", &self.holder, Holder::BYTES_MAX)?;
        let session = self.session.map(SessionId::new);
        bounded("session", session != Some(None), 0, "none, or at least 1")?;
        match self.lease {
            None => Ok(()),
            Some(LeaseRecordV1 { ttl_ms, boot_deadline_ms, .. }) => {
                let expected = "at least 1 ms and at most 3650 days of milliseconds";
                bounded("ttl_ms", Ttl::from_millis(ttl_ms).is_ok(), ttl_ms, expected)?;
                let latest = Instant::MAX.millis_ceil();
                let within = boot_deadline_ms <= latest;
                let expected = format_args!("at most {latest}");
                bounded("boot_deadline_ms", within, boot_deadline_ms, expected)
            }
        }
    }
}

impl Record for BreakRecordV1 {
    const WHAT: &'static str = "break";
    const TABLE: TableId = TableId::Audit;

    fn check(&self) -> Result<(), CodecError> {
        check_name("key", &self.key, Key::BYTES_MAX)?;
        check_name("holder", &self.holder, Holder::BYTES_MAX)?;
        bounded("token", self.token > 0, self.token, "at least 1")?;
        let reason_bytes = self.reason.len();
        bounded(
            "reason",
            reason_bytes <= REASON_BYTES_MAX,
            format_args!("{reason_bytes} bytes long"),
            format_args!("at most {REASON_BYTES_MAX} bytes"),
        )
    }
}

impl RecordError {
    /// The row under `key` in the table called `table`, and why it cannot be read.
    pub(crate) fn new(table: &str, key: &[u8], reason: CodecError) -> Self {
        Self { table: table.to_owned(), key: readable(table, key), reason }
    }
}

/// The token under which a grant lies.
pub(crate) fn token_of(key: &[u8]) -> Result<Token, RecordError> {
    let expected = "a token: 8 bytes, not all of them zero";
    RowKey::number(key)
        .and_then(Token::new)
        .ok_or_else(|| RecordError::new("grants", key, CodecError::Key { expected }))
}

/// The number under which an audit entry lies.
pub(crate) fn audit_number_of(key: &[u8]) -> Result<u64, RecordError> {
    let expected = "a number of 8 bytes, in the lower half of all";
    let number = RowKey::number(key).filter(|number| *number <= NUMBER_MAX);
    number.ok_or_else(|| RecordError::new("audit", key, CodecError::Key { expected }))
}

/// The id under which a collection lies.
pub(crate) fn collection_of(key: &[u8]) -> Result<CollectionId, RecordError> {
    let expected = "a collection's id: 4 bytes";
    RowKey::collection_of(key)
        .ok_or_else(|| RecordError::new("collections", key, CodecError::Key { expected }))
}

/// The collection and the record under which a document lies.
pub(crate) fn document_of(key: &[u8]) -> Result<(CollectionId, RecordId), RecordError> {
    let expected = "a collection's id and a record's: 12 bytes";
    RowKey::document_of(key)
        .ok_or_else(|| RecordError::new("documents", key, CodecError::Key { expected }))
}

/// What an index entry says: the index, the key, and the record.
pub(crate) fn entry_of(key: &[u8]) -> Result<(IndexId, &[u8], RecordId), RecordError> {
    let expected = "an index's id, a key, and a record's id: at least 12 bytes";
    RowKey::entry_of(key)
        .ok_or_else(|| RecordError::new("index_entries", key, CodecError::Key { expected }))
}

/// The client session and the chunk under which a row of one lies.
pub(crate) fn client_session_of(key: &[u8]) -> Result<(Lsid, u32), RecordError> {
    let expected = "a client session's UUID and a chunk: 20 bytes";
    RowKey::client_session_of(key)
        .ok_or_else(|| RecordError::new("client_sessions", key, CodecError::Key { expected }))
}

/// Describes any row of a store in one line, for tools that look into a file: `table` is the name of
/// its table, `key` and `value` are its bytes. Takes any bytes whatever, and allocates little for them.
///
/// ```
/// let error = lockstore::records::describe_row("grants", &7_u64.to_be_bytes(), b"nonsense").unwrap_err();
/// assert!(error.to_string().starts_with("row 7 of table grants is damaged: its checksum is "));
/// ```
///
/// # Errors
///
/// [`RecordError`] says what is wrong with the row, or that there is no such table.
pub fn describe_row(table: &str, key: &[u8], value: &[u8]) -> Result<String, RecordError> {
    fn line<R: Record + fmt::Debug>(key: &[u8], value: &[u8]) -> Result<String, RecordError> {
        let record = R::from_row(key, value)?;
        Ok(format!("{} {}: {record:?}", R::TABLE.name(), readable(R::TABLE.name(), key)))
    }
    let unknown = |expected| Err(RecordError::new(table, key, CodecError::Key { expected }));
    match TableId::from_name(table) {
        Some(TableId::Grants) => token_of(key).and_then(|_| line::<GrantRecordV1>(key, value)),
        Some(TableId::Audit) => {
            audit_number_of(key).and_then(|_| line::<BreakRecordV1>(key, value))
        }
        Some(TableId::Meta) => match key {
            b"format" => line::<FormatRecordV1>(key, value),
            b"token" => line::<TokenRecordV1>(key, value),
            b"wall" => line::<WallRecordV1>(key, value),
            b"ids" => line::<IdsRecordV1>(key, value),
            b"journal" => line::<JournalRecordV1>(key, value),
            _ => unknown("`format`, `token`, `wall`, `ids` or `journal`"),
        },
        Some(TableId::Sessions) => {
            session_of(key).and_then(|_| line::<SessionRecordV1>(key, value))
        }
        Some(TableId::Collections) => {
            collection_of(key).and_then(|_| line::<CollectionRecordV1>(key, value))
        }
        Some(table @ TableId::Documents) => {
            document_of(key)?;
            let document = payload(table, key, value)
                .map_err(|reason| RecordError::new(table.name(), key, reason))?;
            Ok(format!("{table} {}: {} bytes", readable(table.name(), key), document.len()))
        }
        Some(table @ TableId::IndexEntries) => {
            entry_of(key)?;
            Ok(format!("{table} {}", readable(table.name(), key)))
        }
        Some(TableId::ClientSessions) => {
            client_session_of(key).and_then(|_| line::<ClientSessionRecordV1>(key, value))
        }
        None => unknown("one of any table of a store"),
    }
}

/// A key as people read it: the number or the name where it is one, else its bytes in hexadecimal.
fn readable(table: &str, key: &[u8]) -> String {
    let name = std::str::from_utf8(key).ok();
    match (TableId::from_name(table), RowKey::number(key), name) {
        (Some(TableId::Grants | TableId::Audit | TableId::Sessions), Some(number), _) => {
            number.to_string()
        }
        (Some(TableId::Meta), _, Some(name)) => format!("{name:?}"),
        (Some(TableId::Collections), ..) if key.len() == 4 => {
            collection_of(key).map_or_else(|_| hex(key), |id| id.to_string())
        }
        (Some(TableId::Documents), ..) if key.len() == 12 => {
            let (collection, record) = RowKey::document_of(key).expect("12 bytes are a key");
            format!("{collection}/{record}")
        }
        (Some(TableId::ClientSessions), ..) if key.len() == 20 => client_session_of(key)
            .map_or_else(|_| hex(key), |(session, chunk)| format!("{session}/{chunk}")),
        _ => hex(&key[..key.len().min(KEY_SHOWN_MAX)]),
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    let mut text = String::from("0x");
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
    }
    text
}

/// Whether a token, or the number of a session, lies below what an earlier run has reserved.
pub(crate) fn check_reserved(
    field: &'static str,
    number: u64,
    reserved_below: u64,
) -> Result<(), CodecError> {
    let expected = format_args!("below {reserved_below}, which is how far tokens are reserved");
    bounded(field, number < reserved_below, number, expected)
}

fn check_name(field: &'static str, name: &str, bytes_max: usize) -> Result<(), CodecError> {
    let bytes = name.len();
    bounded(
        field,
        (1..=bytes_max).contains(&bytes),
        format_args!("{bytes} bytes long"),
        format_args!("1 to {bytes_max} bytes"),
    )
}

fn bounded(
    field: &'static str,
    within: bool,
    found: impl fmt::Display,
    expected: impl fmt::Display,
) -> Result<(), CodecError> {
    if within {
        return Ok(());
    }
    Err(CodecError::OutOfBounds { field, found: found.to_string(), expected: expected.to_string() })
}

/// How many bytes of an unreadable key are shown.
const KEY_SHOWN_MAX: usize = 32;
