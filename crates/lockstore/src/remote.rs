//! A store that lives elsewhere: what stands behind a [`Store`](crate::Store) that this process has not opened itself.
//!
//! [`Remote`] is all that such a store needs. Who can send a command and bring back its reply implements the six methods that have no
//! body, and the whole interface of a store works over it: the others write the [lock commands](#lock-commands) and read their replies. Who
//! has another way to the locks, a replica set for example, implements these too; nothing in them presumes a connection.
//!
//! # Lock commands
//!
//! A store runs these beside MongoDB's ([`Database::run_command`](crate::Database::run_command)), in any database. Names and holders are
//! strings, tokens and numbers longs, lengths of time milliseconds (`...MS`), points in time nanoseconds of `CLOCK_BOOTTIME` (`...NS`).
//! What is optional may be left out; other fields are refused.
//!
//! | command | fields | reply |
//! | --- | --- | --- |
//! | `lockAcquire`: key | `holder`; optional `mode`: `"exclusive"` or `"shared"`, `ttlMS`, `session`, `wait`: `"no"`, `"forever"`, `{ untilNS }` or `{ forMS }` | `token`, `ttlMS` and `expiresAtNS` if it has a lease, `rejoined`, `waited` |
//! | `lockWait`: key | optional `wait`, `session` | `free`, `waited` |
//! | `lockRenew`: key | `holder`, optional `token`, `ttlMS` | `token`, `ttlMS`, `expiresAtNS`, `rejoined` |
//! | `lockRelease`: key | `holder`, optional `token`, `unlessRejoined` | |
//! | `lockBreak`: key | `token`, `reason` | `record` |
//! | `lockSessionOpen`: 1 | | `session` |
//! | `lockSessionClose`: session | | |
//! | `lockSessions`: 1 | | `sessions`: `session`, `locks`, `documentLocks`, `waiters`, `standing`: `"connected"`, `"lost"` with `remainingMS`, or `"ending"`; of a client also `since`, and `pid`, `startTime`, `bootId`, `pidNamespace` and `instance` as in its `lockHello` |
//! | `lockIsHeld`: key | optional `holder` | `held` |
//! | `lockInspect`: key | | `lock`, if it is held |
//! | `lockList`: prefix | optional `after`, `limit` | `locks`, `more` |
//! | `lockAudit`: 1 | optional `before`, `limit` | `records`, `more` |
//! | `lockSubscribe`: prefix | optional `eventsMax` | `subscription` |
//! | `lockNextEvents`: subscription | | `events`: at least one, as soon as there is one |
//! | `lockUnsubscribe`: subscription | | |
//! | `lockStats`: 1, `lockRecovery`: 1, `lockCheck`: 1 | | figures |
//! | `lockStoreId`: 1 | | `id` |
//! | `lockReserveTokens`: token | | `token`: the lowest that a grant can get from now on |
//! | `lockBackup`: path | | |
//! | `lockCompact`: 1 | | `moved` |
//!
//! # Transactions
//!
//! A transaction goes by MongoDB's commands. `lockAcquire` (which does not wait), `lockRenew` and `lockRelease` in it are for its commit: they answer
//! `inCommit: true`, or the error that is known by then, and a grant that is not named by its `token` is the one that the holder
//! had when the transaction began. `commitTransaction` answers with `locks`: the replies that these have outside, in their order.
//! It answers the same when it comes again. These fields are ours:
//!
//! | field | of | |
//! | --- | --- | --- |
//! | `lockTransaction` | the command that begins it | optional `lifetimeMS`, `documentsMax`, `bytesMax`; `goesOn`: a command that fails does not end it |
//! | `lockFences` | writes and `commitTransaction` | grants that must be there in the commit: an array of `key`, `holder`, `token` |
//! | `lockRetry` | what is sent again | where nothing is known of its client session any more, the error is `OutcomeUnknown` |
//!
//! # Commands about locks of documents
//!
//! A lock of a document that is held is known by its `fence`: `{ key, holder, token }`, whose key is the store's own, and whose holder is
//! the `lock_id` of the document. What every command may have, as `maxTimeMS` and `lockFences`, these may have too.
//!
//! | command: collection | fields | reply |
//! | --- | --- | --- |
//! | `lockDocument` | optional `filter`, `sort`, `hint`, `collation`, `let`, `update` (operators or a pipeline), `arrayFilters`, `projection`, `lockId`, `newLockId`, `breakLock`, `getLockedDoc`, `sleepMS`, `maxWaitMS` (600,000) or `waitUntilNS`, `ttlMS`, `session`, `showToken` | `lockId`; `lockedDocument`, `fence`, `rejoined`, `ttlMS` and `validUntilNS`, or `unavailableDocument`, or neither |
//! | `unlockDocument` | `fence`, optional `update`, `arrayFilters` and `let`, or `delete`, or `unlessRejoined` | |
//! | `renewDocumentLock` | `fence`, optional `ttlMS` | `ttlMS` if it has an end |
//! | `inspectDocumentLock` | `fence` | `holds` |
//! | `lockedDocuments` | optional `batchSize` | a cursor over `_id`, `lockId`, `lockTime`, `token`, `session`, `expiresAtNS` |
//! | `breakDocumentLocks` | `filter`, optional `hint`, `collation`, `let`, `reason` | `records` |
//!
//! `lockDocument` waits only with `sleepMS`. With `newLockId`, nobody has used this `lockId` before: when such a command comes again
//! after its reply was lost, with `lockRetry: true`, the reply tells of the document that it has locked, if it is locked still.
//!
//! `lockAcquire`, `lockRenew`, `lockRelease`, `lockBreak`, `lockDocument` and `unlockDocument` may have the `lsid` and `txnNumber` of a retryable write. Then
//! they are done once, however often they come, and answered as they were the first time; one that waits is remembered when its wait
//! is over. That holds for 30 minutes. A reply above 1 MiB is not remembered (`IncompleteTransactionHistory`, 217).
//!
//! # Their errors
//!
//! Beside MongoDB's errors about commands that are not as they should be, there are these. Fields tell what a sentence would tell people:
//! [`LockAnswer`] and [`StoreError`] travel whole.
//!
//! | code | `codeName` | fields |
//! | --- | --- | --- |
//! | 100000001 | `LockHeld` | `heldBy`: `mode`, `holder`, `token`, `expiresAtNS` |
//! | 100000002 | `LockHeldInOtherMode` | `mode`, `token` |
//! | 100000003 | `LockHeldInOtherSession` | `token` |
//! | 100000004 | `LockNotHeld` | |
//! | 100000005 | `LockHeldByOther` | `heldBy` |
//! | 100000006 | `LockHeldByOtherToken` | `token` |
//! | 100000007 | `LockSessionUnknown` | |
//! | 100000008 | `LockLimitReached` | `limit`, `max` |
//! | 100000009 | `LockTimedOut` | |
//! | 100000010 | `LockSessionEnded` | |
//! | 100000011 | `LockWaitCancelled` | |
//! | 100000012 | `LockSubscriptionUnknown` | |
//! | 100000013 | `LockTokensTooHigh` | `token`, `max` |
//! | 100000021 | `StorePoisoned` | `cause` |
//! | 100000022 | `StoreClosed` | |
//! | 100000023 | `StoreForked` | `openedBy` |
//! | 100000024 | `StoreBusy` | `queueMax` |
//! | 100000025 | `StoreTooManySubscriptions` | `subscriptionsMax` |
//! | 100000026 | `StoreInternal` | `what` |
//! | 100000027 | `StoreDisk` | `what` |
//! | 100000028 | `StoreUnresponsive` | `pid` |
//! | 100000029 | `StoreOutcomeUnknown` | `what` |
//! | 100000030 | `StoreUnreachable` | `socket`, `reason` |
//! | 100000031 | `DocumentLockLost` | `lockId`, `nowHeldBy` |
//! | 100000032 | `DocumentNotUpdated` | `notUpdated`: the reply that the update alone would have had |
//! | 100000033 | `StoreElsewhere` | `what` |
//! | 100000041 | `BackupExists` | `path` |
//! | 100000042 | `BackupMissingFolder` | `path`, `folder` |
//! | 100000043 | `BackupDestination` | `path`, `what` |

mod call;
mod client_sessions;
mod outstanding;
pub mod serving;
mod session_life;
mod through_commands;

pub(crate) mod document_locks;
pub(crate) mod form;

pub(crate) mod documents;
mod transaction;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf, Uuid};
use docquery::ErrorCode;
pub use lockcore::{
    Acquire, Granted, HeldBy, Holder, Instant, Key, Lease, LeaveCause, Outcome, Refusal, Release,
    Renew, SessionId, Token, Wait, WaitUntilFree,
};

use crate::clock::Clock;
use crate::error::StoreError;
use crate::info::{BreakRecord, LockInfo, Stats};
use crate::maintenance::{CheckReport, MaintenanceError};
use crate::presence::SessionInfo;
use crate::recovery::Recovery;
use crate::tokens::ReserveTokensError;
pub use call::{LockAnswer, LockCall};
pub use client_sessions::{ClientSession, ClientSessions};
pub use outstanding::{Left, OnAnswer, OnEvents, OnReply, Outstanding};
pub use session_life::SessionLife;
pub(crate) use transaction::RemoteTransaction;

/// The code of [`StoreError::Poisoned`]. Replies about documents have it in `errInfo.storeError`.
pub const STORE_POISONED: ErrorCode = ErrorCode::new(form::code::Code::StorePoisoned.number());

/// The code of [`StoreError::OutcomeUnknown`]. Its reply has the label `OutcomeUnknown` too.
pub const OUTCOME_UNKNOWN: ErrorCode =
    ErrorCode::new(form::code::Code::StoreOutcomeUnknown.number());

/// The other end of a store that lives elsewhere.
///
/// Calls come from any thread, many at once; each checks by itself that it [may be made](Remote::check_usable).
pub trait Remote: fmt::Debug + Send + Sync + 'static {
    /// The clock that leases count by.
    fn clock(&self) -> &Arc<dyn Clock>;

    /// Whether calls may be made: by this process, and before [`Remote::close`].
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn check_usable(&self) -> Result<(), StoreError>;

    /// Runs a command in a database on the caller's thread, and gives the reply, which tells of errors too. It is done once, or not at
    /// all, however often it has to be sent. It is not for commands that wait for locks or for events.
    ///
    /// # Errors
    ///
    /// There is no reply; with a `deadline`, none by then.
    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError>;

    /// The client sessions of transactions that nobody has now. Who [closes](Self::close) this end ends them.
    fn client_sessions(&self) -> &ClientSessions;

    /// Starts a command that may wait, and returns. `on_reply` is called with its reply, once, from any thread, perhaps before this
    /// returns; it does not block. Commands that are started by one thread arrive in their order.
    ///
    /// Dropping the [`Outstanding`] gives the command up: the other end hands on what it would have been granted. A reply that was on its way then comes
    /// nevertheless.
    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding;

    /// Ends what this process has open there, once what it has started without waiting for the answer is done: releases that are queued.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn close(&self) -> Result<(), StoreError>;

    /// Whether [`LockManager::release_lock`](crate::LockManager::release_lock) of a key that nobody holds is an error. Default no.
    fn strict_release(&self) -> bool {
        false
    }

    /// How long a session surely lives that this process has opened there, where it is over unless the process gives signs of life. Default: that is
    /// not known.
    fn session_life(&self, session: SessionId) -> Option<Arc<SessionLife>> {
        let _ = session;
        None
    }

    /// Makes a call about a lock, and waits for its answer as long as the call says.
    fn call(&self, call: LockCall) -> LockAnswer {
        through_commands::call(self, call)
    }

    /// Starts a call about a lock, and returns. `on_answer` is called as [`start_command`](Self::start_command) calls `on_reply`, and what it
    /// grants to somebody who has given up is the caller's to release.
    fn start(&self, call: LockCall, on_answer: OnAnswer) -> Outstanding {
        through_commands::start(self, call, on_answer)
    }

    /// Whether `holder`, or anybody, holds the lock of `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn is_held(&self, key: &Key, holder: Option<&Holder>) -> Result<bool, StoreError> {
        through_commands::is_held(self, key, holder)
    }

    /// Who holds the lock of `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn inspect(&self, key: &Key) -> Result<Option<LockInfo>, StoreError> {
        through_commands::inspect(self, key)
    }

    /// At most `limit` locks whose keys begin with `prefix`, in the order of their keys, behind `after`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LockInfo>, StoreError> {
        through_commands::list(self, prefix, after, limit)
    }

    /// At most `limit` records of breaks, the newest first, before the record numbered `before`.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<BreakRecord>, StoreError> {
        through_commands::audit(self, before, limit)
    }

    /// Begins a subscription to what happens to keys that begin with `prefix`, of which at most `events_max` wait to be read, by default as many
    /// as the store's options say. Gives its number.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn subscribe(&self, prefix: &str, events_max: Option<usize>) -> Result<u64, StoreError> {
        through_commands::subscribe(self, prefix, events_max)
    }

    /// Asks for the next events of a subscription. `on_events` is called once, as soon as there is one; with `None` when the other end does not know
    /// the subscription (any more).
    fn next_events(&self, subscription: u64, on_events: OnEvents) -> Outstanding {
        through_commands::next_events(self, subscription, on_events)
    }

    /// Ends a subscription, without waiting for that.
    fn unsubscribe(&self, subscription: u64) {
        through_commands::unsubscribe(self, subscription);
    }

    /// All sessions, the earliest first.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        through_commands::sessions(self)
    }

    /// Figures of the store.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn stats(&self) -> Result<Stats, StoreError> {
        through_commands::stats(self)
    }

    /// Tells the store from all others.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn id(&self) -> Result<Uuid, StoreError> {
        through_commands::id(self)
    }

    /// Has all grants from now on get tokens that are `at_least` this, and gives the lowest that one can get.
    ///
    /// # Errors
    ///
    /// [`ReserveTokensError`].
    fn reserve_tokens(&self, at_least: Token) -> Result<Token, ReserveTokensError> {
        through_commands::reserve_tokens(self, at_least)
    }

    /// What the opening of the store found.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn recovery(&self) -> Result<Recovery, StoreError> {
        through_commands::recovery(self)
    }

    /// Compares everything with everything.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn check(&self) -> Result<CheckReport, StoreError> {
        through_commands::check(self)
    }

    /// Copies the store into a new file at `path`, which is absolute.
    ///
    /// # Errors
    ///
    /// [`MaintenanceError`].
    fn backup(&self, path: &Path) -> Result<(), MaintenanceError> {
        through_commands::backup(self, path)
    }

    /// Moves the rows together.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    fn compact(&self) -> Result<bool, StoreError> {
        through_commands::compact(self)
    }
}
