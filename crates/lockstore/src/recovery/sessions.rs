//! What an opening makes of the sessions of other processes.
//!
//! - A session of an earlier boot, of a process that is known to be dead, or whose end had begun is over: its row goes, and
//!   the grants that are bound to it are over because it is gone. A crash in between leaves what the next opening settles alike.
//! - All others are lost, since nobody is connected yet: they have the grace, from the opening on, to be taken up.
//! - Where nobody can tell whether a process lives, the end that was once set stays: a store that is opened again
//!   and again cannot keep the session of a dead one.

use std::collections::HashMap;
use std::time::Duration;

use lockcore::{Instant, Session, Table};

use crate::clock::WallTime;
use crate::disk::{DiskError, Meta, Snapshot};
use crate::grants::Opening;
use crate::presence::Life;
use crate::records::{
    CodecError, Record, RecordError, SessionRecordV1, StandingV1, check_reserved, session_of,
};
use crate::rows::{RowChange, RowKey, TableId};
use crate::writer::Presences;

/// Puts the sessions that go on into `table`, and adds to `changes` what becomes of their rows.
pub(super) fn restore(
    snapshot: &Snapshot,
    meta: &Meta,
    opening: &Opening,
    grace: Duration,
    table: &mut Table,
    changes: &mut Vec<RowChange>,
) -> Result<Presences, DiskError> {
    let mut presences = Presences::default();
    // A process may have many, and asking for it takes a few system calls.
    let mut lives = HashMap::new();
    snapshot.for_each_row(TableId::Sessions, |key, value| {
        let session = session_of(key)?;
        let damaged = |reason| RecordError::new(TableId::Sessions.name(), key, reason);
        check_reserved("number", session.get(), meta.token.reserved_below).map_err(damaged)?;
        let record = SessionRecordV1::from_row(key, value)?;
        let presence = record.presence();
        let process = presence.process;
        let life = *lives.entry(process).or_insert_with(|| process.life(opening.boot_id));
        let row = RowKey::session(session);
        let Some(ends_at) = end(record.standing, life, opening, grace) else {
            changes.push(RowChange::delete(TableId::Sessions, row));
            return Ok(());
        };
        table.restore_session(session, ends_at).map_err(|conflict| {
            damaged(CodecError::Malformed { what: "session", reason: conflict.to_string() })
        })?;
        presences.insert(session, presence, WallTime::from_millis(record.opened_wall_ms));
        let standing = table.session(session).map(Session::standing);
        let now = standing.and_then(|standing| presences.record(session, standing));
        if let Some(now) = now.filter(|now| *now != record) {
            changes.push(RowChange::put(TableId::Sessions, row.clone(), now.to_row(&row)));
        }
        Ok::<_, DiskError>(())
    })?;
    Ok(presences)
}

/// When a session ends unless it is taken up; `None` when it is over.
fn end(standing: StandingV1, life: Life, opening: &Opening, grace: Duration) -> Option<Instant> {
    let graced = Instant::from_millis(opening.now.saturating_add(grace).millis_ceil());
    match (life, standing) {
        (Life::Dead, _) | (_, StandingV1::Closing) => None,
        (Life::Unknown, StandingV1::Lost { ends_boot_ms }) => {
            let ends_at = Instant::from_millis(ends_boot_ms);
            (ends_at > opening.now).then_some(ends_at)
        }
        (Life::Alive, StandingV1::Lost { .. }) | (_, StandingV1::Present) => Some(graced),
    }
}
