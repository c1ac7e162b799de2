//! Breaking a lock by force, and the record of it.

use lockcore::{Holder, Key, Refusal, Token};

use crate::backend::Backend;
use crate::clock::WallTime;
use crate::disk::DiskError;
use crate::document_locks::side_grant::user_key;
use crate::engine::Engine;
use crate::error::{ArgumentError, BreakError, StoreError, unexpected};
use crate::info::BreakRecord;
use crate::records::{
    BreakRecordV1, CodecError, REASON_BYTES_MAX, Record, RecordError, audit_number_of,
};
use crate::remote::{LockAnswer, LockCall};
use crate::rows::{RowKey, TableId};
use crate::store::Store;

impl Store {
    /// Ends the grant of `token` on `key` by force, whoever holds it, and records that, with `reason`, in the
    /// same commit. The next waiter gets the lock. The token comes from [`Store::inspect`]: a successor of the
    /// grant that was looked at is never broken by mistake.
    ///
    /// # Errors
    ///
    /// [`BreakError`]: nobody holds it, or another grant does. The lock is as it was.
    pub fn break_lock(
        &self,
        key: &str,
        token: Token,
        reason: &str,
    ) -> Result<BreakRecord, BreakError> {
        let key = user_key(key)?;
        if reason.len() > REASON_BYTES_MAX {
            let (bytes, bytes_max) = (reason.len(), REASON_BYTES_MAX);
            return Err(ArgumentError::ReasonTooLong { bytes, bytes_max }.into());
        }
        let call = LockCall::Break { key: key.clone(), token, reason: reason.into() };
        match self.backend().call(call) {
            LockAnswer::Broken(record) => Ok(*record),
            LockAnswer::Refused(Refusal::NotHeld) => Err(BreakError::NotHeld { key }),
            LockAnswer::Refused(Refusal::HeldByOther(by)) => {
                Err(BreakError::OtherToken { key, token, by: self.held_by(by) })
            }
            LockAnswer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    /// The records of breaks, the newest first: at most `limit`, before the record numbered `before`, or from
    /// the newest on.
    ///
    /// # Errors
    ///
    /// When the store cannot serve, or a record is damaged.
    pub fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<BreakRecord>, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.audit(before, limit),
            Backend::There(remote) => remote.audit(before, limit),
        }
    }
}

impl Engine {
    pub(crate) fn audit(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<BreakRecord>, StoreError> {
        let before = before.map(RowKey::audit);
        self.with_disk(|disk| {
            let rows = disk.snapshot()?.last_rows(TableId::Audit, before.as_ref(), limit)?;
            let records = rows.iter().map(|(key, value)| break_record(key, value));
            Ok(records.collect::<Result<_, _>>()?)
        })
    }
}

fn break_record(key: &[u8], value: &[u8]) -> Result<BreakRecord, DiskError> {
    let number = audit_number_of(key)?;
    let record = BreakRecordV1::from_row(key, value)?;
    let malformed = || {
        let reason = CodecError::Malformed {
            what: "break",
            reason: "its key, holder or token is out of bounds".to_owned(),
        };
        RecordError::new(TableId::Audit.name(), key, reason)
    };
    Ok(BreakRecord {
        number,
        key: Key::new(&record.key).map_err(|_| malformed())?,
        holder: Holder::new(&record.holder).map_err(|_| malformed())?,
        token: Token::new(record.token).ok_or_else(malformed)?,
        reason: record.reason,
        at: WallTime::from_millis(record.at_wall_ms),
    })
}
