//! A thread that fights for the locks of a few documents in every way there is, and writes down what it asked and was told.

use std::fmt;
use std::task::Poll;
use std::time::Duration;

use bson::{Bson, Document, doc};
use lockstore::collection::LockDocument;
use lockstore::{
    Clock, Collection, DocumentLock, Holder, Instant, Key, Mode, ReleaseDocumentError, Store,
    SystemClock, Token,
};
use lockstore_testkit::history::{Call, Client, Outcome, Wait};

use crate::dice::Dice;
use crate::polling::{block_on, poll_once};

/// The documents that contenders fight for.
const IDS: [&str; 3] = ["a", "b", "c"];

/// One client of a recorded history. A document's `_id` is the key, its `lock_id` the holder.
pub struct DocumentContender<'a> {
    /// The store under test, whose [`documents`] are there.
    pub store: &'a Store,
    /// The clock of the store.
    pub clock: SystemClock,
    /// Writes the history.
    pub client: Client,
    /// Where the choices come from.
    pub dice: Dice,
    /// Tells its holders from those of the others.
    pub name: String,
    /// How many holders it has been.
    pub taken: u64,
}

/// The collection of the documents, made when there is none.
///
/// # Panics
///
/// When that fails.
pub fn documents(store: &Store) -> Collection<Document> {
    let documents = store.database("factory").collection::<Document>("documents");
    for id in IDS {
        let it = doc! { "_id": id };
        documents.update_one(&it, doc! { "$set": &it }).upsert(true).run().expect("it is made");
    }
    documents
}

/// A document that is wanted.
struct Wish<'a> {
    documents: &'a Collection<Document>,
    key: Key,
    holder: Holder,
    ttl: Option<Duration>,
}

impl fmt::Debug for DocumentContender<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentContender").field("name", &self.name).finish_non_exhaustive()
    }
}

impl DocumentContender<'_> {
    /// Does one thing, of a few calls.
    ///
    /// # Panics
    ///
    /// When a call fails in a way that nothing asked for.
    pub fn step(&mut self) {
        let documents = self.store.database("factory").collection::<Document>("documents");
        let key = Key::new(self.dice.pick::<&str>(&IDS)).expect("a key");
        match self.dice.below(100) {
            0..4 => self.cancel(&documents, key),
            4..9 => self.unlock_by_force(&documents, &key),
            9..14 => self.unlock_by_update(&documents, &key),
            14..25 => {
                self.inspect(&documents, &key);
            }
            25..32 => self.is_locked(&documents, &key),
            _ => self.hold(&documents, key),
        }
    }

    fn hold(&mut self, documents: &Collection<Document>, key: Key) {
        let wish = self.wish(documents, key);
        let wait = match self.dice.below(4) {
            0 => Wait::No,
            1 | 2 => Wait::For(Duration::from_micros(1 + self.dice.below(3_000))),
            _ => Wait::For(FOR_EVER),
        };
        let is_plain = self.dice.chance(1, 2);
        let Some(mut lock) = self.acquire(&wish, wait, is_plain) else { return };
        // What was acquired once more is one lock: who drops the former handle too early would release it.
        let mut former = Vec::new();
        for _ in 0..self.dice.below(3) {
            if self.dice.chance(1, 3) {
                let Some(again) = self.acquire(&wish, Wait::For(FOR_EVER), false) else { return };
                former.push(std::mem::replace(&mut lock, again));
            } else {
                self.renew(&wish, &lock);
            }
        }
        self.release(&wish, lock);
    }

    fn acquire(&mut self, wish: &Wish<'_>, wait: Wait, is_plain: bool) -> Option<DocumentLock> {
        let by_future = self.dice.chance(1, 2);
        let request = match wait {
            Wait::No if is_plain => wish.request(),
            Wait::No => wish.request().get_locked_doc(true),
            Wait::For(patience) => wish.request().sleep(FOR_EVER).max_wait(patience),
            Wait::Forever => unreachable!("a document is not waited for without end"),
        };
        let asked = self.client.invoked(&wish.key, &wish.holder, wish.call(wait));
        let answer = if by_future { block_on(request.acquire_async()) } else { request.acquire() };
        let lock = answer.unwrap_or_else(|error| panic!("{error}"));
        let outcome = match (lock.token(), wait) {
            (Some(token), _) => {
                check_document(wish, &lock, token);
                Outcome::Granted { token, valid_until: self.valid_until(&lock) }
            }
            (None, Wait::No) => Outcome::Refused,
            (None, _) => Outcome::TimedOut,
        };
        self.client.returned(asked, outcome);
        lock.token().is_some().then_some(lock)
    }

    /// Asks, and gives up at once. The document may have been locked by then, and is handed on.
    fn cancel(&mut self, documents: &Collection<Document>, key: Key) {
        let wish = self.wish(documents, key);
        let call = wish.call(Wait::For(FOR_EVER));
        let asked = self.client.invoked(&wish.key, &wish.holder, call);
        let mut future = wish.request().sleep(FOR_EVER).acquire_async();
        if let Poll::Ready(lock) = poll_once(&mut future) {
            let lock = lock.unwrap_or_else(|error| panic!("{error}"));
            let token = lock.token().expect("it waits for ever");
            let outcome = Outcome::Granted { token, valid_until: self.valid_until(&lock) };
            self.client.returned(asked, outcome);
            return self.release(&wish, lock);
        }
        for _ in 0..self.dice.below(50) {
            std::thread::yield_now();
        }
        let given_up = Call::Release { token: None };
        let _ = self.client.invoked(&wish.key, &wish.holder, given_up);
        drop(future);
    }

    fn renew(&mut self, wish: &Wish<'_>, lock: &DocumentLock) {
        let call = Call::Renew { token: lock.token(), ttl: wish.ttl };
        let asked = self.client.invoked(&wish.key, &wish.holder, call);
        let outcome = match lock.renew() {
            Ok(()) => Outcome::Renewed { valid_until: self.valid_until(lock) },
            Err(ReleaseDocumentError::LockLost { .. }) => Outcome::NotHeld,
            Err(error) => panic!("{error}"),
        };
        self.client.returned(asked, outcome);
    }

    fn release(&mut self, wish: &Wish<'_>, lock: DocumentLock) {
        let call = Call::Release { token: lock.token() };
        let asked = self.client.invoked(&wish.key, &wish.holder, call);
        let outcome = match lock.release() {
            Ok(()) => Outcome::Released,
            Err(ReleaseDocumentError::LockLost { .. }) => Outcome::NotHeld,
            Err(error) => panic!("{error}"),
        };
        self.client.returned(asked, outcome);
    }

    fn unlock_by_force(&mut self, documents: &Collection<Document>, key: &Key) {
        let Some(token) = self.inspect(documents, key) else { return };
        let asked = self.client.invoked(key, &self.nobody(), Call::Break { token });
        let broken = documents.unlock(locked_with(key, token), "in the way");
        let outcome = match broken.expect("the store serves").as_slice() {
            [] => Outcome::NotHeld,
            [record] if record.token == token => Outcome::Broken,
            other => panic!("{token} was to be broken: {other:?}"),
        };
        self.client.returned(asked, outcome);
    }

    /// An ordinary update unlocks a document like anything else.
    fn unlock_by_update(&mut self, documents: &Collection<Document>, key: &Key) {
        let Some(token) = self.inspect(documents, key) else { return };
        let asked = self.client.invoked(key, &self.nobody(), Call::Break { token });
        let free = doc! { "$set": { "lock_id": Bson::Null, "lock_time": Bson::Null } };
        let updated = documents.update_one(locked_with(key, token), free).run();
        let is_broken = updated.expect("the store serves").modified_count == 1;
        self.client.returned(asked, if is_broken { Outcome::Broken } else { Outcome::NotHeld });
    }

    fn inspect(&mut self, documents: &Collection<Document>, key: &Key) -> Option<Token> {
        let asked = self.client.invoked(key, &self.nobody(), Call::Inspect);
        let found = documents.find_one(doc! { "_id": key.as_str() }).run();
        let found = found.expect("the store serves").expect("it is there");
        let holder = found.get_str("lock_id").ok().map(|it| Holder::new(it).expect("a holder"));
        let token = found.get_i64("lock_token").ok().and_then(|it| Token::new(it.cast_unsigned()));
        assert_eq!(holder.is_some(), token.is_some(), "{found}");
        self.client.returned(asked, Outcome::Holders(holder.into_iter().zip(token).collect()));
        token
    }

    fn is_locked(&mut self, documents: &Collection<Document>, key: &Key) {
        let asked = self.client.invoked(key, &self.nobody(), Call::IsLocked);
        let locked = doc! { "_id": key.as_str(), "lock_id": { "$ne": Bson::Null } };
        let locked = documents.count_documents(locked).run().expect("the store serves") == 1;
        self.client.returned(asked, Outcome::Locked(locked));
    }

    /// Until when it is surely held. What is over already was so at a time that nobody tells.
    fn valid_until(&self, lock: &DocumentLock) -> Option<Instant> {
        let now = self.clock.now();
        lock.remaining().map(|remaining| match remaining {
            Duration::ZERO => Instant::ZERO,
            remaining => now.saturating_add(remaining),
        })
    }

    fn wish<'d>(&mut self, documents: &'d Collection<Document>, key: Key) -> Wish<'d> {
        self.taken += 1;
        let holder = Holder::new(&format!("{}/{}", self.name, self.taken)).expect("a holder");
        let ttl_ms = 1 + self.dice.below(6);
        let ttl = self.dice.chance(3, 4).then_some(Duration::from_millis(ttl_ms));
        Wish { documents, key, holder, ttl }
    }

    fn nobody(&self) -> Holder {
        Holder::new(&self.name).expect("a holder")
    }
}

impl<'a> Wish<'a> {
    fn request(&self) -> LockDocument<'a, Document> {
        let request = self.documents.lock_document(doc! { "_id": self.key.as_str() });
        let request = request.lock_id(self.holder.as_str()).show_token(true);
        match self.ttl {
            Some(ttl) => request.ttl(ttl),
            None => request,
        }
    }

    fn call(&self, wait: Wait) -> Call {
        Call::Acquire { mode: Mode::Exclusive, ttl: self.ttl, wait }
    }
}

/// What was locked says by whom.
fn check_document(wish: &Wish<'_>, lock: &DocumentLock, token: Token) {
    let document = lock.locked_document().expect("it is locked");
    let shown = (document.get_str("lock_id").ok(), document.get_i64("lock_token").ok());
    assert_eq!(shown, (Some(wish.holder.as_str()), Some(token.get().cast_signed())));
    assert_eq!(document.get_str("_id").ok(), Some(wish.key.as_str()));
}

fn locked_with(key: &Key, token: Token) -> Document {
    doc! { "_id": key.as_str(), "lock_token": token.get().cast_signed() }
}

/// Longer than any history takes.
const FOR_EVER: Duration = Duration::from_secs(3_600);
