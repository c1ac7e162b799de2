//! Sessions that are the presence of other processes, for who serves them: a process may outlive the store's own, and its
//! sessions do too.
//!
//! A server opens sessions for its clients ([`Store::open_session`]). Their numbers, and whose they are, are rows of the
//! file, so that a store which is opened again knows them. A client that is gone is *lost* ([`Store::session_lost`]): where its
//! process is dead, its sessions end at once, and else after [`StoreOptions::session_grace`](crate::StoreOptions::session_grace), unless it is
//! taken up before ([`Store::session_taken_up`]). After an opening all clients are lost, from that moment on; the sessions of those that
//! are known to be dead, or that belong to an earlier boot, are over before anything is served. A store that lives elsewhere lists its sessions
//! ([`Store::sessions`]); all else is [`StoreError::Elsewhere`] there.
//!
//! ```
//! use lockstore::Store;
//! use lockstore::presence::{Instance, Presence, Process};
//!
//! let store = Store::in_memory()?;
//! let client = Presence { instance: Instance([7; 16]), process: Process::current()? };
//! let session = store.open_session(client)?;
//! store.lock("gpu-0").session(&store.session_with(session)).acquire()?.leak();
//! store.session_lost(client.instance)?; // its connection broke, and it lives
//! assert!(store.is_locked("gpu-0")?);
//! assert_eq!(store.session_taken_up(client)?, [session]); // it is back in time
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod owners;
mod process;

use std::fmt;
use std::time::Duration;

use bson::RawDocumentBuf;
use lockcore::{Command, Instant, Limit, Outcome, Refusal, SessionId, Standing};

use crate::backend::Backend;
use crate::clock::WallTime;
use crate::engine::Engine;
use crate::error::{SessionError, StoreError, unexpected};
use crate::records::{SessionRecordV1, StandingV1};
use crate::remote::form::answer::About;
use crate::remote::form::store_error;
use crate::remote::{LockAnswer, LockCall};
use crate::request::{Answer, Task};
use crate::store::Store;
use crate::{BootId, session::opened};
pub(crate) use owners::SessionOwners;
pub use process::{Life, Process};

/// One client in a process: drawn at random when it begins, and the same after it has reconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub [u8; 16]);

/// Whose presence a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The client.
    pub instance: Instance,
    /// The process in which it is.
    pub process: Process,
}

impl Presence {
    /// Whether `found` is this client in the same process, as far as that can be told: whoever serves in another container than
    /// before sees the same process by another pid.
    pub(crate) fn is_same(self, found: Self) -> bool {
        let (owner, process) = (self.process, found.process);
        self.instance == found.instance
            && (owner.pid_namespace != process.pid_namespace || owner == process)
    }
}

/// A session, as of the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Its number.
    pub session: SessionId,
    /// Whose it is.
    pub owner: SessionOwner,
    /// How many locks end with it, those of documents not counted.
    pub locks: usize,
    /// How many locks of documents end with it.
    pub document_locks: usize,
    /// How many waits for locks end with it.
    pub waiters: usize,
    /// How it stands.
    pub standing: SessionStanding,
}

impl SessionInfo {
    /// A session that is connected, without anything bound to it: for who implements [`Remote`](crate::Remote).
    pub fn new(session: SessionId, owner: SessionOwner) -> Self {
        let standing = SessionStanding::Connected;
        Self { session, owner, locks: 0, document_locks: 0, waiters: 0, standing }
    }
}

/// Whose a session is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionOwner {
    /// The process that has the file open.
    Opener,
    /// A client of that process.
    Client {
        /// Which.
        presence: Presence,
        /// When the session was opened.
        since: WallTime,
    },
    /// A process on one of the machines that share a replica set.
    Machine {
        /// What the machine calls itself.
        host: Box<str>,
        /// The process there.
        pid: u32,
        /// When the session was opened.
        since: WallTime,
    },
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStanding {
    /// Its client is there.
    Connected,
    /// Its client is not: the session ends unless it comes back.
    Lost {
        /// How long that is from now.
        remaining: Duration,
    },
    /// It ends.
    Ending,
}

/// Why the sessions of a client were not taken up, or not ended.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeUpError {
    /// They are another process's: a forked child uses what it has inherited, perhaps.
    #[error("client {instance} is in process {}, not in process {}", owner.pid, found.pid)]
    OtherProcess {
        /// The client.
        instance: Instance,
        /// Its process.
        owner: Process,
        /// The process that says they are its.
        found: Process,
    },
    /// The store cannot serve.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Begins a session that is the presence of another process. It ends by [`Store::close_session`], or when its client is lost.
    /// It is durable when this returns. Bind locks to it by [`Store::session_with`].
    ///
    /// # Errors
    ///
    /// [`SessionError`].
    pub fn open_session(&self, presence: Presence) -> Result<SessionId, SessionError> {
        opened(self.opened_here()?.call(Task::OpenSession(presence)).into())
    }

    /// Ends a session of a client, if it is one of its; answers whether it was. When this returns, that is durable.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn close_session(
        &self,
        instance: Instance,
        session: SessionId,
    ) -> Result<bool, StoreError> {
        let engine = self.opened_here()?;
        engine.check_usable()?;
        let owner = engine.in_seat(|seat| seat.writer.presences().of(session));
        if owner.is_none_or(|presence| presence.instance != instance) {
            return Ok(false);
        }
        match engine.call(Task::Command(Command::CloseSession { session })) {
            Answer::Done(Outcome::SessionClosed) => Ok(true),
            Answer::Refused(Refusal::UnknownSession) => Ok(false),
            Answer::Failed(error) => Err(error),
            answer => Err(unexpected(&answer)),
        }
    }

    /// A client is gone: its connection has ended, or its process. Answers whether that lives, where the client has sessions. If it is
    /// dead, they end with the commit that this waits for; what is more than a batch can end goes on behind it. Else they end after the grace,
    /// unless they are taken up before; called again meanwhile, for a process that has died now, this ends them at once.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn session_lost(&self, instance: Instance) -> Result<Option<Life>, StoreError> {
        let engine = self.opened_here()?;
        let Some(process) = self.presence_of(instance)? else { return Ok(None) };
        let life = process.life(engine.clock.boot_id());
        let ends_at = match life {
            Life::Dead => Instant::ZERO,
            Life::Alive | Life::Unknown => {
                engine.clock.now().saturating_add(engine.settings.session_grace)
            }
        };
        match engine.call(Task::LoseSessions { instance, ends_at }) {
            Answer::Sessions(_) => Ok(Some(life)),
            Answer::Failed(error) => Err(error),
            answer => Err(unexpected(&answer)),
        }
    }

    /// A client has said that it is done: its sessions end with the commit that this waits for, and what is more than a batch can end
    /// goes on behind it.
    ///
    /// # Errors
    ///
    /// [`TakeUpError`]: they are another process's, say.
    pub fn end_sessions(&self, presence: Presence) -> Result<(), TakeUpError> {
        self.check_owner(presence)?;
        let instance = presence.instance;
        match self.opened_here()?.call(Task::LoseSessions { instance, ends_at: Instant::ZERO }) {
            Answer::Sessions(_) => Ok(()),
            Answer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    /// A client has no connection any more, or its process is dead: the subscriptions that it has begun by commands end. Its sessions
    /// are another matter: [`Store::session_lost`].
    pub fn client_gone(&self, instance: Instance) {
        if let Ok(engine) = self.opened_here() {
            engine.subscriptions.end_of(instance);
        }
    }

    /// A client is there again: its sessions go on, as if nothing had happened. Answers which of them there are still.
    ///
    /// # Errors
    ///
    /// [`TakeUpError`].
    pub fn session_taken_up(&self, presence: Presence) -> Result<Vec<SessionId>, TakeUpError> {
        self.check_owner(presence)?;
        match self.opened_here()?.call(Task::TakeUpSessions(presence)) {
            Answer::Sessions(sessions) => Ok(sessions.into_vec()),
            Answer::Failed(error) => Err(error.into()),
            answer => Err(unexpected(&answer).into()),
        }
    }

    /// Checks that the sessions of a client, if it has any, are those of this process.
    fn check_owner(&self, presence: Presence) -> Result<(), TakeUpError> {
        let Presence { instance, process: found } = presence;
        match self.presence_of(instance)? {
            Some(owner) if !presence.is_same(Presence { instance, process: owner }) => {
                Err(TakeUpError::OtherProcess { instance, owner, found })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The process of a client, if it has sessions.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn presence_of(&self, instance: Instance) -> Result<Option<Process>, StoreError> {
        let engine = self.opened_here()?;
        engine.check_usable()?;
        Ok(engine.in_seat(|seat| seat.writer.presences().owner(instance)))
    }

    /// All sessions, those of the process that has the file open included, the earliest first; of a store elsewhere too. For people: the
    /// writer waits meanwhile.
    ///
    /// # Errors
    ///
    /// When the store cannot serve.
    pub fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        match self.backend() {
            Backend::Here(engine) => engine.sessions(),
            Backend::There(remote) => remote.sessions(),
        }
    }
}

impl Engine {
    pub(crate) fn sessions(&self) -> Result<Vec<SessionInfo>, StoreError> {
        self.check_usable()?;
        let now = self.clock.now();
        Ok(self.in_seat(|seat| seat.writer.session_infos(now)))
    }
}

/// The reply to a command about sessions that the store has refused, as [`crate::remote`] has it: the store of the client reads
/// the same error from it.
pub fn failure(error: &SessionError) -> RawDocumentBuf {
    match *error {
        SessionError::LimitReached { max } => {
            let refusal = Refusal::LimitReached { limit: Limit::Sessions, max };
            About::of(&LockCall::OpenSession).reply(&LockAnswer::Refused(refusal), Instant::ZERO)
        }
        SessionError::Store(ref error) => store_error::reply(error),
    }
}

impl SessionRecordV1 {
    pub(crate) fn new(presence: Presence, opened: WallTime, standing: Standing) -> Self {
        let Presence { instance, process } = presence;
        Self {
            instance: instance.0,
            pid: process.pid,
            started_ticks: process.started_ticks,
            boot_id: process.boot_id.0,
            pid_namespace: process.pid_namespace,
            opened_wall_ms: opened.as_millis(),
            standing: match standing {
                Standing::Present => StandingV1::Present,
                Standing::Lost { ends_at } => {
                    StandingV1::Lost { ends_boot_ms: ends_at.millis_ceil() }
                }
                Standing::Closing => StandingV1::Closing,
            },
        }
    }

    pub(crate) fn presence(&self) -> Presence {
        let process = Process {
            pid: self.pid,
            started_ticks: self.started_ticks,
            boot_id: BootId(self.boot_id),
            pid_namespace: self.pid_namespace,
        };
        Presence { instance: Instance(self.instance), process }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).fmt(f)
    }
}
