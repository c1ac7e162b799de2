//! A thread that keeps the lease of a lock alive, and gives the lock back in the end.
//!
//! It has a thread of its own because the disk may stall, and whoever watches the command that runs must
//! not: a command does not run on past its lease, whatever the disk does.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use lockstore::{Instant, ReleaseError, RenewError, Store};

use crate::acquiring::Grant;
use crate::backoff::Backoff;
use crate::event::Event;
use crate::failure::Failure;
use crate::holders;
use crate::store_file::{Access, NotOpen, StoreFile};
use crate::times::Lease;

/// What the keeper tells.
#[derive(Debug)]
pub(crate) enum Report {
    /// The lease was renewed.
    Renewed {
        /// Until when the lock is surely held now; `None` when it has no end.
        valid_until: Option<Instant>,
    },
    /// The lease could not be renewed yet, and why. It is tried again at once.
    Trouble(String),
    /// The lock is not held any more, and what became of it. The keeper has ended.
    Lost(String),
    /// The lock was given back, as it was asked for, or not. The keeper has ended.
    Released(Result<(), Failure>),
}

/// A handle to the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    /// To send is to ask for the release.
    release: Sender<()>,
}

impl Keeper {
    /// Begins to keep the lease of `grant`, and to send reports.
    pub(crate) fn start(
        file: StoreFile,
        grant: Grant,
        events: Sender<Event>,
    ) -> Result<Self, Failure> {
        let (release, asked) = channel();
        let keeping = Keeping { file, grant, asked, events };
        let keep = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| keeping.keep())) {
                // Nobody renews from here on.
                keeping.tell(Report::Lost(Failure::mistake(&*panic).to_string()));
            }
        };
        let started = thread::Builder::new().name("keeper".to_owned()).spawn(keep);
        started.map_err(|error| {
            Failure::store(format!("the thread that renews the lease cannot be started: {error}"))
        })?;
        Ok(Self { release })
    }

    /// Asks for the release of the lock. Its report comes, unless the loss of the lock was reported
    /// before: the keeper has ended then.
    pub(crate) fn release(&self) {
        let _ = self.release.send(());
    }
}

/// What the thread has.
struct Keeping {
    file: StoreFile,
    grant: Grant,
    asked: Receiver<()>,
    events: Sender<Event>,
}

impl Keeping {
    fn keep(&self) {
        let interval = interval(self.grant.lease);
        let mut backoff = Backoff::for_file();
        let mut due = self.file.now().saturating_add(interval);
        loop {
            let left = due.saturating_since(self.file.now());
            // A sleeping thread does not see the time that passes while the machine is suspended.
            match self.asked.recv_timeout(left.min(SLEEP_MAX)) {
                Ok(()) => return self.tell(Report::Released(self.release())),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) if self.file.now() < due => continue,
                Err(RecvTimeoutError::Timeout) => {}
            }
            let asked_at = self.file.now();
            let report = self.renew(asked_at);
            due = match &report {
                Report::Renewed { .. } => {
                    backoff.reset();
                    asked_at.saturating_add(interval)
                }
                Report::Trouble(_) => self.file.now().saturating_add(backoff.sleep()),
                Report::Lost(_) | Report::Released(_) => return self.tell(report),
            };
            self.tell(report);
        }
    }

    fn tell(&self, report: Report) {
        // When nobody listens any more, the command is over.
        let _ = self.events.send(Event::Keeper(report));
    }

    /// Renews once, if the file can be had at once.
    fn renew(&self, asked_at: Instant) -> Report {
        let Grant { key, holder, token, .. } = &self.grant;
        let renewed = self.file.try_with(Access::Existing, |store| {
            Ok(match store.renew(key, holder, Some(*token), None) {
                Ok(ttl) => {
                    Report::Renewed { valid_until: ttl.map(|ttl| asked_at.saturating_add(ttl)) }
                }
                Err(RenewError::LeaseLost { .. }) => Report::Lost(self.what_became(store)),
                Err(error) => Report::Trouble(error.to_string()),
            })
        });
        match renewed {
            Ok(Ok(report)) => report,
            Ok(Err(failure)) | Err(NotOpen::Failed(failure)) => {
                Report::Trouble(failure.to_string())
            }
            Err(NotOpen::InUse(sentence)) => Report::Trouble(sentence),
        }
    }

    fn release(&self) -> Result<(), Failure> {
        let Grant { key, holder, token, .. } = &self.grant;
        self.file.with(Access::Existing, |store| match store.release(key, holder, Some(*token)) {
            Ok(()) => Ok(()),
            Err(ReleaseError::Store(error)) => Err(error.into()),
            Err(_) => Err(Failure::lost(self.what_became(store))),
        })
    }

    /// What became of the grant, as far as the store tells: for people.
    fn what_became(&self, store: &Store) -> String {
        let Grant { key, token, .. } = &self.grant;
        let breaks = store.audit(None, BREAKS_READ_MAX).unwrap_or_default();
        let cause = match breaks.iter().find(|record| record.token == *token) {
            Some(record) => format!("it was broken ({})", record.reason),
            None => "its lease had ended, or it was released".to_owned(),
        };
        let now = match store.inspect(key) {
            Ok(Some(lock)) => format!("it is held {} now", holders::by_all(&lock)),
            Ok(None) => "nobody holds it now".to_owned(),
            Err(_) => "who holds it now is not known".to_owned(),
        };
        format!("the lock of {key:?} (token {token}) was lost: {cause}, and {now}")
    }
}

/// How long after a renewal the next one is due: a third of the TTL, so that two may fail. A lock that is
/// held for long, or without end, is looked at more often, to see whether somebody broke it.
fn interval(lease: Lease) -> Duration {
    lease.ttl().map_or(INTERVAL_MAX, |ttl| (ttl / 3).min(INTERVAL_MAX))
}

const INTERVAL_MAX: Duration = Duration::from_secs(20);

const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Enough to find a break that was made since the last renewal, in all likelihood.
const BREAKS_READ_MAX: usize = 100;
