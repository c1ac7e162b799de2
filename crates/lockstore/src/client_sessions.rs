//! Client sessions: MongoDB's logical sessions, by which a write that is sent twice is done once.
//!
//! A client gives each write a number that rises, and sends it again under that number when it has got no answer. What a write has
//! come to is remembered in rows of its session, in the commit that does it, so one that comes again is answered from there. The
//! rows of a session are overwritten by its next number, and deleted when it ends: when the client says so, or when nobody has used
//! it for [`IDLE_MAX`].
//!
//! At most one command at a time writes in a session: it has [`taken`](ClientSessions::take) it. What it is sent twice, the second
//! waits for the first. One that waits for a lock gives the session back meanwhile, which is in use for as long as something [`Waits`] in it.

mod lsid;
mod origin;
mod restore;
mod taken;
mod waits;
mod write;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use docquery::{Error, ErrorCode};
use lockcore::Instant;

use crate::engine::Engine;
use crate::error::DocumentError;
use crate::transaction::TransactionState;

pub(crate) use lsid::Lsid;
pub(crate) use origin::{Image, Memo, Origin, ReplyOf};
pub(crate) use restore::check;
pub(crate) use taken::Taken;
use waits::Waits;
pub(crate) use write::{Numbered, Past, RetryableWrite};

/// The client sessions that anything is known of.
#[derive(Debug, Default)]
pub(crate) struct ClientSessions {
    known: Mutex<HashMap<Lsid, Known>>,
    /// Notified when one is given back.
    given_back: Condvar,
}

/// What is known of one.
#[derive(Debug)]
struct Known {
    /// When it ends if nobody uses it.
    until: Instant,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Nobody writes in it.
    Here(State),
    /// Somebody does, and what becomes of it then.
    Taken(Afterwards),
}

/// What becomes of a session that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    Kept,
    /// Its transaction is aborted.
    Killed,
    Ended,
}

/// What a session has come to.
#[derive(Debug, Default)]
struct State {
    memory: Memory,
    last: Option<Last>,
}

/// What is remembered of a session, and is to be.
#[derive(Clone, Debug, Default)]
struct Memory {
    rows: Rows,
    /// What waits in it, and is remembered when its wait is over.
    waits: Weak<Waits>,
}

/// Whether anything is remembered of a session on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Rows {
    #[default]
    None,
    /// Something has waited in it: there are some if that was done.
    MayBe,
    There,
}

/// The last number of a session, and what it is used for.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) number: i64,
    pub(crate) used: Use,
}

/// What a number is used for.
#[derive(Clone, Debug)]
pub(crate) enum Use {
    /// For writes that may come again.
    Writes,
    /// For a transaction that is open, unless its time is over.
    Open(Arc<TransactionState>),
    /// For a transaction that was committed.
    Committed,
    /// For a transaction that was aborted.
    Aborted,
}

impl ClientSessions {
    /// Takes a session, to write in it. Waits until nobody else has it, and no longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// That took too long; there are too many sessions; the store cannot serve.
    pub(crate) fn take<'e>(
        &'e self,
        engine: &'e Arc<Engine>,
        lsid: Lsid,
        deadline: Option<Instant>,
    ) -> Result<Taken<'e>, DocumentError> {
        let mut known = self.lock();
        loop {
            let sessions = known.len();
            match known.entry(lsid) {
                Entry::Occupied(mut entry) => {
                    if let Place::Here(state) = &mut entry.get_mut().place {
                        let state = std::mem::take(state);
                        entry.get_mut().place = Place::Taken(Afterwards::Kept);
                        return Ok(Taken::new(engine, lsid, state));
                    }
                }
                Entry::Vacant(_) if sessions >= SESSIONS_MAX => return Err(too_many().into()),
                Entry::Vacant(entry) => {
                    let place = Place::Taken(Afterwards::Kept);
                    entry.insert(Known { until: Instant::MAX, place });
                    return Ok(Taken::new(engine, lsid, State::default()));
                }
            }
            engine.check_usable()?;
            if deadline.is_some_and(|deadline| engine.clock.now() >= deadline) {
                let message = "operation exceeded time limit: its session was in use";
                return Err(Error::new(ErrorCode::MAX_TIME_MS_EXPIRED, message).into());
            }
            let waited = self.given_back.wait_timeout(known, WAIT_MAX);
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Somebody uses a session without writing in it.
    pub(crate) fn touch(&self, lsid: Lsid, now: Instant) {
        if let Some(known) = self.lock().get_mut(&lsid) {
            known.until = now.saturating_add(IDLE_MAX);
        }
    }

    /// Aborts the transactions of these sessions, or of all.
    pub(crate) fn kill(&self, which: Option<&[Lsid]>, engine: &Engine) {
        let mut known = self.lock();
        let kill = |known: &mut Known| match &mut known.place {
            Place::Here(state) => state.abort(engine),
            Place::Taken(Afterwards::Ended) => {}
            Place::Taken(afterwards) => *afterwards = Afterwards::Killed,
        };
        match which {
            Some(sessions) => {
                for lsid in sessions {
                    if let Some(known) = known.get_mut(lsid) {
                        kill(known);
                    }
                }
            }
            None => known.values_mut().for_each(kill),
        }
    }

    /// Ends sessions, one that is taken when it is given back. Answers which of them have rows that are to be deleted.
    pub(crate) fn end(&self, sessions: &[Lsid], engine: &Engine) -> Vec<Lsid> {
        let mut known = self.lock();
        let mut with_rows = Vec::new();
        for lsid in sessions {
            let Entry::Occupied(mut entry) = known.entry(*lsid) else { continue };
            match &mut entry.get_mut().place {
                Place::Here(state) => {
                    state.abort(engine);
                    state.memory.end();
                    with_rows.extend(state.memory.may_have_rows().then_some(*lsid));
                    entry.remove();
                }
                Place::Taken(afterwards) => *afterwards = Afterwards::Ended,
            }
        }
        with_rows
    }

    /// Ends the sessions that nobody has used for long enough. Answers which of them have rows that are to be deleted.
    pub(crate) fn sweep(&self, now: Instant) -> Vec<Lsid> {
        let mut with_rows = Vec::new();
        self.lock().retain(|lsid, known| match &known.place {
            Place::Here(state) if state.memory.is_awaited() => {
                known.until = now.saturating_add(IDLE_MAX);
                true
            }
            Place::Here(state) if known.until <= now => {
                with_rows.extend(state.memory.may_have_rows().then_some(*lsid));
                false
            }
            Place::Here(_) | Place::Taken(_) => true,
        });
        with_rows
    }

    /// Whether anything is known of a session.
    pub(crate) fn knows(&self, lsid: Lsid) -> bool {
        self.lock().contains_key(&lsid)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// What a forked child does with the sessions of its parent: their transactions are not dropped, for that would tell redb.
    pub(crate) fn forget(&self) {
        if let Ok(mut known) = self.known.try_lock() {
            std::mem::forget(std::mem::take(&mut *known));
        }
    }

    /// Takes a session back, in which something was done. Answers whether its rows are to be deleted.
    fn give_back(&self, lsid: Lsid, mut state: State, engine: &Engine) -> bool {
        let mut known = self.lock();
        let Some(entry) = known.get_mut(&lsid) else { return false };
        let afterwards = match entry.place {
            Place::Taken(afterwards) => afterwards,
            Place::Here(_) => Afterwards::Kept,
        };
        if afterwards != Afterwards::Kept {
            state.abort(engine);
        }
        if afterwards == Afterwards::Ended {
            state.memory.end();
        }
        let has_rows = state.memory.may_have_rows();
        if afterwards == Afterwards::Ended || (!has_rows && state.last.is_none()) {
            known.remove(&lsid);
        } else {
            entry.until = engine.clock.now().saturating_add(IDLE_MAX);
            entry.place = Place::Here(state);
        }
        drop(known);
        self.given_back.notify_all();
        has_rows && afterwards == Afterwards::Ended
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Lsid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    fn may_have_rows(&self) -> bool {
        self.rows != Rows::None
    }

    /// Whether something waits in the session.
    fn is_awaited(&self) -> bool {
        self.waits.strong_count() > 0
    }

    /// What one more that waits holds for as long as it waits.
    fn wait(&mut self) -> Arc<Waits> {
        if self.rows == Rows::None {
            self.rows = Rows::MayBe;
        }
        let waits = self.waits.upgrade().unwrap_or_default();
        self.waits = Arc::downgrade(&waits);
        waits
    }

    /// Nothing is remembered any more.
    fn end(&self) {
        if let Some(waits) = self.waits.upgrade() {
            waits.forget();
        }
    }
}

impl State {
    /// Aborts the transaction that is open.
    fn abort(&mut self, engine: &Engine) {
        if let Some(last) = &mut self.last
            && let Use::Open(transaction) = &last.used
        {
            transaction.abort(engine);
            last.used = Use::Aborted;
        }
    }
}

fn too_many() -> Error {
    let message = format!(
        "there are {SESSIONS_MAX} client sessions already; end one, or wait until one has not been used for {} minutes",
        IDLE_MAX.as_secs() / 60
    );
    Error::new(ErrorCode::TOO_MANY_LOGICAL_SESSIONS, message)
}

/// How long a client session lives that nobody uses, and in which nothing waits: what `hello` tells as `logicalSessionTimeoutMinutes`.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(30 * 60);

/// How many client sessions there may be in which something was written.
const SESSIONS_MAX: usize = 100_000;

/// How long one wait for a session takes at most before it is looked whether the store has stopped.
const WAIT_MAX: Duration = Duration::from_millis(100);
