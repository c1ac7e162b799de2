//! Transactions: MongoDB's, as the facade asks for them by `lsid`, `txnNumber` and `autocommit: false`.
//!
//! The names of client sessions are those of the driver's sessions, which run the transactions under numbers of their own. A command that fails
//! ends the transaction on MongoDB: whoever goes on all the same is told that it was aborted. What is for the commit (`lockFences`,
//! `lockAcquire` ...) is kept here, and done in the same transaction just before it is committed.
//!
//! Of `lockTransaction`, `lifetimeMS` is kept, beside MongoDB's own 60 s; how much a transaction may change is MongoDB's own affair.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bson::{Binary, RawDocument, RawDocumentBuf, Uuid, rawdoc};
use lockcore::Outcome;
use lockstore::remote::{LockCall, serving};
use lockstore::{DocumentError, ErrorCode, Fence, Refusal, StoreError, TransactionEnd};
use mongodb::ClientSession;
use tokio::sync::Mutex;
use tokio::time::Instant as Moment;

use super::body::{has_field, name_of, number};
use super::fenced::Failed;
use super::limit::Limit;
use super::lock_transitions::Applied;
use super::{Documents, refused};

/// The client sessions in which transactions are, by name.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: std::sync::Mutex<HashMap<Uuid, Arc<Mutex<Named>>>>,
}

/// A client session, and its last transaction. One command at a time has it.
#[derive(Debug)]
struct Named {
    session: ClientSession,
    /// The number that the transaction has for who asks.
    number: i64,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Open(Work),
    /// What the commit has told.
    Committed(RawDocumentBuf),
    /// What everybody is told from now on.
    Over(RawDocumentBuf),
}

/// What is kept of an open transaction until its commit.
#[derive(Debug, Default)]
struct Work {
    fences: Vec<Fence>,
    locks: Vec<LockCall>,
}

impl Transactions {
    fn find(&self, lsid: Uuid) -> Option<Arc<Mutex<Named>>> {
        self.open().get(&lsid).cloned()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Mutex<Named>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Named {
    /// Gives up what is open. What MongoDB is not told of ends there by itself.
    async fn abort(&mut self, why: RawDocumentBuf) {
        self.phase = Phase::Over(why);
        if let Err(error) = self.session.abort_transaction().await {
            tracing::debug!(error = %error.kind, "a transaction was not aborted");
        }
    }
}

/// A command of a transaction.
struct Part<'c> {
    name: &'c str,
    database: &'c str,
    command: &'c RawDocument,
    number: i64,
    limit: Limit,
}

impl Documents {
    /// `startSession`.
    pub(super) async fn open_client_session(&self) -> Result<RawDocumentBuf, StoreError> {
        if self.transactions.open().len() >= OPEN_MAX {
            let message = format!("{OPEN_MAX} client sessions are open: none more can be");
            return Ok(refused(ErrorCode::EXCEEDED_MEMORY_LIMIT, message));
        }
        let session = self.client.start_session().await;
        let session = session.map_err(|error| crate::failure::elsewhere(&error))?;
        let lsid = Uuid::new();
        let over = aborted(0);
        let named = Named { session, number: 0, phase: Phase::Over(over) };
        self.transactions.open().insert(lsid, Arc::new(Mutex::new(named)));
        Ok(rawdoc! { "id": { "id": Binary::from(lsid) }, "timeoutMinutes": 30, "ok": 1.0 })
    }

    /// `endSessions`: what is open in them is aborted.
    pub(super) async fn end_client_sessions(&self, command: &RawDocument) -> RawDocumentBuf {
        let ended: Vec<_> = match command.get_array("endSessions") {
            Ok(sessions) => {
                let named = sessions.into_iter().flatten();
                let lsids = named.filter_map(|session| lsid_of(session.as_document()?));
                lsids.filter_map(|lsid| self.transactions.open().remove(&lsid)).collect()
            }
            Err(_) => Vec::new(),
        };
        abort_all(ended).await;
        rawdoc! { "ok": 1.0 }
    }

    /// Aborts all that is open.
    pub(crate) async fn close(&self) {
        let open = std::mem::take(&mut *self.transactions.open());
        abort_all(open.into_values()).await;
    }

    /// Runs a command of a transaction.
    pub(super) async fn run_in_transaction(
        &self,
        database: &str,
        command: &RawDocument,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let (Some(lsid), Some(number)) =
            (command.get_document("lsid").ok().and_then(lsid_of), number(command, "txnNumber"))
        else {
            let message = "a command of a transaction has an 'lsid' and a 'txnNumber'";
            return Ok(refused(ErrorCode::INVALID_OPTIONS, message));
        };
        let Some(named) = self.transactions.find(lsid) else {
            return Ok(aborted(number));
        };
        let part = Part { name: name_of(command), database, command, number, limit };
        if let Some(refusal) = part.refusal() {
            return Ok(refusal);
        }
        let mut it = Arc::clone(&named).lock_owned().await;
        if part.starts() && it.number < number {
            if let Err(failed) = self.start(&mut it, &part, &named).await {
                return failed.reply();
            }
        } else if it.number != number {
            return Ok(aborted(number));
        }
        match (&it.phase, part.name) {
            (Phase::Committed(reply), "commitTransaction") => Ok(reply.clone()),
            (Phase::Committed(_), _) => {
                let over = DocumentError::TransactionOver(TransactionEnd::Committed);
                Ok(serving::failed_in_transaction(&over))
            }
            (Phase::Over(why), _) => Ok(why.clone()),
            (Phase::Open(_), "abortTransaction") => {
                it.abort(aborted(number)).await;
                Ok(rawdoc! { "ok": 1.0 })
            }
            (Phase::Open(_), "commitTransaction") => self.end(&mut it, &part).await,
            (Phase::Open(_), "lockAcquire" | "lockRenew" | "lockRelease") => {
                self.note(&mut it, &part).await
            }
            (Phase::Open(_), _) => self.go_on(&mut it, &part).await,
        }
    }

    /// Begins a transaction. What the session had open before is given up, as MongoDB does it.
    async fn start(
        &self,
        it: &mut Named,
        part: &Part<'_>,
        named: &Arc<Mutex<Named>>,
    ) -> Result<(), Failed> {
        if let Phase::Open(_) = it.phase {
            it.abort(aborted(it.number)).await;
        }
        self.begin(&mut it.session).await?;
        (it.number, it.phase) = (part.number, Phase::Open(Work::default()));
        if let Some(lifetime) = part.lifetime() {
            let (named, number) = (Arc::downgrade(named), part.number);
            tokio::spawn(expire(named, number, lifetime, Moment::now() + lifetime));
        }
        Ok(())
    }

    /// Runs a command that reads or writes.
    async fn go_on(&self, it: &mut Named, part: &Part<'_>) -> Result<RawDocumentBuf, StoreError> {
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        match serving::fences(part.command) {
            Ok(fences) => add(&mut work.fences, fences),
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        }
        let run = self.run_in(&mut it.session, part.database, part.command);
        let failed = match part.limit.bound(run).await {
            Some(Ok(reply)) => return Ok(reply),
            Some(Err(failed)) => failed,
            None => Failed::Store(self.unreachable("no reply in time")),
        };
        it.abort(aborted(part.number)).await;
        failed.reply()
    }

    /// Keeps a call about a lock for the commit, unless it is known by now that it cannot be made.
    async fn note(&self, it: &mut Named, part: &Part<'_>) -> Result<RawDocumentBuf, StoreError> {
        let now = self.clock.now();
        let own = super::body::stripped(part.command);
        let parsed = serving::fences(part.command).and_then(|fences| {
            let call = serving::call_in_transaction(&own, now).transpose()?;
            let nothing = || Refusal::new(ErrorCode::COMMAND_NOT_FOUND, "no call about a lock");
            Ok((call.ok_or_else(nothing)?, fences))
        });
        let (call, fences) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        };
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        add(&mut work.fences, fences);
        if work.locks.iter().any(|noted| noted.key() == call.key())
            && let Some(key) = call.key()
        {
            return Ok(serving::failed_in_transaction(&serving::changed_already(key)));
        }
        let looked = match part.limit.bound(self.locks.look(call.clone())).await {
            Some(looked) => looked?,
            None => return Err(self.unreachable("no reply in time")),
        };
        match looked {
            Ok(call) => {
                work.locks.push(call);
                Ok(serving::noted())
            }
            Err(refusal) => Ok(serving::refused(&call, refusal, self.clock.now())),
        }
    }

    /// Commits, with all that was kept for that.
    async fn end(&self, it: &mut Named, part: &Part<'_>) -> Result<RawDocumentBuf, StoreError> {
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        match serving::fences(part.command) {
            Ok(fences) => add(&mut work.fences, fences),
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        }
        let work = std::mem::take(work);
        let bound = part.limit.bound(self.change_locks(&mut it.session, &work));
        let changed = match bound.await {
            Some(changed) => changed,
            None => Err(Failed::Store(self.unreachable("no reply in time"))),
        };
        let outcomes = match changed {
            Ok(outcomes) => outcomes,
            Err(failed) => {
                it.abort(aborted(part.number)).await;
                return failed.reply();
            }
        };
        let Named { session, .. } = it;
        if let Err(failed) = self.commit(session, part.limit, part.command).await {
            it.phase = Phase::Over(aborted(part.number));
            return failed.reply();
        }
        let reply = serving::committed(&outcomes);
        it.phase = Phase::Committed(reply.clone());
        Ok(reply)
    }

    /// Does in a transaction what its commit is to do to locks, after it has made sure of what it relies on.
    async fn change_locks(
        &self,
        session: &mut ClientSession,
        work: &Work,
    ) -> Result<Vec<Outcome>, Failed> {
        self.touch(&work.fences, session).await?;
        let mut outcomes = Vec::with_capacity(work.locks.len());
        for call in &work.locks {
            match self.locks.apply(session, call).await.map_err(Failed::Store)? {
                Applied::Done(outcome) => outcomes.push(outcome),
                Applied::Refused(refusal) => {
                    let error = serving::commit_refused(call, refusal, self.clock.now());
                    return Err(Failed::Reply(serving::failed_in_transaction(&error)));
                }
                Applied::Conflict(why) => return Err(Failed::conflict(&why)),
            }
        }
        Ok(outcomes)
    }
}

impl Part<'_> {
    fn starts(&self) -> bool {
        self.command.get_bool("startTransaction").unwrap_or(false)
    }

    /// How long the transaction may be open.
    fn lifetime(&self) -> Option<Duration> {
        let options = self.command.get_document("lockTransaction").ok()?;
        u64::try_from(number(options, "lifetimeMS")?).ok().map(Duration::from_millis)
    }

    /// The refusal of what no command in a transaction may say.
    fn refusal(&self) -> Option<RawDocumentBuf> {
        let message = if has_field(self.command, "writeConcern") {
            "a transaction's commit is on most members: leave 'writeConcern' out"
        } else if has_field(self.command, "readConcern") {
            "a transaction reads what most members had at one moment: leave 'readConcern' out"
        } else {
            return None;
        };
        Some(refused(ErrorCode::INVALID_OPTIONS, message))
    }
}

async fn abort_all(ended: impl IntoIterator<Item = Arc<Mutex<Named>>>) {
    for named in ended {
        let mut named = named.lock().await;
        if let Phase::Open(_) = named.phase {
            let number = named.number;
            named.abort(aborted(number)).await;
        }
    }
}

/// Ends a transaction that is open for longer than it may be.
async fn expire(named: Weak<Mutex<Named>>, number: i64, lifetime: Duration, at: Moment) {
    tokio::time::sleep_until(at).await;
    let Some(named) = named.upgrade() else { return };
    let mut named = named.lock().await;
    if named.number == number && matches!(named.phase, Phase::Open(_)) {
        let over = DocumentError::TransactionOver(TransactionEnd::Expired { lifetime });
        named.abort(serving::failed_in_transaction(&over)).await;
    }
}

/// Adds fences that are not there yet.
fn add(fences: &mut Vec<Fence>, more: Vec<Fence>) {
    for fence in more {
        if !fences.contains(&fence) {
            fences.push(fence);
        }
    }
}

/// What a transaction that has been aborted tells, whose whole is not run again.
fn aborted(number: i64) -> RawDocumentBuf {
    let message = format!("Transaction with {{ txnNumber: {number} }} has been aborted.");
    refused(ErrorCode::NO_SUCH_TRANSACTION, message)
}

fn lsid_of(lsid: &RawDocument) -> Option<Uuid> {
    let id = lsid.get_binary("id").ok()?;
    Some(Uuid::from_bytes(id.bytes.try_into().ok()?))
}

/// How many client sessions may be open at a time.
const OPEN_MAX: usize = 10_000;
