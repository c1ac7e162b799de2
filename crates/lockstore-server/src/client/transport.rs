//! The server of a store, as a process works with it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, RawArrayBuf, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockstore::remote::{ClientSessions, OnReply, Outstanding};
use lockstore::{Clock, ErrorCode, Instant, Remote, StoreError};

use super::again::{Again, waits_remembered};
use super::call::Call;
use super::connect::ConnectOptions;
use super::control::Control;
use super::error::ConnectError;
use super::lent::Lent;
use super::limit::Limit;
use super::link::Link;
use super::place::Place;
use super::pool::Pool;
use crate::commands::failure;
use crate::wire::MESSAGE_BYTES_MAX;

/// The way to a store's server, for all threads of a process. When the server ends, the next call starts another and goes on
/// there; what was outstanding is asked again, with the deadlines that it had.
///
/// A call is done once or not at all, however often it has to be sent: it is sent again only if to do it twice is to do it once, or
/// if the server remembers what it came to. A process that was forked from this one cannot use it, and leaves what it has inherited
/// alone.
pub struct Transport {
    place: Arc<Place>,
    clock: Arc<dyn Clock>,
    pool: Pool,
    control: Arc<Control>,
    /// Those of transactions.
    sessions: ClientSessions,
    /// Those of calls that wait.
    waiting: Arc<ClientSessions>,
    closed: AtomicBool,
    opened_by: u32,
    opened_in: forkguard::Guard,
}

impl Transport {
    pub(super) fn connect(path: &Path, options: ConnectOptions) -> Result<Self, ConnectError> {
        let place = Place::new(path, options)?;
        let for_ever = Limit::new(place.clock(), None);
        let first = place.dial(for_ever, for_ever.within(place.options().start_timeout))?;
        Ok(Self::new(place, first))
    }

    /// Only if a server listens.
    pub(super) fn join(path: &Path, options: ConnectOptions) -> Result<Option<Self>, ConnectError> {
        let place = match Place::new(path, options) {
            // There is no such folder, so nobody listens in it.
            Err(ConnectError::Address(_)) => return Ok(None),
            place => place?,
        };
        let within = Limit::new(place.clock(), None).within(place.options().start_timeout);
        let first = place.dial_if_there(within)?;
        Ok(first.map(|first| Self::new(place, first)))
    }

    fn new(place: Place, first: Link) -> Self {
        let place = Arc::new(place);
        let for_ever = Limit::new(place.clock(), None);
        let pool = Pool::new(place.options().connections_max);
        if let Some(mut slot) = pool.take(for_ever) {
            slot.link = Some(first);
        }
        Self {
            clock: Arc::new(place.clock().clone()),
            pool,
            control: Control::new(Arc::clone(&place)),
            sessions: ClientSessions::default(),
            waiting: Arc::default(),
            place,
            closed: AtomicBool::new(false),
            opened_by: std::process::id(),
            opened_in: forkguard::new(),
        }
    }

    /// The process that serves, as far as is known.
    pub fn server_pid(&self) -> u32 {
        self.place.server_pid()
    }

    /// Runs a command in a database, and waits for the reply, on this thread. For what is answered soon.
    ///
    /// # Errors
    ///
    /// There is no reply: [`StoreError::ServerUnresponsive`] when the deadline is over, and with it
    /// [`ConnectOptions::grace`]; [`StoreError::OutcomeUnknown`] when the server ended and the command cannot be sent again;
    /// [`StoreError::Unreachable`] when none can be started, in [`ConnectOptions::start_timeout`]; [`StoreError::Forked`]; [`StoreError::Closed`].
    pub fn call(
        &self,
        database: &str,
        mut command: RawDocumentBuf,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        self.usable()?;
        command.append(cstr!("$db"), database);
        if let Some(refusal) = too_large(&command) {
            return Ok(refusal);
        }
        let limit = self.place.limit(deadline);
        let Some(mut slot) = self.pool.take(limit) else {
            return Err(StoreError::ServerUnresponsive { pid: self.server_pid() });
        };
        let again = Again::of(&command);
        Call::new(&self.place, again, limit).run(&mut slot, command)
    }

    /// Begins a call that may wait, for a lock say. `on_reply` is told once what it came to, on a thread of the transport, which
    /// it must not keep.
    ///
    /// Dropping the [`Outstanding`] gives the call up: the server ends its wait, and `on_reply` is dropped without being told.
    /// When the server had answered before it heard of that, `on_reply` is told all the same: what was granted is the caller's
    /// to give back. After [`StoreError::ServerUnresponsive`] the caller cannot know whether there is something to give back.
    ///
    /// # Errors
    ///
    /// `on_reply` is told of them, as [`Transport::call`] would answer them.
    pub fn start(
        &self,
        database: &str,
        mut command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        if let Err(error) = self.usable() {
            on_reply(Err(error));
            return Outstanding::answered();
        }
        command.append(cstr!("$db"), database);
        if let Some(refusal) = too_large(&command) {
            on_reply(Ok(refusal));
            return Outstanding::answered();
        }
        if !waits_remembered(&command) {
            return self.control.start(command, deadline, on_reply);
        }
        let lent = Lent::of(&self.waiting);
        command.append(cstr!("lsid"), lsid(lent.session().id));
        command.append(cstr!("txnNumber"), lent.session().txn_number);
        let on_reply = Box::new(move |reply| {
            drop(lent);
            on_reply(reply);
        });
        self.control.start(command, deadline, on_reply)
    }

    /// Ends this process's presence at the server: outstanding calls are told [`StoreError::Closed`], its sessions end with all
    /// that is bound to them, and connections are closed. What nobody waits for is done before, releases that are queued above
    /// all, if the server does it in 200 ms.
    ///
    /// # Errors
    ///
    /// It is closed already, or was inherited.
    pub fn close(&self) -> Result<(), StoreError> {
        if self.opened_by != std::process::id() {
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        let for_ever = Limit::new(self.place.clock(), None);
        self.control.settle(for_ever.within(FAREWELL));
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(StoreError::Closed);
        }
        // A server that hears that a client is done before it is gone has nothing to wonder about.
        let presence = self.control.close();
        let limit = for_ever.within(FAREWELL);
        let link = self.pool.take(limit).and_then(|mut slot| slot.link.take());
        let mut sessions = self.pool.empty();
        let idle = self.sessions.drain().into_iter().chain(self.waiting.drain());
        sessions.extend(idle.map(|session| lsid(session.id)));
        let mut farewells = Vec::new();
        if presence.is_some() {
            farewells.push(rawdoc! { "lockGoodbye": 1, "$db": "admin" });
        }
        if !sessions.is_empty() {
            let sessions = RawArrayBuf::from_iter(sessions);
            farewells.push(rawdoc! { "endSessions": sessions, "$db": "admin" });
        }
        self.say(farewells, link, limit);
        drop(presence);
        Ok(())
    }

    /// Tells the server what this client is done with, if there is one: what it is not told of ends by itself.
    fn say(&self, farewells: Vec<RawDocumentBuf>, mut link: Option<Link>, limit: Limit<'_>) {
        for farewell in farewells {
            if let Some(link) = &mut link
                && link.call(&farewell, limit).is_ok()
            {
                continue;
            }
            // The connection may have been that to an earlier server.
            link = self.place.dial_if_there(limit).ok().flatten();
            if let Some(link) = &mut link {
                let _ = link.call(&farewell, limit);
            }
        }
    }

    fn usable(&self) -> Result<(), StoreError> {
        if self.opened_in.clone().detected_fork() {
            return Err(StoreError::Forked { opened_by: self.opened_by });
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        Ok(())
    }
}

/// The `lsid` of a client session.
fn lsid(id: Uuid) -> RawDocumentBuf {
    let id = Binary { subtype: BinarySubtype::Uuid, bytes: id.bytes().to_vec() };
    rawdoc! { "id": id }
}

/// The refusal of what no server would read.
fn too_large(command: &RawDocument) -> Option<RawDocumentBuf> {
    let bytes = command.as_bytes().len();
    (bytes > MESSAGE_BYTES_MAX - ROOM).then(|| {
        let message = format!("a command may have {MESSAGE_BYTES_MAX} bytes; this one has {bytes}");
        failure(ErrorCode::BSON_OBJECT_TOO_LARGE, &message)
    })
}

impl Remote for Transport {
    fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn check_usable(&self) -> Result<(), StoreError> {
        self.usable()
    }

    fn run_command(
        &self,
        database: &str,
        command: &RawDocument,
        deadline: Option<Instant>,
    ) -> Result<RawDocumentBuf, StoreError> {
        let max_time = command.get("maxTimeMS").ok().flatten().and_then(|time| {
            time.as_i64().or_else(|| time.as_i32().map(i64::from)).filter(|time| *time > 0)
        });
        let by_max_time = max_time.map(|time| {
            let time = Duration::from_millis(time.unsigned_abs());
            self.clock.now().saturating_add(time)
        });
        self.call(database, command.to_owned(), deadline.or(by_max_time))
    }

    fn client_sessions(&self) -> &ClientSessions {
        &self.sessions
    }

    fn start_command(
        &self,
        database: &str,
        command: RawDocumentBuf,
        deadline: Option<Instant>,
        on_reply: OnReply,
    ) -> Outstanding {
        self.start(database, command, deadline, on_reply)
    }

    fn close(&self) -> Result<(), StoreError> {
        Self::close(self)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        // Closed already, or a forked child's copy: its descriptors go, and nothing is written.
        let _ = self.close();
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Room for what is put around a command, and into it.
const ROOM: usize = 256;

/// How long what is still to be done may take, and then the farewell.
const FAREWELL: Duration = Duration::from_millis(200);
