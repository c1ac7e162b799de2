//! For who implements [`Remote`](super::Remote) without a store of ours at the other end: what commands say in our own fields, and the
//! replies that a store gives to them.

pub mod document_locks;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, ErrorCode, Value};
use lockcore::{Acquire, Instant, Key, Mode, Outcome, Refusal, Release, Renew, Wait};

use super::form;
use super::form::answer::About;
use super::{LockAnswer, LockCall};
use crate::commands;
use crate::error::{AcquireError, ArgumentError, DocumentError, HeldBy, LockLost};
use crate::fence::Fence;

/// The grants that a command relies on: its `lockFences`.
///
/// # Errors
///
/// They are not as they should be.
pub fn fences(command: &RawDocument) -> Result<Vec<Fence>, Error> {
    commands::fences::parse(Document::from(command))
}

/// The call about a lock that a command wants of the commit of its transaction: `lockAcquire`, `lockRenew` or `lockRelease`, sent at `now`
/// with nothing in it but its own fields. `None` if it is another command.
///
/// # Errors
///
/// It is not as it should be, or none that a commit can make.
pub fn call_in_transaction(command: &RawDocument, now: Instant) -> Option<Result<LockCall, Error>> {
    let name = command.iter().next()?.ok()?.0;
    let call = form::call::parse(name.as_str(), Document::from(command), now)?;
    Some(call.and_then(|call| match call {
        LockCall::Acquire(Acquire { wait: Wait::No, .. })
        | LockCall::Renew(_)
        | LockCall::Release(_) => Ok(call),
        _ => {
            let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
            Err(Error::new(code, "a commit makes no such call, and waits for no lock"))
        }
    }))
}

/// The reply to a call in a transaction that its commit will make.
pub fn noted() -> RawDocumentBuf {
    form::success(|fields| fields.field("inCommit", Value::Bool(true)))
}

/// The reply to a call that is refused at `now`.
pub fn refused(call: &LockCall, refusal: Refusal, now: Instant) -> RawDocumentBuf {
    About::of(call).reply(&LockAnswer::Refused(refusal), now)
}

/// The reply of a commit that has done this to locks, in the order in which it was asked for.
pub fn committed(outcomes: &[Outcome]) -> RawDocumentBuf {
    let locks = form::answer::committed(outcomes);
    form::success(|fields| {
        if let Some(locks) = &locks {
            fields.fields(Document::from(&**locks));
        }
    })
}

/// Why a commit cannot make a call that is refused at `now`.
pub fn commit_refused(call: &LockCall, refusal: Refusal, now: Instant) -> DocumentError {
    match (call, refusal) {
        (LockCall::Acquire(_), Refusal::LimitReached { limit, max }) => {
            AcquireError::LimitReached { limit, max }.into()
        }
        (LockCall::Acquire(_), Refusal::UnknownSession) => AcquireError::SessionEnded.into(),
        // It is held beside others, and somebody waits before this one: that lasts.
        (LockCall::Acquire(acquire), Refusal::Held(by))
            if (by.mode, acquire.mode) == (Mode::Shared, Mode::Shared) =>
        {
            let by = HeldBy::new(by, now);
            AcquireError::Held { key: acquire.key.clone(), by }.into()
        }
        (LockCall::Acquire(acquire), _) => {
            DocumentError::write_conflict(format!("the lock {:?} was taken", acquire.key))
        }
        (
            LockCall::Renew(Renew { key, holder, token: Some(token), .. })
            | LockCall::Release(Release { key, holder, token: Some(token) }),
            refusal,
        ) => {
            let now_held_by = match refusal {
                Refusal::HeldByOther(by) => Some(HeldBy::new(by, now)),
                _ => None,
            };
            let (key, holder, token) = (key.clone(), holder.clone(), *token);
            Box::new(LockLost { key, holder, token, now_held_by }).into()
        }
        (call, _) => {
            DocumentError::write_conflict(format!("the grant of {:?} is over", call.key()))
        }
    }
}

/// A grant that a write relies on is over.
pub fn lock_lost(fence: &Fence, now_held_by: Option<HeldBy>) -> DocumentError {
    let Fence { key, holder, token } = fence.clone();
    Box::new(LockLost { key, holder, token, now_held_by }).into()
}

/// The reply of a command that has failed, outside of transactions.
pub fn failed(error: &DocumentError) -> RawDocumentBuf {
    commands::failed(error)
}

/// The reply of a command that has failed in a transaction, with MongoDB's label if the whole of it may well be run again.
pub fn failed_in_transaction(error: &DocumentError) -> RawDocumentBuf {
    commands::failed_in_transaction(error)
}

/// A transaction changes a lock once.
pub fn changed_already(key: &Key) -> DocumentError {
    AcquireError::from(ArgumentError::ChangedInTransaction { key: key.clone() }).into()
}
