//! Transactions by `lsid` and `txnNumber`: they live in their client session, on no connection, from the command that starts them
//! to `commitTransaction` or `abortTransaction`.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocument;
use docquery::{Document, Error, ErrorCode, Value};

use super::arguments::Arguments;
use super::cursors::Owner;
use super::reply::Reply;
use super::session_fields::TransactionPart;
use super::session_rules::check_in_transaction;
use super::{Call, Known, Run, fences};
use crate::client_sessions::{Last, Memo, RetryableWrite, Taken, Use};
use crate::error::DocumentError;
use crate::records::RememberedV1;
use crate::remote::form;
use crate::transaction::{TransactionOptions, TransactionState};

/// What a command does with its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Runs,
    Commits,
    Aborts,
}

/// `commitTransaction` and `abortTransaction` outside of any.
pub(super) fn alone(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let message = format!("{} must be run within a transaction", call.name);
    Err(Error::new(ErrorCode::COMMAND_FAILED, message).into())
}

impl Call<'_> {
    /// Runs the command in the transaction of a client session that it is a part of.
    pub(super) fn in_transaction_of(
        &self,
        part: TransactionPart,
        known: &Known,
    ) -> Result<Reply, DocumentError> {
        let TransactionPart { lsid, number, starts, resent } = part;
        let what = match self.name {
            "commitTransaction" => What::Commits,
            "abortTransaction" => What::Aborts,
            name => {
                check_in_transaction(name)?;
                What::Runs
            }
        };
        let options = options(self.command)?;
        self.check_fields(what, starts, options.goes_on)?;
        let mut session = self.engine.client_sessions.take(self.engine, lsid, self.deadline()?)?;
        let is_known = session.last().is_some_and(|last| last.number == number);
        if what == What::Commits && resent && !is_known && !session.has_rows() {
            return Err(session.outcome_unknown().into());
        }
        // Our own clients say so until a command has succeeded.
        if starts && !(options.goes_on && is_known) {
            start(&mut session, number, options.options)?;
        }
        let last = current(&session, number)?;
        match (what, &last.used) {
            (What::Commits, Use::Open(transaction)) => {
                let transaction = Arc::clone(transaction);
                self.commit(session, number, &transaction)
            }
            (What::Commits, Use::Committed) => repeat_commit(&session, number),
            (What::Aborts, Use::Open(transaction)) => {
                let open = transaction.check_open(self.engine).map_err(|error| over(error, number));
                transaction.abort(self.engine);
                self.engine.cursors.kill_of(lsid, Some(number));
                session.go_on(number, Use::Aborted);
                open.map(|()| Reply::new())
            }
            (What::Runs, Use::Open(transaction)) => {
                let transaction = Arc::clone(transaction);
                let owner = Owner { lsid: Some(lsid), transaction: Some(number) };
                let call = Call { transaction: Some(&transaction), owner, ..*self };
                let reply = match known.run {
                    Run::Usual(run) => run(&call).map_err(|error| over(error, number)),
                    Run::Special(_) => {
                        unreachable!("commands that wait are refused in transactions")
                    }
                };
                let has_failed = reply.as_ref().map_or(true, Reply::tells_of_failure);
                if has_failed
                    && !(transaction.goes_on() && transaction.check_open(self.engine).is_ok())
                {
                    transaction.abort(self.engine);
                    self.engine.cursors.kill_of(lsid, Some(number));
                    session.go_on(number, Use::Aborted);
                }
                reply
            }
            (_, Use::Committed) => {
                let message =
                    format!("Transaction with {{ txnNumber: {number} }} has been committed.");
                Err(Error::new(ErrorCode::TRANSACTION_COMMITTED, message).into())
            }
            (_, Use::Aborted) => Err(aborted(number)),
            (_, Use::Writes) => Err(no_such(number, number)),
        }
    }

    /// Checks what a command may say in a transaction.
    fn check_fields(&self, what: What, starts: bool, goes_on: bool) -> Result<(), Error> {
        let invalid = |message: &str| Err(Error::new(ErrorCode::INVALID_OPTIONS, message));
        if what == What::Runs {
            if !self.command.get("writeConcern").is_missing() {
                return invalid("writeConcern is not allowed within a multi-statement transaction");
            }
            if !starts && !self.command.get("readConcern").is_missing() {
                return invalid(
                    "Only the first command in a transaction may specify a readConcern",
                );
            }
            return Ok(());
        }
        if self.database != "admin" {
            let message = format!("{} may only be run against the admin database.", self.name);
            return Err(Error::new(ErrorCode::UNAUTHORIZED, message));
        }
        // Of our own clients, one that only relies on locks starts with its commit.
        if starts && !(what == What::Commits && goes_on) {
            let does = if what == What::Commits { "a commit" } else { "an abort" };
            let message = format!("Cannot start a transaction with {does}");
            return Err(Error::new(ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION, message));
        }
        Ok(())
    }

    fn commit(
        &self,
        session: Taken<'_>,
        number: i64,
        transaction: &Arc<TransactionState>,
    ) -> Result<Reply, DocumentError> {
        let lsid = session.lsid();
        let fences = fences::parse(self.command)?;
        let write = RetryableWrite::first(session, number);
        let committed = transaction
            .require(self.engine, &fences)
            .and_then(|()| transaction.commit(self.engine, |task| write.call(task, Memo::Commit)));
        transaction.abort(self.engine);
        self.engine.cursors.kill_of(lsid, Some(number));
        let used = if committed.is_ok() { Use::Committed } else { Use::Aborted };
        write.into_session().go_on(number, used);
        let changed = committed.map_err(|error| over(error, number))?;
        let outcomes: Vec<_> = changed.outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        Ok(replied(form::answer::committed(&outcomes).as_deref()))
    }
}

/// Begins the transaction `number` of a session.
fn start(
    session: &mut Taken<'_>,
    number: i64,
    options: TransactionOptions,
) -> Result<(), DocumentError> {
    match session.last() {
        Some(last) if last.number > number => return Err(too_old(session, number, last).into()),
        Some(last) if last.number == number => {
            let message = "Only servers in a sharded cluster can start a new transaction at the active transaction number";
            let code = ErrorCode::CONFLICTING_OPERATION_IN_PROGRESS;
            return Err(Error::new(code, message).into());
        }
        Some(_) | None => {}
    }
    let transaction = TransactionState::begin(session.engine(), options)?;
    session.go_on(number, Use::Open(transaction));
    Ok(())
}

/// What `number`, which must be the session's last one, is used for.
fn current(session: &Taken<'_>, number: i64) -> Result<Last, DocumentError> {
    match session.last() {
        Some(last) if last.number > number => Err(too_old(session, number, last).into()),
        Some(last) if last.number == number => Ok(last.clone()),
        Some(last) => Err(no_such(number, last.number)),
        None => Err(no_such(number, -1)),
    }
}

/// The reply of a commit that was done before.
fn repeat_commit(session: &Taken<'_>, number: i64) -> Result<Reply, DocumentError> {
    if session.has_rows() {
        for remembered in session.remembered(number)? {
            if let RememberedV1::Committed { reply } = remembered {
                return Ok(replied(super::statements::remembered(&reply)?));
            }
        }
    }
    Ok(Reply::new())
}

/// The reply of a commit that has changed these locks.
fn replied(locks: Option<&RawDocument>) -> Reply {
    locks.map_or_else(Reply::new, |locks| Reply::new().with_all_of(locks))
}

/// What a transaction by commands is told for its end: the words of MongoDB.
fn over(error: DocumentError, number: i64) -> DocumentError {
    match error {
        DocumentError::TransactionOver(_) => aborted(number),
        error => error,
    }
}

fn aborted(number: i64) -> DocumentError {
    let message = format!("Transaction with {{ txnNumber: {number} }} has been aborted.");
    Error::new(ErrorCode::NO_SUCH_TRANSACTION, message).into()
}

fn no_such(number: i64, active: i64) -> DocumentError {
    let message = format!(
        "Given transaction number {number} does not match any in-progress transactions. The active transaction number is {active}"
    );
    Error::new(ErrorCode::NO_SUCH_TRANSACTION, message).into()
}

/// The session has gone on.
fn too_old(session: &Taken<'_>, number: i64, last: &Last) -> Error {
    let (used, counter) = match last.used {
        Use::Writes => ("retryable write", -1),
        Use::Open(_) | Use::Committed | Use::Aborted => ("transaction", 0),
    };
    let message = format!(
        "Cannot start transaction with {{ txnNumber: {number} }} on session {} because a newer {used} with \
         txnNumberAndRetryCounter {{ txnNumber: {}, txnRetryCounter: {counter} }} has already started on this session.",
        session.lsid(),
        last.number
    );
    Error::new(ErrorCode::TRANSACTION_TOO_OLD, message)
}

/// The bounds of a transaction, by `lockTransaction`, a field of ours.
struct Options {
    options: TransactionOptions,
    goes_on: bool,
}

fn options(command: Document<'_>) -> Result<Options, Error> {
    let options = TransactionOptions::of_commands();
    let given = match command.get("lockTransaction") {
        Value::Missing => return Ok(Options { options, goes_on: false }),
        Value::Document(given) => given,
        other => {
            return Err(Error::type_mismatch(format!(
                "BSON field 'lockTransaction' is the wrong type '{}', expected type 'object'",
                other.type_name()
            )));
        }
    };
    let mut arguments = Arguments::new("lockTransaction", given)?;
    let mut options = options;
    if let Some(lifetime) = arguments.count("lifetimeMS")? {
        options = options.lifetime(Duration::from_millis(lifetime));
    }
    if let Some(documents) = arguments.count("documentsMax")? {
        options = options.documents_max(usize::try_from(documents).unwrap_or(usize::MAX));
    }
    if let Some(bytes) = arguments.count("bytesMax")? {
        options = options.bytes_max(usize::try_from(bytes).unwrap_or(usize::MAX));
    }
    let goes_on = arguments.boolean("goesOn")?.unwrap_or(false);
    arguments.finish()?;
    Ok(Options { options: options.goes_on(goes_on), goes_on })
}
