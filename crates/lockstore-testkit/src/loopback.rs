//! A store elsewhere that is in this very process: every call goes through its commands, as it would to another process.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};

use lockstore::bson::{RawDocument, RawDocumentBuf};
use lockstore::remote::{ClientSessions, OnReply, Outstanding, Remote};
use lockstore::{Clock, CommandFuture, Instant, ReadError, Started, Store, StoreError};

/// The other end of an embedded store, in the same process.
///
/// ```
/// use lockstore::Store;
/// use lockstore_testkit::loopback::Loopback;
///
/// let store = Loopback::new(Store::in_memory()?)?.into_store();
/// let guard = store.lock("nightly-report").acquire()?; // a command, and its reply
/// assert!(store.is_locked("nightly-report")?);
/// guard.release()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Loopback {
    store: Mutex<Option<Store>>,
    clock: Arc<dyn Clock>,
    strict_release: bool,
    client_sessions: ClientSessions,
    commands: AtomicU64,
    parking: Arc<Parking>,
}

/// The commands that were started. One thread runs them in their order, and polls those that wait when they are woken.
#[derive(Debug)]
struct Parking {
    state: Mutex<State>,
    work: Sender<Work>,
    thread: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct State {
    parked: HashMap<u64, Arc<Mutex<Option<Parked>>>>,
    last: u64,
}

/// What the thread has to do.
enum Work {
    /// To look at a command: it is new, or was woken.
    Look(u64),
    /// To say that it has come so far.
    Tell(Sender<()>),
}

/// A command, and who is to be told.
struct Parked {
    command: Command,
    on_reply: OnReply,
}

enum Command {
    /// It was not started yet.
    Sent { store: Store, database: Box<str>, command: RawDocumentBuf },
    /// It waits.
    Waits(CommandFuture),
}

/// Has one of them polled.
struct Alarm {
    number: u64,
    parking: Weak<Parking>,
}

impl Loopback {
    /// The other end of `store`.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn new(store: Store) -> io::Result<Self> {
        let (sender, work) = channel();
        let (state, thread) = (Mutex::default(), OnceLock::new());
        let parking = Arc::new(Parking { state, work: sender, thread });
        let weak = Arc::downgrade(&parking);
        let spawned = thread::Builder::new().name("loopback".into()).spawn(move || {
            for work in work {
                match (work, weak.upgrade()) {
                    (Work::Look(number), Some(parking)) => parking.look(number),
                    // Who has asked may be gone.
                    (Work::Tell(asked), _) => drop(asked.send(())),
                    (Work::Look(_), None) => return,
                }
            }
        })?;
        parking.thread.get_or_init(|| spawned.thread().id());
        let (clock, client_sessions) = (Arc::clone(store.clock()), ClientSessions::default());
        let (store, commands) = (Mutex::new(Some(store)), AtomicU64::new(0));
        Ok(Self { store, clock, strict_release: false, client_sessions, commands, parking })
    }

    /// Whether the release of what nobody holds is an error for [`lockstore::LockManager`]. Default no.
    #[must_use]
    pub fn strict_release(mut self, strict: bool) -> Self {
        self.strict_release = strict;
        self
    }

    /// The store that has this as its other end.
    pub fn into_store(self) -> Store {
        Store::remote(Arc::new(self))
    }

    /// How many commands were sent so far.
    pub fn commands(&self) -> u64 {
        self.commands.load(Ordering::SeqCst)
    }

    fn store(&self) -> Result<Store, StoreError> {
        lock(&self.store).clone().ok_or(StoreError::Closed)
    }
}

impl Remote for Loopback {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        match self.store()?.is_locked("any") {
            Err(ReadError::Store(error)) => Err(error),
            _ => Ok(()),
        }
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        _deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.commands.fetch_add(1, Ordering::SeqCst);
        Ok(self.store()?.database(database).run_command(command))
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        _deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        self.commands.fetch_add(1, Ordering::SeqCst);
        match self.store() {
            Ok(store) => {
                let command = Command::Sent { store, database: database.into(), command };
                self.parking.park(Parked { command, on_reply })
            }
            Err(error) => {
                on_reply(Err(error));
                Outstanding::answered()
            }
        }
    }

    fn client_sessions(&self) -> &ClientSessions {
        &self.client_sessions
    }

    fn strict_release(&self) -> bool {
        self.strict_release
    }

    fn close(&self) -> Result<(), StoreError> {
        let store = lock(&self.store).take().ok_or(StoreError::Closed)?;
        self.parking.catch_up();
        store.close()
    }
}

impl Parking {
    fn park(self: &Arc<Self>, parked: Parked) -> Outstanding {
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        state.parked.insert(number, Arc::new(Mutex::new(Some(parked))));
        drop(state);
        self.call_for(Work::Look(number));
        let parking = Arc::downgrade(self);
        Outstanding::new(move || {
            if let Some(parking) = parking.upgrade() {
                parking.leave(number);
            }
        })
    }

    /// Waits until everything that was sent has been started.
    fn catch_up(&self) {
        if self.thread.get() != Some(&thread::current().id()) {
            let (tell, told) = channel();
            self.call_for(Work::Tell(tell));
            // It is not told when the thread has ended, which then has nothing more to start.
            let _ = told.recv();
        }
    }

    /// Takes one out: it is answered, or given up.
    fn leave(&self, number: u64) {
        // What is given up may hand a lock on, which wakes others of these.
        let left = lock(&self.state).parked.remove(&number);
        drop(left);
    }

    fn call_for(&self, work: Work) {
        // There is no thread any more only when nobody holds the parking.
        let _ = self.work.send(work);
    }

    fn look(self: &Arc<Self>, number: u64) {
        let Some(parked) = lock(&self.state).parked.get(&number).cloned() else { return };
        let Some(Parked { command, on_reply }) = lock(&parked).take() else { return };
        let started = match command {
            Command::Sent { store, database, command } => {
                store.database(&database).start_command(&command)
            }
            Command::Waits(command) => Started::Pending(command),
        };
        let reply = match started {
            Started::Reply(reply) => Poll::Ready(reply),
            Started::Pending(mut command) => {
                let waker = Waker::from(Arc::new(Alarm { number, parking: Arc::downgrade(self) }));
                let polled = Pin::new(&mut command).poll(&mut Context::from_waker(&waker));
                if polled.is_pending() {
                    let command = Command::Waits(command);
                    *lock(&parked) = Some(Parked { command, on_reply });
                    return;
                }
                polled
            }
        };
        self.leave(number);
        if let Poll::Ready(reply) = reply {
            on_reply(Ok(reply));
        }
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        if let Some(parking) = self.parking.upgrade() {
            parking.call_for(Work::Look(self.number));
        }
    }
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked").finish_non_exhaustive()
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Look(number) => f.debug_tuple("Look").field(number).finish(),
            Self::Tell(_) => f.debug_tuple("Tell").finish(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
