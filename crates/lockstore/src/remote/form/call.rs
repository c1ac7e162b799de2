//! Calls about locks.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Result, Value, Writer};
use lockcore::{Acquire, Instant, Key, Mode, Release, Renew, SessionId, Wait, WaitUntilFree};
use std::time::Duration;

use super::parts::{bad, mode, number, optional};
use super::{document, field};
use crate::commands::Arguments;
use crate::document_locks::side_grant::check_user_key;
use crate::records::REASON_BYTES_MAX;
use crate::remote::LockCall;

/// The command of a call.
pub(crate) fn write(call: &LockCall) -> RawDocumentBuf {
    let mut fields = Writer::new();
    match call {
        LockCall::Acquire(Acquire { key, holder, mode: of, ttl, session, wait }) => {
            fields.field(ACQUIRE, Value::String(key));
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::MODE, mode(*of));
            fields.field(field::TTL_MS, optional(ttl.map(lockcore::Ttl::as_millis)));
            fields.field(field::SESSION, optional(session.map(SessionId::get)));
            write_wait(*wait, &mut fields);
        }
        LockCall::WaitUntilFree(WaitUntilFree { key, wait, session }) => {
            fields.field(WAIT, Value::String(key));
            write_wait(*wait, &mut fields);
            fields.field(field::SESSION, optional(session.map(SessionId::get)));
        }
        LockCall::Renew(Renew { key, holder, token, ttl }) => {
            fields.field(RENEW, Value::String(key));
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, optional(token.map(lockcore::Token::get)));
            fields.field(field::TTL_MS, optional(ttl.map(lockcore::Ttl::as_millis)));
        }
        LockCall::Release(Release { key, holder, token }) => {
            fields.field(RELEASE, Value::String(key));
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, optional(token.map(lockcore::Token::get)));
        }
        LockCall::HandOn { key, holder, token } => {
            fields.field(RELEASE, Value::String(key));
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, number(token.get()));
            fields.field(field::UNLESS_REJOINED, Value::Bool(true));
        }
        LockCall::Break { key, token, reason } => {
            fields.field(BREAK, Value::String(key));
            fields.field(field::TOKEN, number(token.get()));
            fields.field(field::REASON, Value::String(reason));
        }
        LockCall::OpenSession => fields.field(SESSION_OPEN, Value::Int32(1)),
        LockCall::CloseSession { session } => fields.field(SESSION_CLOSE, number(session.get())),
    }
    document(fields)
}

/// The call of a well-formed command that is sent at `now`, if it is one about a lock.
pub(crate) fn of(command: &RawDocument, now: Instant) -> Option<LockCall> {
    let name = command.iter().next()?.ok()?.0;
    parse(name.as_str(), Document::from(command), now)?.ok()
}

/// The call of a command that came at `now`; `None` when it is no call about a lock.
pub(crate) fn parse(name: &str, command: Document<'_>, now: Instant) -> Option<Result<LockCall>> {
    Some(match name {
        ACQUIRE => parse_acquire(command, now),
        WAIT => parse_wait_until_free(command, now),
        RENEW => parse_renew(command),
        RELEASE => parse_release(command),
        BREAK => parse_break(command),
        SESSION_OPEN => parse_open_session(command),
        SESSION_CLOSE => parse_close_session(command),
        _ => return None,
    })
}

fn parse_acquire(command: Document<'_>, now: Instant) -> Result<LockCall> {
    let mut arguments = Arguments::new(ACQUIRE, command)?;
    let call = LockCall::Acquire(Acquire {
        key: user_key(&mut arguments, ACQUIRE)?,
        holder: arguments.need(field::HOLDER, Arguments::holder)?,
        mode: arguments.mode(field::MODE)?.unwrap_or(Mode::Exclusive),
        ttl: arguments.ttl(field::TTL_MS)?,
        session: arguments.session(field::SESSION)?,
        wait: parse_wait(&mut arguments, now)?,
    });
    arguments.finish().map(|()| call)
}

fn parse_wait_until_free(command: Document<'_>, now: Instant) -> Result<LockCall> {
    let mut arguments = Arguments::new(WAIT, command)?;
    let call = LockCall::WaitUntilFree(WaitUntilFree {
        key: user_key(&mut arguments, WAIT)?,
        wait: parse_wait(&mut arguments, now)?,
        session: arguments.session(field::SESSION)?,
    });
    arguments.finish().map(|()| call)
}

fn parse_renew(command: Document<'_>) -> Result<LockCall> {
    let mut arguments = Arguments::new(RENEW, command)?;
    let call = LockCall::Renew(Renew {
        // The grant behind a document's lock, too: its holder knows its key, and renews it so.
        key: arguments.need(RENEW, Arguments::key)?,
        holder: arguments.need(field::HOLDER, Arguments::holder)?,
        token: arguments.token(field::TOKEN)?,
        ttl: arguments.ttl(field::TTL_MS)?,
    });
    arguments.finish().map(|()| call)
}

fn parse_release(command: Document<'_>) -> Result<LockCall> {
    let mut arguments = Arguments::new(RELEASE, command)?;
    let key = user_key(&mut arguments, RELEASE)?;
    let holder = arguments.need(field::HOLDER, Arguments::holder)?;
    let call = if arguments.boolean(field::UNLESS_REJOINED)?.unwrap_or(false) {
        LockCall::HandOn { key, holder, token: arguments.need(field::TOKEN, Arguments::token)? }
    } else {
        LockCall::Release(Release { key, holder, token: arguments.token(field::TOKEN)? })
    };
    arguments.finish().map(|()| call)
}

fn parse_break(command: Document<'_>) -> Result<LockCall> {
    let mut arguments = Arguments::new(BREAK, command)?;
    let key = user_key(&mut arguments, BREAK)?;
    let token = arguments.need(field::TOKEN, Arguments::token)?;
    let reason = arguments.need(field::REASON, Arguments::text)?;
    if reason.len() > REASON_BYTES_MAX {
        let expected = format!("at most {REASON_BYTES_MAX} bytes, not {}", reason.len());
        return Err(bad(field::REASON, &expected));
    }
    arguments.finish().map(|()| LockCall::Break { key, token, reason: reason.into() })
}

fn parse_open_session(command: Document<'_>) -> Result<LockCall> {
    let mut arguments = Arguments::new(SESSION_OPEN, command)?;
    arguments.value(SESSION_OPEN);
    arguments.finish().map(|()| LockCall::OpenSession)
}

fn parse_close_session(command: Document<'_>) -> Result<LockCall> {
    let mut arguments = Arguments::new(SESSION_CLOSE, command)?;
    let session = arguments.need(SESSION_CLOSE, Arguments::session)?;
    arguments.finish().map(|()| LockCall::CloseSession { session })
}

/// A key that may be a user's.
pub(crate) fn user_key(arguments: &mut Arguments<'_>, name: &str) -> Result<Key> {
    let key = arguments.need(name, Arguments::key)?;
    check_user_key(&key).map_err(|error| bad(name, &error))?;
    Ok(key)
}

fn write_wait(wait: Wait, fields: &mut Writer) {
    match wait {
        Wait::No => fields.field(field::WAIT, Value::String(NO)),
        Wait::Forever => fields.field(field::WAIT, Value::String(FOREVER)),
        Wait::Until(deadline) => {
            fields.open_document(field::WAIT);
            fields.field(field::UNTIL_NS, number(deadline.as_nanos()));
            fields.close();
        }
    }
}

fn parse_wait(arguments: &mut Arguments<'_>, now: Instant) -> Result<Wait> {
    let expected = "'no', 'forever', { untilNS: <long> } or { forMS: <long> }";
    match arguments.present(field::WAIT) {
        None | Some(Value::String(NO)) => Ok(Wait::No),
        Some(Value::String(FOREVER)) => Ok(Wait::Forever),
        Some(Value::String(_)) => Err(bad(field::WAIT, &expected)),
        Some(Value::Document(wait)) => {
            let mut wait = Arguments::new(field::WAIT, wait)?;
            let (until, length) = (wait.instant(field::UNTIL_NS)?, wait.count(field::FOR_MS)?);
            wait.finish()?;
            match (until, length) {
                (Some(until), None) => Ok(Wait::Until(until)),
                (None, Some(millis)) => {
                    Ok(Wait::Until(now.saturating_add(Duration::from_millis(millis))))
                }
                _ => Err(bad(field::WAIT, &expected)),
            }
        }
        Some(other) => Err(Error::type_mismatch(format!(
            "BSON field 'wait' is the wrong type '{}', expected {expected}",
            other.type_name()
        ))),
    }
}

pub(crate) const ACQUIRE: &str = "lockAcquire";
const WAIT: &str = "lockWait";
pub(crate) const RENEW: &str = "lockRenew";
pub(crate) const RELEASE: &str = "lockRelease";
const BREAK: &str = "lockBreak";
const SESSION_OPEN: &str = "lockSessionOpen";
const SESSION_CLOSE: &str = "lockSessionClose";
const NO: &str = "no";
const FOREVER: &str = "forever";
