//! A replica set as the other end of a store.

mod answering;

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use bson::{RawDocument, RawDocumentBuf, Uuid};
use lockcore::{Holder, Instant, Key, SessionId, Token};
use lockstore::presence::SessionInfo;
use lockstore::remote::{
    ClientSessions, LockAnswer, LockCall, OnAnswer, OnEvents, OnReply, Outstanding, Remote,
    SessionLife,
};
use lockstore::{
    BreakRecord, CheckReport, Clock, LockInfo, MaintenanceError, Recovery, ReserveTokensError,
    Stats, StoreError, SystemClock,
};
use mongodb::Client;

use answering::Answering;

use crate::document_locks::{DocumentLocks, is_side_key};
use crate::documents::{Documents, is_part_of_transaction, name_of, takes_write_concern};
use crate::locks::{GivenUp, Locks};
use crate::options::ReplicaSetOptions;
use crate::runtime::Threads;

/// A replica set, as this process uses it.
pub(crate) struct ReplicaSet {
    threads: Threads,
    locks: Arc<Locks>,
    documents: Arc<Documents>,
    document_locks: Arc<DocumentLocks>,
    clock: Arc<dyn Clock>,
    client_sessions: ClientSessions,
    strict_release: bool,
    closing: AtomicU8,
    opened_by: u32,
    opened_in: forkguard::Guard,
    address: Arc<Path>,
}

impl ReplicaSet {
    /// Over a client of the driver. `address` is what it is called in errors.
    pub(crate) fn new(
        threads: Threads,
        client: Client,
        address: Arc<Path>,
        options: &ReplicaSetOptions,
    ) -> io::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
        let locks = Locks::new(client.clone(), Arc::clone(&address), Arc::clone(&clock), options);
        let locks = Arc::new(locks);
        let (own_clock, own_address) = (Arc::clone(&clock), Arc::clone(&address));
        let transitions = Arc::clone(&locks);
        let documents = Documents::new(client, own_clock, own_address, options, transitions);
        let documents = Arc::new(documents);
        let (of_locks, of_documents) = (Arc::clone(&locks), Arc::clone(&documents));
        let document_locks = DocumentLocks::new(of_locks, of_documents, Arc::clone(&clock));
        Ok(Self {
            threads,
            locks,
            documents,
            document_locks: Arc::new(document_locks),
            clock,
            client_sessions: ClientSessions::default(),
            strict_release: options.strict_release,
            closing: AtomicU8::new(OPEN),
            opened_by: std::process::id(),
            opened_in: forkguard::new(),
            address,
        })
    }

    /// Makes what the locks need to be there, and so finds out whether there is a primary that takes it.
    pub(crate) fn prepare(&self) -> Result<mongodb::error::Result<()>, StoreError> {
        let locks = Arc::clone(&self.locks);
        self.threads.run(async move { locks.prepare().await })
    }

    /// Does `work` on the driver's threads, and waits for it.
    fn run<T, F>(&self, work: impl FnOnce(Arc<Locks>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        self.check_usable()?;
        self.threads.run(work(Arc::clone(&self.locks)))?
    }

    /// Starts a command about locks of documents. One that is given up ends after its look: what it has locked by then, its reply tells, for
    /// whoever has given up to release.
    fn start_document_lock(
        &self,
        database: String,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        let document_locks = Arc::clone(&self.document_locks);
        let (caller, waits) = self.locks.given_up();
        let answering = Answering::begin(&self.locks, on_reply, Err);
        self.threads.spawn(async move {
            let reply = document_locks.run(&database, &command, deadline, &waits).await;
            answering.tell(reply);
        });
        Outstanding::telling(move |left| caller.left(left))
    }

    /// Whether a command may be run: what gives a document back also while the store is being closed.
    fn check_takes(&self, command: &RawDocument) -> Result<(), StoreError> {
        self.check_unless_giving_back(name_of(command) == "unlockDocument")
    }

    /// Whether a call about a lock may be made: what gives one back also while the store is being closed.
    fn check_admits(&self, call: &LockCall) -> Result<(), StoreError> {
        let gives_back = matches!(call, LockCall::Release(_) | LockCall::HandOn { .. });
        self.check_unless_giving_back(gives_back)
    }

    fn check_unless_giving_back(&self, gives_back: bool) -> Result<(), StoreError> {
        match self.check_usable() {
            Err(StoreError::Closed)
                if gives_back && self.closing.load(Ordering::SeqCst) == CLOSING =>
            {
                Ok(())
            }
            checked => checked,
        }
    }

    fn not_here(&self, what: &str) -> StoreError {
        let address = self.address.display();
        StoreError::Elsewhere {
            what: format!("{what} is MongoDB's own affair at {address}").into(),
        }
    }
}

impl Remote for ReplicaSet {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        if self.opened_in.clone().detected_fork() {
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        if self.closing.load(Ordering::SeqCst) != OPEN {
            return Err(StoreError::Closed);
        }
        Ok(())
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.check_takes(command)?;
        let (database, command) = (database.to_owned(), command.to_owned());
        if self.document_locks.answers(&command) {
            let document_locks = Arc::clone(&self.document_locks);
            let waits = self.locks.never_given_up();
            let run =
                async move { document_locks.run(&database, &command, deadline, &waits).await };
            return self.threads.run(run)?;
        }
        let documents = Arc::clone(&self.documents);
        self.threads.run(async move { documents.run(&database, &command, deadline).await })?
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        if let Err(error) = self.check_takes(&command) {
            on_reply(Err(error));
            return Outstanding::answered();
        }
        let database = database.to_owned();
        if self.document_locks.answers(&command) {
            return self.start_document_lock(database, command, deadline, on_reply);
        }
        let documents = Arc::clone(&self.documents);
        let goes_on = takes_write_concern(&command) || is_part_of_transaction(&command);
        let running = self.threads.spawn(async move {
            on_reply(documents.run(&database, &command, deadline).await);
        });
        // What ends in its middle would leave transactions to be ended by MongoDB.
        if goes_on {
            return Outstanding::answered();
        }
        Outstanding::new(move || running.abort())
    }

    fn client_sessions(&self) -> &ClientSessions {
        &self.client_sessions
    }

    fn strict_release(&self) -> bool {
        self.strict_release
    }

    fn close(&self) -> Result<(), StoreError> {
        self.check_usable()?;
        self.closing.store(CLOSING, Ordering::SeqCst);
        let locks = Arc::clone(&self.locks);
        let documents = Arc::clone(&self.documents);
        self.document_locks.close();
        let closed = self.threads.run(async move {
            // Neither waits for what the other may have to wait for.
            tokio::join!(documents.close(), locks.close());
        });
        self.closing.store(CLOSED, Ordering::SeqCst);
        closed
    }

    fn session_life(&self, session: SessionId) -> Option<Arc<SessionLife>> {
        self.locks.session_life(session)
    }

    fn call(&self, call: LockCall) -> LockAnswer {
        if let Err(error) = self.check_admits(&call) {
            return LockAnswer::Failed(error);
        }
        let (locks, document_locks) = (Arc::clone(&self.locks), Arc::clone(&self.document_locks));
        let mut given_up = locks.never_given_up();
        let answered = self
            .threads
            .run(async move { answer(&locks, &document_locks, call, &mut given_up).await });
        answered.unwrap_or_else(LockAnswer::Failed)
    }

    fn start(&self, call: LockCall, on_answer: OnAnswer) -> Outstanding {
        if let Err(error) = self.check_admits(&call) {
            on_answer(LockAnswer::Failed(error));
            return Outstanding::answered();
        }
        let (locks, document_locks) = (Arc::clone(&self.locks), Arc::clone(&self.document_locks));
        let (caller, mut given_up) = locks.given_up();
        let answering = Answering::begin(&locks, on_answer, LockAnswer::Failed);
        self.threads.spawn(async move {
            let answer = answer(&locks, &document_locks, call, &mut given_up).await;
            answering.tell(answer);
        });
        Outstanding::telling(move |left| caller.left(left))
    }

    fn is_held(&self, key: &Key, holder: Option<&Holder>) -> Result<bool, StoreError> {
        let (key, holder) = (key.clone(), holder.cloned());
        self.run(|locks| async move { locks.is_held(&key, holder.as_ref()).await })
    }

    fn inspect(&self, key: &Key) -> Result<Option<LockInfo>, StoreError> {
        let key = key.clone();
        self.run(|locks| async move { locks.inspect(&key).await })
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LockInfo>, StoreError> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.run(move |locks| async move { locks.list(&prefix, after.as_deref(), limit).await })
    }

    fn audit(&self, before: Option<u64>, limit: usize) -> Result<Vec<BreakRecord>, StoreError> {
        self.run(move |locks| async move { locks.audit(before, limit).await })
    }

    fn subscribe(&self, prefix: &str, events_max: Option<usize>) -> Result<u64, StoreError> {
        let prefix = prefix.to_owned();
        self.run(move |locks| async move { locks.subscribe(prefix, events_max).await })
    }

    fn next_events(&self, subscription: u64, on_events: OnEvents) -> Outstanding {
        if let Err(error) = self.check_usable() {
            on_events(Err(error));
            return Outstanding::answered();
        }
        let locks = Arc::clone(&self.locks);
        locks.next_events(subscription, on_events);
        Outstanding::new(move || locks.leave_events(subscription))
    }

    fn unsubscribe(&self, subscription: u64) {
        self.locks.unsubscribe(subscription);
    }

    fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        self.run(|locks| async move { locks.list_sessions().await })
    }

    /// Who waits for a document is known to its own process alone.
    fn stats(&self) -> Result<Stats, StoreError> {
        let mut stats = self.run(|locks| async move { locks.stats().await })?;
        stats.waiters += self.document_locks.waiters();
        Ok(stats)
    }

    fn id(&self) -> Result<Uuid, StoreError> {
        self.run(|locks| async move { locks.id().await })
    }

    fn reserve_tokens(&self, at_least: Token) -> Result<Token, ReserveTokensError> {
        self.check_usable()?;
        let locks = Arc::clone(&self.locks);
        self.threads.run(async move { locks.reserve_tokens(at_least).await })?
    }

    /// Nothing is recovered here: the replica set has never been closed.
    fn recovery(&self) -> Result<Recovery, StoreError> {
        self.check_usable()?;
        Ok(Recovery::default())
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        Err(self.not_here("checking the files (`validate`)"))
    }

    fn backup(&self, path: &Path) -> Result<(), MaintenanceError> {
        Err(self.not_here(&format!("a backup to {} (`mongodump`)", path.display())).into())
    }

    fn compact(&self) -> Result<bool, StoreError> {
        Err(self.not_here("compacting (`compact`)"))
    }
}

impl Drop for ReplicaSet {
    fn drop(&mut self) {
        if self.opened_in.clone().detected_fork() {
            // What a forked child has inherited stays as it is: its parent goes on with the same connections, and the threads that
            // would let go of them are not here.
            mem::forget(Arc::clone(&self.locks));
            mem::forget(Arc::clone(&self.documents));
            mem::forget(Arc::clone(&self.document_locks));
            self.threads.forget();
        }
    }
}

/// Makes a call about a lock: that of a document changes with the document.
async fn answer(
    locks: &Arc<Locks>,
    document_locks: &Arc<DocumentLocks>,
    call: LockCall,
    given_up: &mut GivenUp,
) -> LockAnswer {
    match call {
        LockCall::Renew(kept) if is_side_key(kept.key.as_str()) => document_locks.keep(kept).await,
        call => locks.answer(call, given_up).await,
    }
}

const OPEN: u8 = 0;
/// Only what gives locks back is done.
const CLOSING: u8 = 1;
const CLOSED: u8 = 2;

impl fmt::Debug for ReplicaSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicaSet").field("address", &self.address).finish_non_exhaustive()
    }
}
