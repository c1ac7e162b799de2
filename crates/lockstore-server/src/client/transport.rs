//! The server of a store, as a process works with it.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bson::spec::BinarySubtype;
use bson::{Binary, RawArrayBuf, RawDocument, RawDocumentBuf, Uuid, cstr, rawdoc};
use lockstore::remote::{ClientSession, OnReply, Outstanding};
use lockstore::{Clock, ErrorCode, Instant, Remote, StoreError};

use super::again::Again;
use super::connect::ConnectOptions;
use super::control::Control;
use super::error::ConnectError;
use super::limit::Limit;
use super::link::{Link, LinkError};
use super::place::Place;
use super::pool::{Pool, Slot, SlotSession};
use crate::commands::failure;
use crate::presence::Hello;
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
    /// Client sessions for transactions that nobody has now.
    sessions: Mutex<Vec<ClientSession>>,
    closed: AtomicBool,
    opened_by: u32,
    opened_in: forkguard::Guard,
}

impl Transport {
    pub(super) fn connect(path: &Path, options: ConnectOptions) -> Result<Self, ConnectError> {
        let place = Place::new(path, options)?;
        let for_ever = Limit::new(place.clock(), None);
        let first = place.dial(for_ever, for_ever.within(place.options().start_timeout))?;
        Self::new(place, first)
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
        first.map(|first| Self::new(place, first)).transpose()
    }

    fn new(place: Place, first: Link) -> Result<Self, ConnectError> {
        let place = Arc::new(place);
        let hello = Hello::of_a_new_client().map_err(ConnectError::Process)?;
        let for_ever = Limit::new(place.clock(), None);
        let pool = Pool::new(place.options().connections_max);
        if let Some(mut slot) = pool.take(for_ever) {
            slot.link = Some(first);
        }
        Ok(Self {
            clock: Arc::new(place.clock().clone()),
            pool,
            control: Control::new(Arc::clone(&place), hello),
            sessions: Mutex::default(),
            place,
            closed: AtomicBool::new(false),
            opened_by: std::process::id(),
            opened_in: forkguard::new(),
        })
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
        Call { transport: self, again, limit, resends: 0, announced: false }.run(&mut slot, command)
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
        self.control.start(command, deadline, on_reply)
    }

    /// Ends this process's presence at the server: outstanding calls are told [`StoreError::Closed`], and connections are closed. What
    /// nobody waits for is done before, releases that are queued above all, if the server does it in 200 ms.
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
        self.control.close();
        let limit = for_ever.within(FAREWELL);
        let link = self.pool.take(limit).and_then(|mut slot| slot.link.take());
        let mut sessions = self.pool.empty();
        let idle =
            std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        sessions.extend(idle.into_iter().map(|session| lsid(session.id)));
        if let Some(mut link) = link
            && !sessions.is_empty()
        {
            let sessions = RawArrayBuf::from_iter(sessions);
            // Those that the server is not told of end by themselves.
            let _ = link.call(&rawdoc! { "endSessions": sessions, "$db": "admin" }, limit);
        }
        Ok(())
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

/// A call on its way.
struct Call<'t> {
    transport: &'t Transport,
    again: Again,
    limit: Limit<'t>,
    /// How often it was sent again.
    resends: u32,
    /// Whether the command says that it comes again.
    announced: bool,
}

impl Call<'_> {
    fn run(
        mut self,
        slot: &mut Slot,
        mut command: RawDocumentBuf,
    ) -> Result<RawDocumentBuf, StoreError> {
        let mut remembered = command.get("lsid").is_ok_and(|lsid| lsid.is_some())
            && command.get("txnNumber").is_ok_and(|number| number.is_some());
        let mut numbered = remembered;
        loop {
            if !numbered && self.again == Again::Remembered {
                remembered = self.number(slot, &mut command)?;
                numbered = true;
            }
            let link = self.link(slot)?;
            let pid = link.pid();
            let broken = match link.call(&command, self.limit) {
                // It was not done.
                Ok(reply) if is_interrupted(&reply) => {
                    slot.link = None;
                    self.count_resend()?;
                    continue;
                }
                Ok(reply) => return understood(reply, &command),
                Err(LinkError::Silent) => {
                    slot.link = None;
                    return Err(StoreError::ServerUnresponsive { pid });
                }
                Err(error @ LinkError::NotSent(_)) => {
                    tracing::debug!(%error, "the server has gone");
                    slot.link = None;
                    self.count_resend()?;
                    continue;
                }
                Err(LinkError::Broken(error)) => error,
            };
            slot.link = None;
            tracing::debug!(%broken, "the server ended in the middle of a call");
            let may_be_sent = match self.again {
                Again::Freely | Again::Announced => true,
                Again::Remembered => remembered,
                Again::Never => false,
            };
            if !may_be_sent {
                return Err(StoreError::OutcomeUnknown { what: what(&command) });
            }
            if (remembered || self.again == Again::Announced) && !self.announced {
                command.append(cstr!("lockRetry"), true);
                self.announced = true;
            }
            self.count_resend()?;
        }
    }

    fn count_resend(&mut self) -> Result<(), StoreError> {
        self.resends += 1;
        if self.resends <= RESENDS_MAX {
            return Ok(());
        }
        let reason = format!("{RESENDS_MAX} servers have ended in the middle of this call");
        let socket = Arc::clone(self.transport.place.socket());
        Err(StoreError::Unreachable { socket, reason: reason.into() })
    }

    fn link<'s>(&self, slot: &'s mut Slot) -> Result<&'s mut Link, StoreError> {
        let place = &self.transport.place;
        if slot.link.is_none() {
            let dialled = place.dial(self.limit, self.limit);
            let link = dialled.map_err(|error| error.into_store_error(place.socket()))?;
            slot.link = Some(link);
        }
        Ok(slot.link.as_mut().expect("it was made"))
    }

    /// Gives the call the client session and the next number of its slot, so that the server remembers it. Answers whether
    /// there is such a session.
    fn number(
        &mut self,
        slot: &mut Slot,
        command: &mut RawDocumentBuf,
    ) -> Result<bool, StoreError> {
        while let SlotSession::None = slot.session {
            let pid = self.link(slot)?.pid();
            match self.link(slot)?.call(&rawdoc! { "startSession": 1, "$db": "admin" }, self.limit)
            {
                Ok(reply) => slot.session = session_of(&reply),
                Err(LinkError::Silent) => {
                    slot.link = None;
                    return Err(StoreError::ServerUnresponsive { pid });
                }
                Err(LinkError::NotSent(_) | LinkError::Broken(_)) => {
                    slot.link = None;
                    self.count_resend()?;
                }
            }
        }
        let SlotSession::Open { lsid, txn_number } = &mut slot.session else { return Ok(false) };
        *txn_number += 1;
        command.append(cstr!("lsid"), lsid.clone());
        command.append(cstr!("txnNumber"), *txn_number);
        Ok(true)
    }
}

fn session_of(reply: &RawDocument) -> SlotSession {
    match reply.get_document("id") {
        Ok(lsid) => SlotSession::Open { lsid: lsid.to_owned(), txn_number: 0 },
        Err(_) => SlotSession::Unsupported,
    }
}

/// The `lsid` of a client session.
fn lsid(id: Uuid) -> RawDocumentBuf {
    let id = Binary { subtype: BinarySubtype::Uuid, bytes: id.bytes().to_vec() };
    rawdoc! { "id": id }
}

/// Whether the server stopped before it did what was asked.
pub(super) fn is_interrupted(reply: &RawDocument) -> bool {
    matches!(reply.get_i32("code"), Ok(INTERRUPTED_AT_SHUTDOWN | SHUTDOWN_IN_PROGRESS))
}

/// The reply, unless it says that nobody knows what has become of the command.
pub(super) fn understood(
    reply: RawDocumentBuf,
    command: &RawDocument,
) -> Result<RawDocumentBuf, StoreError> {
    match reply.get_str("codeName") {
        Ok("OutcomeUnknown") => Err(StoreError::OutcomeUnknown { what: what(command) }),
        _ => Ok(reply),
    }
}

/// A command, in an error.
pub(super) fn what(command: &RawDocument) -> Arc<str> {
    match command.iter().next() {
        Some(Ok((name, value))) => match value.as_str() {
            Some(target) => format!("`{name}` of {target:?}").into(),
            None => format!("`{name}`").into(),
        },
        _ => "the command".into(),
    }
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

    fn take_client_session(&self) -> Result<ClientSession, StoreError> {
        self.usable()?;
        let idle = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(idle.unwrap_or_else(|| ClientSession { id: Uuid::new(), txn_number: 0 }))
    }

    fn give_back_client_session(&self, session: ClientSession) {
        // In a forked child the lock may be held for ever, by a thread that is not there.
        if self.usable().is_ok() {
            self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
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

/// How often a call is sent again.
const RESENDS_MAX: u32 = 16;

/// Room for what is put around a command, and into it.
const ROOM: usize = 256;

/// How long what is still to be done may take, and then the farewell.
const FAREWELL: Duration = Duration::from_millis(200);

/// MongoDB's codes for what a server that stops has not done.
const INTERRUPTED_AT_SHUTDOWN: i32 = 11600;
const SHUTDOWN_IN_PROGRESS: i32 = 91;
