//! A store that lives elsewhere: in the same process, behind its commands, which may be those of a transaction.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lockstore::bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, Uuid, rawdoc};
use lockstore::remote::{ClientSession, OnReply, Outstanding, Remote};
use lockstore::{
    Clock, DocumentError, Fence, Instant, Store, StoreError, Token, Transaction, TransactionEnd,
    TransactionOptions,
};
use lockstore_testkit::loopback::Loopback as Behind;

/// Runs what it is sent on a store, with nothing but documents in between.
pub struct Loopback {
    store: Store,
    other_end: Behind,
    commands: AtomicU64,
    /// The open transactions, by their client session.
    transactions: Mutex<HashMap<Uuid, Transaction>>,
}

impl Loopback {
    /// A way to `store`.
    ///
    /// # Panics
    ///
    /// There is no thread to be had.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let other_end = Behind::new(store.clone(), clock).expect("there is a thread");
        Self { store, other_end, commands: AtomicU64::new(0), transactions: Mutex::default() }
    }

    /// How many commands were run so far.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::SeqCst)
    }

    /// What has the open transactions is started anew.
    pub fn lose_transactions(&self) {
        lock(&self.transactions).clear();
    }

    fn run_in_transaction(
        &self,
        lsid: Uuid,
        database: &str,
        command: &RawDocument,
    ) -> Result<RawDocumentBuf, DocumentError> {
        let mut open = lock(&self.transactions);
        if command.get_bool("startTransaction").is_ok_and(|starts| starts) {
            open.insert(lsid, self.store.begin_transaction_with(&options(command))?);
        }
        let over = DocumentError::TransactionOver(TransactionEnd::Lost);
        let name = command.iter_elements().next().and_then(Result::ok).expect("it has a name");
        match name.key().as_str() {
            "commitTransaction" => {
                let transaction = open.remove(&lsid).ok_or(over)?;
                for fence in fences(command) {
                    transaction.require(fence)?;
                }
                transaction.commit()?;
                Ok(rawdoc! { "ok": 1.0 })
            }
            "abortTransaction" => {
                open.remove(&lsid).ok_or(over)?.abort();
                Ok(rawdoc! { "ok": 1.0 })
            }
            _ => Ok(open.get_mut(&lsid).ok_or(over)?.run_command(database, command)),
        }
    }
}

impl Remote for Loopback {
    fn clock(&self) -> &Arc<dyn Clock> {
        self.other_end.clock()
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        self.other_end.check_usable()
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        let Ok(lsid) = command.get_document("lsid") else {
            return self.other_end.run_command(database, command, deadline);
        };
        self.check_usable()?;
        let lsid = lsid.get_binary("id").expect("a client session has an id");
        let lsid = Uuid::from_bytes(lsid.bytes.try_into().expect("the id is a UUID"));
        let reply = self.run_in_transaction(lsid, database, command);
        Ok(reply.unwrap_or_else(|error| failed(&error)))
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        self.other_end.start_command(database, command, deadline, on_reply)
    }

    fn take_client_session(&self) -> Result<ClientSession, StoreError> {
        self.other_end.take_client_session()
    }

    fn give_back_client_session(&self, session: ClientSession) {
        self.other_end.give_back_client_session(session);
    }

    fn close(&self) -> Result<(), StoreError> {
        self.other_end.close()
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loopback").field("store", &self.store).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn options(command: &RawDocument) -> TransactionOptions {
    let options = command.get_document("lockTransaction").expect("our client tells its options");
    let number = |name| options.get_i64(name).expect("each option is there").cast_unsigned();
    TransactionOptions::new()
        .lifetime(Duration::from_millis(number("lifetimeMS")))
        .documents_max(usize::try_from(number("documentsMax")).unwrap_or(usize::MAX))
        .bytes_max(usize::try_from(number("bytesMax")).unwrap_or(usize::MAX))
}

fn fences(command: &RawDocument) -> Vec<Fence> {
    let Ok(fences) = command.get_array("lockFences") else { return Vec::new() };
    let fences = fences.into_iter().map(|fence| {
        let fence = fence.ok().and_then(RawBsonRef::as_document).expect("a fence is a document");
        let text = |name| fence.get_str(name).expect("a fence has names");
        let token = fence.get_i64("token").expect("a fence has a token").cast_unsigned();
        let token = Token::new(token).expect("a token is no 0");
        Fence::new(text("key"), text("holder"), token).expect("its names may be some")
    });
    fences.collect()
}

/// The reply of a commit that failed.
fn failed(error: &DocumentError) -> RawDocumentBuf {
    let mut reply =
        rawdoc! { "ok": 0.0, "errmsg": error.to_string(), "code": error.code().value() };
    let info = match error {
        DocumentError::LockLost(lost) => rawdoc! { "lockLost": {
            "key": lost.key.as_str(), "holder": lost.holder.as_str(), "token": lost.token.get().cast_signed(),
        } },
        DocumentError::TransactionOver(TransactionEnd::Expired { lifetime }) => rawdoc! {
            "transactionEnd": "expired", "lifetimeMS": i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX),
        },
        DocumentError::DuplicateKey(duplicate) => {
            reply.append(lockstore::bson::raw::cstr!("keyPattern"), duplicate.pattern().to_owned());
            reply.append(lockstore::bson::raw::cstr!("keyValue"), duplicate.value().to_owned());
            RawDocumentBuf::new()
        }
        _ => RawDocumentBuf::new(),
    };
    if !info.is_empty() {
        reply.append(lockstore::bson::raw::cstr!("errInfo"), info);
    }
    if error.is_transient() {
        let labels: RawArrayBuf = ["TransientTransactionError"].into_iter().collect();
        reply.append(lockstore::bson::raw::cstr!("errorLabels"), labels);
    }
    reply
}
