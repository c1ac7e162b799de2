//! Locks as they are shown, and records of breaks.

use std::time::Duration;

use docquery::{Result, Value, Writer};
use lockcore::SessionId;

use super::field;
use super::parts::{instant, mode, nanos, number, optional};
use crate::commands::Arguments;
use crate::info::{BreakRecord, HolderInfo, LockInfo};

pub(crate) fn write_lock(lock: &LockInfo, fields: &mut Writer) {
    fields.field(field::KEY, Value::String(&lock.key));
    fields.field(field::MODE, mode(lock.mode));
    fields.field(field::WAITERS, number(lock.waiters.into()));
    fields.open_array(field::HOLDERS);
    for holder in &lock.holders {
        fields.open_document_item();
        write_holder(holder, fields);
        fields.close();
    }
    fields.close();
}

fn write_holder(holder: &HolderInfo, fields: &mut Writer) {
    let millis = |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    fields.field(field::HOLDER, Value::String(&holder.holder));
    fields.field(field::TOKEN, number(holder.token.get()));
    fields.field(field::SESSION, optional(holder.session.map(SessionId::get)));
    fields.field(field::SINCE_MS, number(holder.since.as_millis()));
    fields.field(field::TTL_MS, optional(holder.ttl.map(millis)));
    fields.field(field::EXPIRES_AT_NS, instant(holder.expires_at));
    fields.field(field::REMAINING_NS, optional(holder.remaining.map(nanos)));
}

pub(crate) fn read_lock(mut fields: Arguments<'_>) -> Result<LockInfo> {
    let waiters = fields.need(field::WAITERS, Arguments::count)?;
    Ok(LockInfo {
        key: fields.need(field::KEY, Arguments::key)?,
        mode: fields.need(field::MODE, Arguments::mode)?,
        waiters: u32::try_from(waiters).unwrap_or(u32::MAX),
        holders: fields.documents(field::HOLDERS, read_holder)?,
    })
}

fn read_holder(mut fields: Arguments<'_>) -> Result<HolderInfo> {
    Ok(HolderInfo {
        holder: fields.need(field::HOLDER, Arguments::holder)?,
        token: fields.need(field::TOKEN, Arguments::token)?,
        session: fields.session(field::SESSION)?,
        since: fields.need(field::SINCE_MS, Arguments::wall_time)?,
        ttl: fields.count(field::TTL_MS)?.map(Duration::from_millis),
        expires_at: fields.instant(field::EXPIRES_AT_NS)?,
        remaining: fields.count(field::REMAINING_NS)?.map(Duration::from_nanos),
    })
}

pub(crate) fn write_break(record: &BreakRecord, fields: &mut Writer) {
    fields.field(field::NUMBER, number(record.number));
    fields.field(field::KEY, Value::String(&record.key));
    fields.field(field::HOLDER, Value::String(&record.holder));
    fields.field(field::TOKEN, number(record.token.get()));
    fields.field(field::REASON, Value::String(&record.reason));
    fields.field(field::AT_MS, number(record.at.as_millis()));
}

pub(crate) fn read_break(mut fields: Arguments<'_>) -> Result<BreakRecord> {
    Ok(BreakRecord {
        number: fields.need(field::NUMBER, Arguments::count)?,
        key: fields.need(field::KEY, Arguments::key)?,
        holder: fields.need(field::HOLDER, Arguments::holder)?,
        token: fields.need(field::TOKEN, Arguments::token)?,
        reason: fields.need(field::REASON, Arguments::text)?.to_owned(),
        at: fields.need(field::AT_MS, Arguments::wall_time)?,
    })
}
