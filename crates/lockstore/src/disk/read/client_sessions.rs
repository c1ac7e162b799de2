//! Reading the rows of one client session.

use std::ops::Bound;

use super::{Direction, Snapshot};
use crate::client_sessions::Lsid;
use crate::disk::DiskError;
use crate::records::{ClientSessionRecordV1, Record};
use crate::rows::{RowKey, TableId};

impl Snapshot {
    /// Hands the records of a client session to `visit`, in the order of their chunks.
    pub(crate) fn client_session(
        &self,
        session: Lsid,
        mut visit: impl FnMut(ClientSessionRecordV1),
    ) -> Result<(), DiskError> {
        let (lower, upper) = all_of(session);
        let bounds =
            (lower.map(|row| row.as_bytes().to_vec()), upper.map(|row| row.as_bytes().to_vec()));
        let mut rows = self.rows(TableId::ClientSessions, bounds, Direction::Forward)?;
        while let Some((key, value)) = rows.next()? {
            visit(ClientSessionRecordV1::from_row(key.value(), value.value())?);
        }
        Ok(())
    }

    /// The chunks of at most `rows_max` rows of a client session, the first ones.
    pub(crate) fn client_session_chunks(
        &self,
        session: Lsid,
        rows_max: usize,
    ) -> Result<Vec<u32>, DiskError> {
        let (lower, upper) = all_of(session);
        let bounds = (lower.as_ref().map(RowKey::as_bytes), upper.as_ref().map(RowKey::as_bytes));
        let rows = self.keys(TableId::ClientSessions, bounds, rows_max)?;
        Ok(rows.iter().filter_map(|row| Some(RowKey::client_session_of(row)?.1)).collect())
    }
}

fn all_of(session: Lsid) -> (Bound<RowKey>, Bound<RowKey>) {
    let row = |chunk| Bound::Included(RowKey::client_session(session, chunk));
    (row(u32::MIN), row(u32::MAX))
}
