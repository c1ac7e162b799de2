//! Opening: the rows of the last commit become a table again.

mod sessions;

use std::time::Duration;

use lockcore::{Grant, Key, Mode, Table, Token};

use crate::client_sessions::ClientSessions;
use crate::clock::{Clock, WallTime};
use crate::disk::{Disk, DiskError};
use crate::document_locks::side_grant::document_of;
use crate::documents::DocumentWriter;
use crate::format::Format;
use crate::grants::{self, Fate, Opening};
use crate::numbers::Numbers;
use crate::options::Settings;
use crate::records::{CodecError, GrantRecordV1, Record, RecordError};
use crate::records::{audit_number_of, check_reserved, token_of};
use crate::rows::{RowChange, RowKey, TableId};
use crate::writer::Writer;

/// What an opening found; see [`Store::recovery`](crate::Store::recovery).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovery {
    /// Grants that are held still.
    pub held: u64,
    /// Of these, leases that were given the restart grace.
    pub graced: u64,
    /// Leases that ran out while the store was closed.
    pub expired: u64,
    /// Grants whose session ended with its process.
    pub sessions_ended: u64,
    /// Sessions of other processes that go on if they are taken up ([`crate::presence`]).
    pub sessions: u64,
    /// The wall clock stood before this time, which the store had seen: downtime was counted as zero.
    pub clock_went_backwards: Option<WallTime>,
    /// How long the opening took.
    pub took: Duration,
}

/// What an opening goes on from.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) writer: Writer,
    pub(crate) client_sessions: ClientSessions,
    /// How many side grants are over, and stand only until their documents have been unlocked.
    pub(crate) lapsed: usize,
    pub(crate) recovery: Recovery,
}

/// Reads the store's rows, settles what became of each grant while it was closed, and makes that durable.
pub(crate) fn recover(
    disk: &Disk,
    settings: &Settings,
    clock: &dyn Clock,
) -> Result<Recovered, DiskError> {
    let started = clock.now();
    let snapshot = disk.snapshot()?;
    let meta = snapshot.meta()?;
    let mark = WallTime::from_millis(meta.wall.mark_ms);
    let wall = clock.wall();
    let mut found = Recovery::default();
    if wall < mark {
        tracing::warn!(?wall, ?mark, "the wall clock went backwards while the store was closed");
        found.clock_went_backwards = Some(mark);
    }
    let opening = Opening {
        now: started,
        boot_id: clock.boot_id(),
        wall: wall.max(mark),
        restart_grace: settings.restart_grace,
    };
    let mut table = Table::new(settings.limits, settings.seed, opening.now);
    let mut changes = Vec::new();
    // Before the grants that are bound to them.
    let grace = settings.session_grace;
    let presences = sessions::restore(&snapshot, &meta, &opening, grace, &mut table, &mut changes)?;
    found.sessions = presences.len() as u64;
    let mut renewed = Vec::new();
    let mut lapsed = 0;
    snapshot.for_each_row(TableId::Grants, |key, value| {
        let token = token_of(key)?;
        let reserved = check_reserved("token", token.get(), meta.token.reserved_below);
        reserved.map_err(|reason| damaged(key, reason))?;
        let record = GrantRecordV1::from_row(key, value)?;
        let row = RowKey::grant(token);
        let document = document_of(&record.key);
        let before = document.is_some().then(|| record.clone());
        let lives = |session| presences.of(session).is_some();
        let fate = grants::fate(token, record, &opening, lives);
        let fate = fate.map_err(|reason| damaged(key, reason))?;
        let (lock, mode, grant) = match fate {
            Fate::Held(lock, mode, grant) => (lock, mode, grant),
            Fate::Rewritten(lock, mode, grant, record) => {
                found.graced += u64::from(record.lease.is_some_and(|lease| lease.graced));
                let value = record.to_row(&row);
                changes.push(RowChange::put(TableId::Grants, row, value));
                renewed.extend(document);
                (lock, mode, grant)
            }
            Fate::Expired | Fate::SessionEnded => {
                let count = match fate {
                    Fate::Expired => &mut found.expired,
                    _ => &mut found.sessions_ended,
                };
                *count += 1;
                let Some(before) = before else {
                    changes.push(RowChange::delete(TableId::Grants, row));
                    return Ok(());
                };
                // Its document must be unlocked with it: the first batches expire it.
                lapsed += 1;
                let (lock, grant) = grants::lapsed(token, &before, &opening)
                    .map_err(|reason| damaged(key, reason))?;
                return restore(&mut table, key, &lock, Mode::Exclusive, grant);
            }
        };
        found.held += 1;
        restore(&mut table, key, &lock, mode, grant)
    })?;
    let audit = |row: Option<&[u8]>| row.map(audit_number_of).transpose();
    let last_audit =
        audit(snapshot.last_rows(TableId::Audit, None, 1)?.first().map(|row| &*row.0))?;
    let next_audit = last_audit.map_or(1, |last| last + 1);
    let first_audit = next_audit - snapshot.count(TableId::Audit)?.min(next_audit - 1);
    let documents = DocumentWriter::restore(&snapshot, &meta, started, wall)?;
    let client_sessions = ClientSessions::restore(&snapshot, started, wall.max(mark))?;
    drop(snapshot);

    // Tokens go on behind everything that an earlier run may have used.
    let reserved_below = meta.token.reserved_below;
    table.reserve_tokens(Token::new(reserved_below).expect("the codec refuses a bound of 0"));
    let mut numbers = Numbers::new(reserved_below, mark, wall, first_audit, next_audit);
    // An opening that changes nothing else writes nothing at all.
    if !changes.is_empty() {
        changes.extend(numbers.move_mark());
    }
    // Each chunk is true by itself: a crash between two leaves rows that the next opening settles alike.
    for chunk in changes.chunks(ROWS_PER_COMMIT) {
        disk.commit(chunk)?;
    }
    found.took = clock.now().saturating_since(started);
    let format = Format::new(meta.format);
    let writer = Writer::new(table, numbers, format, documents, renewed, presences, started);
    Ok(Recovered { writer, client_sessions, lapsed, recovery: found })
}

fn restore(
    table: &mut Table,
    row: &[u8],
    key: &Key,
    mode: Mode,
    grant: Grant,
) -> Result<(), DiskError> {
    table.restore(key, mode, grant).map_err(|conflict| {
        damaged(row, CodecError::Malformed { what: "grant", reason: conflict.to_string() })
    })
}

fn damaged(key: &[u8], reason: CodecError) -> DiskError {
    RecordError::new(TableId::Grants.name(), key, reason).into()
}

/// How many rows an opening settles in one commit.
const ROWS_PER_COMMIT: usize = 16_384;
