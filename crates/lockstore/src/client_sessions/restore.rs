//! The rows of client sessions: what an opening finds of them, what a command that comes again asks of them, and whether they are
//! what they should be.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Mutex;
use std::time::Duration;

use lockcore::Instant;

use super::{ClientSessions, IDLE_MAX, Known, Last, Lsid, Memory, Place, Rows, State, Taken, Use};
use crate::clock::WallTime;
use crate::disk::{DiskError, Snapshot};
use crate::error::StoreError;
use crate::records::{ClientSessionRecordV1, Record, RememberedV1, client_session_of};
use crate::rows::TableId;

impl ClientSessions {
    /// Those of which `snapshot` has rows. The time while the store was closed counts as time in which nobody used them.
    pub(crate) fn restore(
        snapshot: &Snapshot,
        now: Instant,
        wall: WallTime,
    ) -> Result<Self, DiskError> {
        let mut sessions: HashMap<Lsid, Known> = HashMap::new();
        snapshot.for_each_row(TableId::ClientSessions, |key, value| {
            let (lsid, _) = client_session_of(key)?;
            let record = ClientSessionRecordV1::from_row(key, value)?;
            let idle = wall.as_millis().saturating_sub(record.used_wall_ms);
            let left = IDLE_MAX.saturating_sub(Duration::from_millis(idle));
            let until = now.saturating_add(left);
            match sessions.entry(lsid) {
                Entry::Vacant(entry) => {
                    let memory = Memory { rows: Rows::There, ..Memory::default() };
                    let state = State { memory, last: last(&record) };
                    entry.insert(Known { until, place: Place::Here(state) });
                }
                Entry::Occupied(mut entry) => {
                    let known = entry.get_mut();
                    known.until = known.until.max(until);
                    if let Place::Here(state) = &mut known.place
                        && state.number() < record.number
                    {
                        state.last = last(&record);
                    }
                }
            }
            Ok::<_, DiskError>(())
        })?;
        Ok(Self { known: Mutex::new(sessions), ..Self::default() })
    }
}

impl Taken<'_> {
    /// What is remembered of a number.
    pub(crate) fn remembered(&self, number: i64) -> Result<Vec<RememberedV1>, StoreError> {
        let engine = self.engine();
        let rows = engine.with_disk(|disk| Ok::<_, StoreError>(disk.snapshot()?))?;
        let mut remembered = Vec::new();
        let read = rows.client_session(self.lsid(), |record| {
            if record.number == number {
                remembered.push(record.remembered);
            }
        });
        read.map_err(|error| engine.read_failed(error))?;
        Ok(remembered)
    }
}

impl State {
    fn number(&self) -> i64 {
        self.last.as_ref().map_or(-1, |last| last.number)
    }
}

/// Adds to `problems` what is wrong with the rows of client sessions, and answers how many there are. Nobody writes meanwhile.
pub(crate) fn check(
    sessions: &ClientSessions,
    snapshot: &Snapshot,
    problems: &mut Vec<String>,
) -> Result<u64, DiskError> {
    // What is taken may have got rows that it does not know of yet.
    let mut expected = HashMap::new();
    for (lsid, known) in &*sessions.lock() {
        if let Place::Here(state) = &known.place
            && state.memory.rows == Rows::There
        {
            expected.insert(*lsid, (state.number(), false));
        }
    }
    let mut rows = 0;
    snapshot.for_each_row(TableId::ClientSessions, |key, value| {
        rows += 1;
        let read = client_session_of(key)
            .and_then(|(lsid, _)| Ok((lsid, ClientSessionRecordV1::from_row(key, value)?)));
        match read {
            Err(error) => problems.push(error.to_string()),
            Ok((lsid, record)) => {
                // Of a session that is ending there may be rows still.
                let Some((number, found)) = expected.get_mut(&lsid) else { return Ok(()) };
                *found = true;
                if record.number > *number {
                    problems.push(format!(
                        "the client session {lsid} has the number {number}, and {} is on disk",
                        record.number
                    ));
                }
            }
        }
        Ok::<_, DiskError>(())
    })?;
    let lost = expected.iter().filter(|(_, (_, found))| !found);
    problems.extend(lost.map(|(lsid, _)| format!("the client session {lsid} is not on disk")));
    Ok(rows)
}

fn last(record: &ClientSessionRecordV1) -> Option<Last> {
    let used = match record.remembered {
        RememberedV1::Opened => return None,
        RememberedV1::Committed { .. } => Use::Committed,
        RememberedV1::Inserted(_) | RememberedV1::Written { .. } | RememberedV1::Replied { .. } => {
            Use::Writes
        }
    };
    Some(Last { number: record.number, used })
}
