//! What calls about locks come to.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};
use lockcore::{
    Acquire, Holder, Instant, Key, LeaveCause, Limit, Outcome, Refusal, Release, Renew, SessionId,
    Token,
};

use super::code::Code;
use super::parts::{bad, count, mode, number, write_granted, write_held_by};
use super::{Came, came, document, failure, field, info, nonsense, store_error, success};
use crate::commands::Arguments;
use crate::error::{AcquireError, HeldBy, ReleaseError, StoreError, unexpected};
use crate::remote::{LockAnswer, LockCall};

/// What a reply says people about a refusal: whose call it was about what.
#[derive(Clone, Debug)]
pub(crate) struct About {
    key: Option<Key>,
    holder: Option<Holder>,
}

impl About {
    pub(crate) fn of(call: &LockCall) -> Self {
        let holder = match call {
            LockCall::Acquire(Acquire { holder, .. })
            | LockCall::Renew(Renew { holder, .. })
            | LockCall::Release(Release { holder, .. })
            | LockCall::HandOn { holder, .. } => Some(holder),
            LockCall::WaitUntilFree(_)
            | LockCall::Break { .. }
            | LockCall::OpenSession
            | LockCall::CloseSession { .. } => None,
        };
        Self { key: call.key().cloned(), holder: holder.cloned() }
    }

    /// The reply to the call, given at `now`.
    pub(crate) fn reply(&self, answer: &LockAnswer, now: Instant) -> RawDocumentBuf {
        match answer {
            LockAnswer::Done(outcome) => reply_done(outcome),
            LockAnswer::HandedOff(granted) => success(|fields| {
                write_granted(granted, fields);
                fields.field(field::WAITED, Value::Bool(true));
            }),
            LockAnswer::Broken(record) => success(|fields| {
                fields.open_document(field::RECORD);
                info::write_break(record, fields);
                fields.close();
            }),
            LockAnswer::Refused(refusal) => self.refuse(refusal, now),
            LockAnswer::Left(LeaveCause::Free) => success(|fields| {
                fields.field(field::FREE, Value::Bool(true));
                fields.field(field::WAITED, Value::Bool(true));
            }),
            LockAnswer::Left(cause) => {
                let code = match cause {
                    LeaveCause::TimedOut => Code::LockTimedOut,
                    LeaveCause::SessionEnded => Code::LockSessionEnded,
                    LeaveCause::Cancelled | LeaveCause::Free => Code::LockWaitCancelled,
                };
                let sentence = match cause {
                    LeaveCause::TimedOut => format!("{} did not become free in time", self.key()),
                    LeaveCause::SessionEnded => AcquireError::SessionEnded.to_string(),
                    LeaveCause::Cancelled | LeaveCause::Free => "the wait was given up".to_owned(),
                };
                failure(&sentence, code, |_| {})
            }
            LockAnswer::Failed(error) => store_error::reply(error),
        }
    }

    fn refuse(&self, refusal: &Refusal, now: Instant) -> RawDocumentBuf {
        let by = |by: &lockcore::HeldBy| HeldBy::new(by.clone(), now);
        let sentence = match refusal {
            Refusal::Held(held) => format!("{} is held: {}", self.key(), by(held)),
            Refusal::HeldByOther(held) => match (&self.key, &self.holder) {
                (Some(key), Some(holder)) => {
                    let (key, holder, by) = (key.clone(), holder.clone(), by(held));
                    ReleaseError::HeldByOther { key, holder, by }.to_string()
                }
                _ => format!("{} is held: {}", self.key(), by(held)),
            },
            Refusal::OtherMode { held, .. } => {
                format!("{} holds {} already, in {held} mode", self.holder(), self.key())
            }
            Refusal::OtherSession { .. } => {
                let (holder, key) = (self.holder(), self.key());
                format!("{holder} holds {key} already, bound to another session")
            }
            Refusal::NotHeld => format!("no lock for key {}", self.key()),
            Refusal::OtherToken { token } => {
                format!("{} holds {} by the later grant {token}", self.holder(), self.key())
            }
            Refusal::UnknownSession => AcquireError::SessionEnded.to_string(),
            Refusal::LimitReached { limit, max } => {
                AcquireError::LimitReached { limit: *limit, max: *max }.to_string()
            }
            Refusal::UnknownWaiter | Refusal::NotDue => {
                return store_error::reply(&unexpected(refusal));
            }
        };
        failure(&sentence, code_of(refusal), |fields| write_refusal(refusal, fields))
    }

    fn key(&self) -> String {
        self.key.as_ref().map_or_else(String::new, |key| format!("{key:?}"))
    }

    fn holder(&self) -> String {
        self.holder.as_ref().map_or_else(String::new, |holder| format!("{holder:?}"))
    }
}

/// What the reply of a commit tells of the locks that it has changed: the replies that each would have had. Nothing where there are none.
pub(crate) fn committed(outcomes: &[Outcome]) -> Option<RawDocumentBuf> {
    if outcomes.is_empty() {
        return None;
    }
    let mut fields = Writer::new();
    fields.open_array(field::LOCKS);
    for outcome in outcomes {
        fields.item(Value::from(&*reply_done(outcome)));
    }
    fields.close();
    Some(document(fields))
}

/// The token that a reply has, if it tells of a grant.
pub(crate) fn token(reply: &RawDocument) -> Option<Token> {
    match Document::from(reply).get(field::TOKEN) {
        Value::Int64(token) => u64::try_from(token).ok().and_then(Token::new),
        _ => None,
    }
}

fn reply_done(outcome: &Outcome) -> RawDocumentBuf {
    match outcome {
        Outcome::Granted(granted) => success(|fields| {
            write_granted(granted, fields);
            fields.field(field::WAITED, Value::Bool(false));
        }),
        Outcome::Renewed(granted) => success(|fields| write_granted(granted, fields)),
        Outcome::Free => success(|fields| {
            fields.field(field::FREE, Value::Bool(true));
            fields.field(field::WAITED, Value::Bool(false));
        }),
        Outcome::SessionOpened(session) => {
            success(|fields| fields.field(field::SESSION, number(session.get())))
        }
        Outcome::Ended | Outcome::SessionClosed => success(|_| {}),
        Outcome::Waiting(_)
        | Outcome::Cancelled
        | Outcome::SessionClosing
        | Outcome::SessionLost
        | Outcome::SessionTakenUp => store_error::reply(&unexpected(outcome)),
    }
}

fn code_of(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Held(_) => Code::LockHeld,
        Refusal::OtherMode { .. } => Code::LockHeldInOtherMode,
        Refusal::OtherSession { .. } => Code::LockHeldInOtherSession,
        Refusal::NotHeld => Code::LockNotHeld,
        Refusal::HeldByOther(_) => Code::LockHeldByOther,
        Refusal::OtherToken { .. } => Code::LockHeldByOtherToken,
        Refusal::UnknownSession => Code::LockSessionUnknown,
        Refusal::LimitReached { .. } => Code::LockLimitReached,
        Refusal::UnknownWaiter | Refusal::NotDue => Code::StoreInternal,
    }
}

fn write_refusal(refusal: &Refusal, fields: &mut Writer) {
    match refusal {
        Refusal::Held(by) | Refusal::HeldByOther(by) => write_held_by(by, fields),
        Refusal::OtherMode { held, token } => {
            fields.field(field::MODE, mode(*held));
            fields.field(field::TOKEN, number(token.get()));
        }
        Refusal::OtherSession { token } | Refusal::OtherToken { token } => {
            fields.field(field::TOKEN, number(token.get()));
        }
        Refusal::LimitReached { limit, max } => {
            fields.field(field::LIMIT, Value::String(name_of(*limit)));
            fields.field(field::MAX, count(*max));
        }
        Refusal::NotHeld | Refusal::UnknownSession | Refusal::UnknownWaiter | Refusal::NotDue => {}
    }
}

/// What the reply to `call` says.
pub(crate) fn read(call: &LockCall, reply: &RawDocument) -> LockAnswer {
    let read = match came(reply) {
        Ok(Came::Success(fields)) => read_success(call, fields).map_err(nonsense),
        Ok(Came::Failure(code, fields)) => read_failure(code, fields),
        Err(error) => Err(error),
    };
    read.unwrap_or_else(LockAnswer::Failed)
}

fn read_success(call: &LockCall, mut fields: Arguments<'_>) -> Result<LockAnswer, Error> {
    Ok(match call {
        LockCall::Acquire(_) => {
            let granted = fields.granted()?;
            if fields.need(field::WAITED, Arguments::boolean)? {
                LockAnswer::HandedOff(granted)
            } else {
                LockAnswer::Done(Outcome::Granted(granted))
            }
        }
        LockCall::WaitUntilFree(_) => {
            if fields.need(field::WAITED, Arguments::boolean)? {
                LockAnswer::Left(LeaveCause::Free)
            } else {
                LockAnswer::Done(Outcome::Free)
            }
        }
        LockCall::Renew(_) => LockAnswer::Done(Outcome::Renewed(fields.granted()?)),
        LockCall::Release(_) | LockCall::HandOn { .. } => LockAnswer::Done(Outcome::Ended),
        LockCall::Break { .. } => {
            let record = fields.need(field::RECORD, Arguments::document)?;
            let record = info::read_break(Arguments::new(field::RECORD, record)?)?;
            LockAnswer::Broken(Box::new(record))
        }
        LockCall::OpenSession => {
            let session: SessionId = fields.need(field::SESSION, Arguments::session)?;
            LockAnswer::Done(Outcome::SessionOpened(session))
        }
        LockCall::CloseSession { .. } => LockAnswer::Done(Outcome::SessionClosed),
    })
}

fn read_failure(code: Code, mut fields: Arguments<'_>) -> Result<LockAnswer, StoreError> {
    let refused = |refusal| Ok(LockAnswer::Refused(refusal));
    match code {
        Code::LockTimedOut => Ok(LockAnswer::Left(LeaveCause::TimedOut)),
        Code::LockSessionEnded => Ok(LockAnswer::Left(LeaveCause::SessionEnded)),
        Code::LockWaitCancelled => Ok(LockAnswer::Left(LeaveCause::Cancelled)),
        Code::LockHeld => refused(Refusal::Held(fields.held_by().map_err(nonsense)?)),
        Code::LockHeldByOther => refused(Refusal::HeldByOther(fields.held_by().map_err(nonsense)?)),
        Code::LockNotHeld => refused(Refusal::NotHeld),
        Code::LockSessionUnknown => refused(Refusal::UnknownSession),
        Code::LockHeldInOtherMode
        | Code::LockHeldInOtherSession
        | Code::LockHeldByOtherToken
        | Code::LockLimitReached => {
            refused(read_refusal_with_fields(code, &mut fields).map_err(nonsense)?)
        }
        _ => Ok(LockAnswer::Failed(store_error::read(code, fields))),
    }
}

fn read_refusal_with_fields(code: Code, fields: &mut Arguments<'_>) -> Result<Refusal, Error> {
    if code == Code::LockLimitReached {
        let limit = fields.need(field::LIMIT, Arguments::text)?;
        let limit = LIMITS.iter().find(|it| name_of(**it) == limit);
        let limit = *limit.ok_or_else(|| bad(field::LIMIT, &"a bound that there is"))?;
        return Ok(Refusal::LimitReached { limit, max: fields.need(field::MAX, Arguments::size)? });
    }
    let token = fields.need(field::TOKEN, Arguments::token)?;
    Ok(match code {
        Code::LockHeldInOtherMode => {
            Refusal::OtherMode { held: fields.need(field::MODE, Arguments::mode)?, token }
        }
        Code::LockHeldInOtherSession => Refusal::OtherSession { token },
        _ => Refusal::OtherToken { token },
    })
}

pub(crate) fn name_of(limit: Limit) -> &'static str {
    match limit {
        Limit::Locks => "locks",
        Limit::WaitersPerLock => "waitersPerLock",
        Limit::Waiters => "waiters",
        Limit::Sessions => "sessions",
        Limit::LocksPerSession => "locksPerSession",
    }
}

pub(crate) const LIMITS: [Limit; 5] =
    [Limit::Locks, Limit::WaitersPerLock, Limit::Waiters, Limit::Sessions, Limit::LocksPerSession];
