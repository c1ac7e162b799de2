//! A transaction of a store that lives elsewhere: MongoDB's, over a client session.
//!
//! Its first command begins it. What goes over the connection beside MongoDB's own fields:
//!
//! - `lockTransaction: { lifetimeMS, documentsMax, bytesMax, goesOn: true }` beside `startTransaction`: its
//!   [options](crate::TransactionOptions), and that a command that fails does not end it. Both are said until a command has
//!   succeeded, for one that is refused may have begun the transaction or not.
//! - `lockFences`, the grants that it relies on: in a command that writes, and in `commitTransaction`. If it has done nothing else,
//!   `commitTransaction` is its first command.
//! - `lockAcquire`, `lockRenew` and `lockRelease`, which are for its commit: [`remote`](super#transactions) says how.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::RawDocumentBuf;
use docquery::{Document, Value};
use lockcore::{Key, Outcome, Refusal};

use super::documents::{Command, Reply, has_succeeded, senseless};
use super::{ClientSession, LockAnswer, LockCall, Remote, client_sessions, form};
use crate::commands::failure;
use crate::error::TransactionEnd::{self, Aborted, Committed};
use crate::error::{DocumentError, StoreError, unexpected};
use crate::fence::Fence;
use crate::transaction::{ChangedLocks, LockChange, TransactionOptions};

/// A transaction as all its handles share it: itself, its collections and its cursors.
#[derive(Debug)]
pub(crate) struct RemoteTransaction {
    remote: Arc<dyn Remote>,
    options: TransactionOptions,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
enum Phase {
    Open(Work),
    /// What everybody is told from now on.
    Over(DocumentError),
}

#[derive(Debug, Default)]
struct Work {
    /// From its first command on.
    session: Option<ClientSession>,
    /// Whether it is known to be open there: a command that is refused may not have begun it.
    has_begun: bool,
    fences: Vec<Fence>,
    /// What its commit does to locks.
    locks: Vec<LockCall>,
}

impl RemoteTransaction {
    pub(crate) fn new(
        remote: &Arc<dyn Remote>,
        options: TransactionOptions,
    ) -> Result<Arc<Self>, StoreError> {
        remote.check_usable()?;
        let phase = Mutex::new(Phase::Open(Work::default()));
        Ok(Arc::new(Self { remote: Arc::clone(remote), options, phase }))
    }

    /// Runs a command in the transaction, and gives its reply, which tells of errors too.
    pub(crate) fn run(
        &self,
        database: &str,
        command: Command,
    ) -> Result<RawDocumentBuf, DocumentError> {
        self.remote.check_usable()?;
        self.run_in(&mut self.lock(), database, command)
    }

    /// Runs a command by which the transaction has its commit make a call about a lock, and gives its reply, which tells of errors too.
    pub(crate) fn note(
        &self,
        database: &str,
        command: Command,
        call: LockCall,
    ) -> Result<RawDocumentBuf, DocumentError> {
        self.remote.check_usable()?;
        let mut phase = self.lock();
        let reply = self.run_in(&mut phase, database, command)?;
        if has_succeeded(&reply) {
            phase.open()?.locks.push(call);
        }
        Ok(reply)
    }

    /// Has the commit check that a grant is there.
    pub(crate) fn require(&self, fence: Fence) -> Result<(), DocumentError> {
        self.remote.check_usable()?;
        self.lock().open()?.fences.push(fence);
        Ok(())
    }

    /// Has the commit change a lock, unless something stands in the way already.
    pub(crate) fn change_lock(
        &self,
        change: LockChange,
    ) -> Result<Result<(), Refusal>, DocumentError> {
        let call = LockCall::from(change);
        let reply = self.note("admin", Command::of(&form::call::write(&call)), call.clone())?;
        if !has_succeeded(&reply) && form::is_own_failure(&reply) {
            return match form::answer::read(&call, &reply) {
                LockAnswer::Refused(refusal) => Ok(Err(refusal)),
                LockAnswer::Failed(error) => Err(error.into()),
                answer => Err(unexpected(&answer).into()),
            };
        }
        Reply::checked(reply).map(|_| Ok(()))
    }

    /// Commits. A commit of which it is not known whether it was done is asked for again: it is done once.
    pub(crate) fn commit(&self) -> Result<ChangedLocks, DocumentError> {
        self.remote.check_usable()?;
        let mut phase = self.lock();
        let work = phase.open()?;
        let asked_at = self.remote.clock().now();
        if work.session.is_none() && work.fences.is_empty() {
            *phase = Phase::Over(DocumentError::TransactionOver(Committed));
            return Ok(ChangedLocks { asked_at, outcomes: Vec::new() });
        }
        let mut committed = self.send_commit(work);
        for _ in 1..COMMITS_MAX {
            match &committed {
                Ok(reply) if is_unknown(reply) => committed = self.send_commit(work),
                Ok(_) | Err(_) => break,
            }
        }
        let committed = committed.map_err(DocumentError::from).and_then(Reply::checked);
        let end = if committed.is_ok() { Committed } else { Aborted };
        let locks = std::mem::take(&mut work.locks);
        self.end(&mut phase, DocumentError::TransactionOver(end));
        drop(phase);
        Ok(ChangedLocks { asked_at, outcomes: outcomes(&locks, &committed?)? })
    }

    /// Gives up all that the transaction has changed, unless it is over. It would be given up some time, so nobody is told if that
    /// fails.
    pub(crate) fn abort(&self) {
        // A forked child leaves alone what is its parent's, the lock too.
        if self.remote.check_usable().is_err() {
            return;
        }
        let mut phase = self.lock();
        let Ok(work) = phase.open() else { return };
        if work.session.is_some() {
            let command = Command::new("abortTransaction", Value::Int32(1));
            work.has_begun = true;
            if let Err(error) = self.send(work, "admin", command) {
                tracing::debug!(%error, "a transaction was not aborted");
            }
        }
        self.end(&mut phase, DocumentError::TransactionOver(Aborted));
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(*self.lock(), Phase::Over(_))
    }

    /// Whether it has come to an end after which the whole of it is to be run again.
    pub(crate) fn runs_again(&self) -> bool {
        matches!(&*self.lock(), Phase::Over(why) if why.runs_again())
    }

    fn run_in(
        &self,
        phase: &mut Phase,
        database: &str,
        command: Command,
    ) -> Result<RawDocumentBuf, DocumentError> {
        let reply = self.send(phase.open()?, database, command).map_err(lost);
        if let Some(why) = ended_by(&reply) {
            self.end(phase, why);
        }
        reply
    }

    fn send_commit(&self, work: &mut Work) -> Result<RawDocumentBuf, StoreError> {
        let mut command = Command::new("commitTransaction", Value::Int32(1));
        command.fences(&work.fences);
        self.send(work, "admin", command)
    }

    fn send(
        &self,
        work: &mut Work,
        database: &str,
        mut command: Command,
    ) -> Result<RawDocumentBuf, StoreError> {
        let session = match &mut work.session {
            Some(session) => session,
            none => {
                let mut session = client_sessions::take(&*self.remote)?;
                session.txn_number += 1;
                none.insert(session)
            }
        };
        command.transaction(session, (!work.has_begun).then_some(&self.options));
        let reply = self.remote.run_command(database, &command.finish(), None)?;
        work.has_begun |= has_succeeded(&reply);
        Ok(reply)
    }

    /// It is over. The next transaction of its session ends what may be left of it.
    fn end(&self, phase: &mut Phase, why: DocumentError) {
        if let Phase::Open(Work { session: Some(session), .. }) =
            std::mem::replace(phase, Phase::Over(why))
        {
            self.remote.client_sessions().give_back(session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    fn open(&mut self) -> Result<&mut Work, DocumentError> {
        match self {
            Self::Open(work) => Ok(work),
            Self::Over(why) => Err(why.clone()),
        }
    }
}

impl Command {
    /// Adds in which transaction it runs, and with which options it begins, unless it has begun.
    fn transaction(&mut self, session: &ClientSession, begins: Option<&TransactionOptions>) {
        self.writer.open_document("lsid");
        let id = session.id.bytes();
        self.writer.field("id", Value::Binary { subtype: UUID, bytes: &id });
        self.writer.close();
        self.field("txnNumber", Value::Int64(session.txn_number));
        if let Some(options) = begins {
            self.field("startTransaction", Value::Bool(true));
            self.writer.open_document("lockTransaction");
            let TransactionOptions { lifetime, documents_max, bytes_max, .. } = options;
            self.writer.field("lifetimeMS", millis(*lifetime));
            self.writer.field("documentsMax", number(*documents_max));
            self.writer.field("bytesMax", number(*bytes_max));
            self.writer.field("goesOn", Value::Bool(true));
            self.writer.close();
        }
        self.field("autocommit", Value::Bool(false));
    }
}

/// What the commit has done to the locks.
fn outcomes(locks: &[LockCall], committed: &Reply) -> Result<Vec<(Key, Outcome)>, DocumentError> {
    let replies = committed.array(LOCKS)?;
    if replies.len() != locks.len() {
        return Err(senseless(LOCKS));
    }
    let outcomes = locks.iter().zip(replies.iter()).map(|(call, reply)| {
        let reply = reply.as_document().ok_or_else(|| senseless(LOCKS))?.to_raw();
        match (call.key(), form::answer::read(call, &reply)) {
            (Some(key), LockAnswer::Done(outcome)) => Ok((key.clone(), outcome)),
            (_, answer) => Err(unexpected(&answer).into()),
        }
    });
    outcomes.collect()
}

/// What it means for the transaction that a command in it has no reply. Where nobody knows what has become of the command, the
/// transaction was in a server that is gone, and nothing of it is committed.
fn lost(error: StoreError) -> DocumentError {
    match error {
        StoreError::OutcomeUnknown { .. } => DocumentError::TransactionOver(TransactionEnd::Lost),
        error => error.into(),
    }
}

/// The error that has ended the transaction, if the outcome of a command is one that does.
fn ended_by(reply: &Result<RawDocumentBuf, DocumentError>) -> Option<DocumentError> {
    let error = match reply {
        Ok(reply) if has_succeeded(reply) => return None,
        Ok(reply) => failure::read(reply),
        Err(error) => error.clone(),
    };
    (error.is_final() || error.runs_again()).then_some(error)
}

fn is_unknown(reply: &RawDocumentBuf) -> bool {
    failure::has_label(Document::from(&**reply), failure::UNKNOWN_COMMIT_RESULT)
}

fn millis(duration: Duration) -> Value<'static> {
    Value::Int64(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn number(number: usize) -> Value<'static> {
    Value::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// What has become of the locks, in the reply of a commit.
const LOCKS: &str = "locks";

/// The subtype of binary data that is a UUID.
const UUID: u8 = 4;

/// How often a commit is asked for at most.
const COMMITS_MAX: u32 = 4;
