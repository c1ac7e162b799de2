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
use lockstore::remote::serving;
use lockstore::{DocumentError, ErrorCode, StoreError, TransactionEnd};
use mongodb::ClientSession;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant as Moment;

use super::body::{has_field, name_of, number, what, without};
use super::committing::Work;
use super::limit::Limit;
use super::within::{Failed, abort};
use super::{Documents, refused};

/// The client sessions in which transactions are, by name.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    open: std::sync::Mutex<HashMap<Uuid, Arc<Mutex<Named>>>>,
}

/// A client session, and its last transaction. One command at a time has it.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) session: ClientSession,
    /// The number that the transaction has for who asks.
    number: i64,
    pub(super) phase: Phase,
    /// What ends a transaction that is open for too long.
    lifetime: Option<Lifetime>,
}

/// The task that waits for the end of a lifetime, for as long as this is kept.
#[derive(Debug)]
struct Lifetime(AbortHandle);

impl Drop for Lifetime {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
pub(super) enum Phase {
    Open(Work),
    /// Its commit was asked for, and will have told this. It is not known whether it is done: asking again is no harm.
    Committing(RawDocumentBuf),
    /// What the commit has told.
    Committed(RawDocumentBuf),
    /// What everybody is told from now on.
    Over(RawDocumentBuf),
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
    pub(super) async fn abort(&mut self, why: RawDocumentBuf) {
        self.phase = Phase::Over(why);
        match self.session.client().start_session().await {
            Ok(next) => abort(std::mem::replace(&mut self.session, next)).await,
            Err(error) => tracing::debug!(error = %error.kind, "a transaction was not aborted"),
        }
    }
}

/// A command of a transaction.
pub(super) struct Part<'c> {
    pub(super) name: &'c str,
    pub(super) database: &'c str,
    pub(super) command: &'c RawDocument,
    pub(super) number: i64,
    pub(super) limit: Limit,
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
        let named = Named { session, number: 0, phase: Phase::Over(over), lifetime: None };
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
        // What MongoDB is not told of ends there by itself.
        if tokio::time::timeout(CLOSE_PATIENCE, abort_all(open.into_values())).await.is_err() {
            tracing::warn!("a store is closed with transactions that were not aborted");
        }
    }

    /// Whether this process has a transaction open, as far as it is seen from outside.
    pub(crate) fn has_open_transaction(&self) -> bool {
        let is_open = |named: &Arc<Mutex<Named>>| match named.try_lock() {
            Ok(named) => matches!(named.phase, Phase::Open(_) | Phase::Committing(_)),
            // A command of it is under way.
            Err(_) => true,
        };
        self.transactions.open().values().any(is_open)
    }

    /// Runs a command of a transaction.
    pub(super) async fn run_in_transaction(
        self: &Arc<Self>,
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
            (Phase::Committing(_), "commitTransaction") => self.finish(&mut it, &part).await,
            (Phase::Committing(_), _) => Err(StoreError::OutcomeUnknown { what: what(command) }),
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
        it.lifetime = part.lifetime().map(|lifetime| {
            let (named, number) = (Arc::downgrade(named), part.number);
            let expiring = expire(named, number, lifetime, Moment::now() + lifetime);
            Lifetime(tokio::spawn(expiring).abort_handle())
        });
        Ok(())
    }

    /// Runs a command that reads or writes.
    async fn go_on(&self, it: &mut Named, part: &Part<'_>) -> Result<RawDocumentBuf, StoreError> {
        let Phase::Open(work) = &mut it.phase else { return Ok(aborted(part.number)) };
        match serving::fences(part.command) {
            Ok(fences) => work.rely_on(fences),
            Err(error) => return Ok(serving::failed_in_transaction(&error.into())),
        }
        // What it asks to read it gets, and more: what most members had at one moment.
        let command = without(part.command, "readConcern");
        let run = self.run_in(&mut it.session, part.database, &command);
        let failed = match part.limit.bound(run).await {
            Some(Ok(reply)) => return Ok(reply),
            Some(Err(failed)) => failed,
            None => Failed::Store(self.unreachable("no reply in time")),
        };
        it.abort(aborted(part.number)).await;
        failed.reply()
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

    /// The refusal of what cannot be in a transaction. MongoDB would end the transaction for it.
    fn refusal(&self) -> Option<RawDocumentBuf> {
        if !IN_TRANSACTIONS.contains(&self.name) {
            let message = format!("Cannot run '{}' in a multi-document transaction.", self.name);
            return Some(refused(ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION, message));
        }
        let message = if has_field(self.command, "writeConcern") {
            "writeConcern is not allowed within a multi-statement transaction"
        } else if has_field(self.command, "readConcern") && !self.starts() {
            "Only the first command in a transaction may specify a readConcern"
        } else {
            return None;
        };
        Some(refused(ErrorCode::INVALID_OPTIONS, message))
    }
}

async fn abort_all(ended: impl IntoIterator<Item = Arc<Mutex<Named>>>) {
    let aborting = ended.into_iter().map(|named| async move {
        let mut named = named.lock().await;
        if let Phase::Open(_) = named.phase {
            let number = named.number;
            named.abort(aborted(number)).await;
        }
    });
    futures_util::future::join_all(aborting).await;
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

/// What a transaction that has been aborted tells, whose whole is not run again.
pub(super) fn aborted(number: i64) -> RawDocumentBuf {
    let message = format!("Transaction with {{ txnNumber: {number} }} has been aborted.");
    refused(ErrorCode::NO_SUCH_TRANSACTION, message)
}

fn lsid_of(lsid: &RawDocument) -> Option<Uuid> {
    let id = lsid.get_binary("id").ok()?;
    Some(Uuid::from_bytes(id.bytes.try_into().ok()?))
}

/// The commands of transactions: MongoDB's, but for those that make collections and indexes, and ours that are for the commit.
const IN_TRANSACTIONS: [&str; 15] = [
    "abortTransaction",
    "aggregate",
    "commitTransaction",
    "delete",
    "distinct",
    "find",
    "findAndModify",
    "findandmodify",
    "getMore",
    "insert",
    "killCursors",
    "lockAcquire",
    "lockRelease",
    "lockRenew",
    "update",
];

/// How long closing waits for transactions that are to be aborted, and for commits under way.
const CLOSE_PATIENCE: Duration = Duration::from_secs(10);

/// How many client sessions may be open at a time.
const OPEN_MAX: usize = 10_000;
