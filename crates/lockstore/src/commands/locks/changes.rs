//! Calls about locks in a transaction: its commit makes them.

use docquery::{Error, ErrorCode, Value};
use lockcore::Wait;

use crate::commands::concern::Takes;
use crate::commands::reply::Reply;
use crate::commands::{Call, Known, fences, known};
use crate::document_locks::side_grant::check_user_key;
use crate::error::DocumentError;
use crate::remote::form::answer::About;
use crate::remote::form::call::{self, ACQUIRE, RELEASE, RENEW};
use crate::remote::form::parts::bad;
use crate::remote::{LockAnswer, LockCall};
use crate::transaction::LockChange;

/// The commands. Outside of transactions they are [calls](super::calls).
pub(in crate::commands) const COMMANDS: [Known; 3] = [
    known(ACQUIRE, Takes::WriteConcern, note),
    known(RENEW, Takes::WriteConcern, note),
    known(RELEASE, Takes::WriteConcern, note),
];

/// Has the commit make a call, unless it is known by now that it cannot.
fn note(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let transaction = call.transaction.expect("outside of a transaction it is another command");
    let now = call.engine.clock.now();
    let asked = call::parse(call.name, call.command, now).expect("it is a call about a lock")?;
    let about = About::of(&asked);
    let change = change(asked)?;
    check_user_key(change.key()).map_err(|error| bad(call.name, &error))?;
    transaction.require(call.engine, &fences::parse(call.command)?)?;
    Ok(match transaction.change_lock(call.engine, change)? {
        Ok(()) => Reply::new().with("inCommit", Value::Bool(true)),
        Err(refusal) => Reply::failed(&about.reply(&LockAnswer::Refused(refusal), now)),
    })
}

fn change(call: LockCall) -> Result<LockChange, Error> {
    let unsupported = |message| Err(Error::new(UNSUPPORTED, message));
    match call {
        LockCall::Acquire(acquire) if acquire.wait == Wait::No => Ok(LockChange::Acquire(acquire)),
        LockCall::Acquire(_) => unsupported("a commit waits for no lock: 'wait' must be 'no'"),
        LockCall::Renew(renew) => Ok(LockChange::Renew(renew)),
        LockCall::Release(release) => Ok(LockChange::Release(release)),
        LockCall::HandOn { .. }
        | LockCall::WaitUntilFree(_)
        | LockCall::Break { .. }
        | LockCall::OpenSession
        | LockCall::CloseSession { .. } => unsupported("a commit hands no lock on"),
    }
}

const UNSUPPORTED: ErrorCode = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
