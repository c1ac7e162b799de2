//! How a store is opened.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lockcore::Limits;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use crate::clock::{Clock, SystemClock};
use crate::disk::{Birth, Disk, DiskError, DiskOptions, JournalStorage, JournalUse, OpenError};
use crate::engine::Engine;
use crate::recovery::{Recovered, recover};
use crate::store::Store;

/// Options of a store; what is not set has the default that is named with it.
///
/// ```
/// use std::time::Duration;
/// use lockstore::StoreOptions;
///
/// let folder = std::env::temp_dir().join(format!("lockstore-options-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// let store = StoreOptions::new()
///     .cache_bytes(8 << 20)
///     .restart_grace(Duration::from_secs(10))
///     .open(folder.join("locks.redb"))?;
/// assert!(!store.is_locked("nightly-report")?);
/// # store.close()?;
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened with them"]
pub struct StoreOptions {
    settings: Settings,
    cache_bytes: usize,
    create: bool,
    verify_on_open: bool,
    journal: JournalUse,
    journal_bytes: usize,
    clock: Option<Arc<dyn Clock>>,
}

/// What an open store keeps of its options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) restart_grace: Duration,
    pub(crate) session_grace: Duration,
    pub(crate) queue_max: usize,
    pub(crate) batch_max: usize,
    pub(crate) audit_max: u64,
    pub(crate) events_max: usize,
    pub(crate) strict_release: bool,
}

impl StoreOptions {
    /// The defaults.
    pub fn new() -> Self {
        let settings = Settings {
            limits: Limits::default(),
            seed: RandomState::new().hash_one(0),
            restart_grace: Duration::from_secs(5),
            session_grace: Duration::from_secs(10),
            queue_max: 65_536,
            batch_max: 1_024,
            audit_max: 10_000,
            events_max: 4_096,
            strict_release: false,
        };
        Self {
            settings,
            cache_bytes: 32 << 20,
            create: true,
            verify_on_open: false,
            journal: JournalUse::AfterCommits(16),
            journal_bytes: 8 << 20,
            clock: None,
        }
    }

    /// How much of the file may be cached in memory, in bytes. Default 32 MiB.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How long a lease that is still running when the store is opened lasts at least, so that its holder
    /// has the time to renew it. Given once: not again at the next opening, unless it was renewed. Zero
    /// gives none. Default 5 s.
    pub fn restart_grace(mut self, grace: Duration) -> Self {
        self.settings.restart_grace = grace;
        self
    }

    /// How long the sessions of another process go on when it is not connected any more and is not known to be dead, so that
    /// it has the time to come back; after an opening too ([`crate::presence`]). Default 10 s.
    pub fn session_grace(mut self, grace: Duration) -> Self {
        self.settings.session_grace = grace;
        self
    }

    /// How many locks may be held, callers wait and sessions live at once, for documents too. Defaults:
    /// [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// How many calls that do not block may wait to be served; one more is told
    /// [`StoreError::Busy`](crate::StoreError::Busy). Default 65,536.
    pub fn queue_max(mut self, requests: usize) -> Self {
        self.settings.queue_max = requests.max(1);
        self
    }

    /// How many calls one commit serves at most. Default 1,024.
    pub fn batch_max(mut self, requests: usize) -> Self {
        self.settings.batch_max = requests.max(1);
        self
    }

    /// How many records of breaks are kept; the oldest ones go first. Default 10,000.
    pub fn audit_max(mut self, records: u64) -> Self {
        self.settings.audit_max = records.max(1);
        self
    }

    /// How many events wait for one subscriber at most, before it finds a gap. Default 4,096.
    pub fn events_max(mut self, events: usize) -> Self {
        self.settings.events_max = events.max(1);
        self
    }

    /// Whether [`LockManager::release_lock`](crate::LockManager::release_lock) of a key that nobody holds
    /// is an error. Default no: some callers release twice.
    pub fn strict_release(mut self, strict: bool) -> Self {
        self.settings.strict_release = strict;
        self
    }

    /// Whether a store is made where there is none. Default yes.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Whether every page of the file is compared with its checksum before it is used, which takes as long
    /// as reading it. Small files always are. Default no.
    pub fn verify_on_open(mut self, verify: bool) -> Self {
        self.verify_on_open = verify;
        self
    }

    /// Whether commits go by a journal, a second file beside the store, `<store>-journal`, which makes them up to three
    /// times as fast. It is removed when the store is closed. After a kill or a loss of power it has the last commits,
    /// and the next opening takes them over, whatever this option says: where the store's file goes, it must go too.
    /// Default [`JournalUse::AfterCommits`] 16. A store in memory has none.
    pub fn journal(mut self, journal: JournalUse) -> Self {
        self.journal = journal;
        self
    }

    /// How long the journal is, in bytes: 64 KiB to 64 MiB. A longer one is full less often, which has a commit wait until
    /// the file has everything, and takes longer to replay. Default 8 MiB, which is enough for two thousand small commits.
    pub fn journal_bytes(mut self, bytes: usize) -> Self {
        self.journal_bytes = bytes;
        self
    }

    /// The clock. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Opens the store at `path`, or makes one there.
    ///
    /// The file is locked: while it is open here, no other opener gets it, in this process or another. Its last commits
    /// may be in a second file meanwhile, see [`StoreOptions::journal`].
    /// After a `fork`, the child may not use the store (it is told
    /// [`StoreError::Forked`](crate::StoreError::Forked)), and a child that lives on keeps the file locked.
    ///
    /// # Errors
    ///
    /// [`OpenError`] names the file, what is wrong with it and what was expected; the file is unchanged.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Store, OpenError> {
        let path = path.as_ref();
        let clock = self.clock_or_default(path)?;
        let disk = Disk::open(path, &self.disk_options(&*clock))?;
        self.start(disk, clock, path)
    }

    /// Opens a store that lives in memory only, and is gone when it is closed.
    ///
    /// # Errors
    ///
    /// When the clock cannot be read.
    pub fn open_in_memory(self) -> Result<Store, OpenError> {
        self.open_backend(InMemoryBackend::new())
    }

    /// Opens the store in a storage backend of the caller's, or makes one there when it is empty: for tests
    /// that let the storage fail. It has no journal.
    ///
    /// # Errors
    ///
    /// As [`StoreOptions::open`].
    pub fn open_backend(self, backend: impl StorageBackend) -> Result<Store, OpenError> {
        self.open_storage(backend, None)
    }

    /// As [`StoreOptions::open_backend`], with a place for a journal.
    ///
    /// # Errors
    ///
    /// As [`StoreOptions::open`].
    pub fn open_backend_with_journal(
        self,
        backend: impl StorageBackend,
        journal: impl JournalStorage,
    ) -> Result<Store, OpenError> {
        self.open_storage(backend, Some(Box::new(journal)))
    }

    fn open_storage(
        self,
        backend: impl StorageBackend,
        journal: Option<Box<dyn JournalStorage>>,
    ) -> Result<Store, OpenError> {
        let path = Path::new(BACKEND_PATH);
        let clock = self.clock_or_default(path)?;
        let disk = Disk::open_backend(backend, journal, &self.disk_options(&*clock))?;
        self.start(disk, clock, path)
    }

    fn clock_or_default(&self, path: &Path) -> Result<Arc<dyn Clock>, OpenError> {
        if let Some(clock) = &self.clock {
            return Ok(Arc::clone(clock));
        }
        let clock = SystemClock::new()
            .map_err(|source| OpenError::Clock { path: path.to_owned(), source })?;
        Ok(Arc::new(clock))
    }

    fn disk_options(&self, clock: &dyn Clock) -> DiskOptions {
        let birth = Birth {
            store_id: uuid::Uuid::new_v4().into_bytes(),
            wall_ms: clock.wall().as_millis(),
        };
        DiskOptions {
            cache_bytes: self.cache_bytes,
            verify: self.verify_on_open,
            create: self.create.then_some(birth),
            journal: self.journal,
            journal_bytes: self.journal_bytes,
        }
    }

    fn start(self, disk: Disk, clock: Arc<dyn Clock>, path: &Path) -> Result<Store, OpenError> {
        let failed = |source: DiskError| OpenError::Disk { path: path.to_owned(), source };
        let Recovered { writer, client_sessions, lapsed, recovery } =
            recover(&disk, &self.settings, &*clock).map_err(failed)?;
        let still_locked = writer.document_locks_len() - lapsed;
        // Large pipelines are put beside the store: where there is room for that, there is room for them.
        let scratch = match path.parent() {
            Some(folder) if path.exists() && folder.as_os_str().is_empty() => ".".into(),
            Some(folder) if path.exists() => folder.to_owned(),
            _ => std::env::temp_dir(),
        };
        let writing = (writer, client_sessions);
        let engine = Engine::new(self.settings, clock, disk, writing, recovery, scratch);
        let engine = Arc::new(engine.map_err(failed)?);
        engine.settle_documents(still_locked).map_err(failed)?;
        let started = engine.background.start(&engine);
        started.map_err(|source| OpenError::Thread { path: path.to_owned(), source })?;
        let weak = Arc::downgrade(&engine);
        engine.clock.on_jump(Arc::new(move || {
            if let Some(engine) = weak.upgrade() {
                engine.background.wake();
            }
        }));
        Ok(Store::new(engine))
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What errors call a store that has no path.
const BACKEND_PATH: &str = "(storage backend)";
