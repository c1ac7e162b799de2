//! The thread that renews the leases of a store elsewhere.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lockcore::{Instant, Ttl};

use super::{KeptLease, KeptLeases};
use crate::remote::Remote;

/// Renews leases, each time a third of their TTL has passed. Its thread begins with the first lease that is kept.
#[derive(Debug)]
pub(crate) struct Renewer {
    pub(crate) kept: Arc<KeptLeases>,
    remote: Arc<dyn Remote>,
    bell: Arc<Bell>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread sleeps on.
#[derive(Debug, Default)]
struct Bell {
    called: Mutex<Called>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Called {
    /// Nobody calls.
    #[default]
    No,
    /// To look at the leases again.
    Look,
    /// To end.
    Stop,
}

impl Renewer {
    pub(crate) fn new(remote: Arc<dyn Remote>) -> Self {
        Self { kept: Arc::default(), remote, bell: Arc::default(), thread: Mutex::default() }
    }

    /// Has `lease` renewed from now on.
    pub(crate) fn keep(&self, lease: &Arc<KeptLease>, ttl: Ttl) {
        self.kept.keep(lease, ttl, self.remote.clock().now());
        if let Err(error) = self.start() {
            tracing::error!(key = %lease.key, %error, "there is no thread that keeps leases alive");
        }
        self.bell.ring(Called::Look);
    }

    /// Renewals of `lease` end.
    pub(crate) fn let_go(&self, lease: &KeptLease) {
        self.kept.let_go(lease, self.remote.check_usable().is_err());
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.bell.ring(Called::Stop);
        let thread = self.lock().take();
        if let Some(thread) = thread
            && thread.thread().id() != thread::current().id()
        {
            // A panic was reported when it happened, and there is nothing left to renew.
            let _ = thread.join();
        }
    }

    fn start(&self) -> std::io::Result<()> {
        let mut thread = self.lock();
        if thread.is_some() {
            return Ok(());
        }
        let bell = Arc::downgrade(&self.bell);
        self.remote.clock().on_jump(Arc::new(move || {
            if let Some(bell) = bell.upgrade() {
                bell.ring(Called::Look);
            }
        }));
        let (kept, remote, bell) =
            (Arc::clone(&self.kept), Arc::clone(&self.remote), Arc::clone(&self.bell));
        let builder = thread::Builder::new().name("lockstore-renew".into());
        *thread = Some(builder.spawn(move || run(&kept, &*remote, &bell))?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bell {
    fn ring(&self, call: Called) {
        let mut called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        if *called != Called::Stop {
            *called = call;
        }
        self.rung.notify_one();
    }

    /// Sleeps until somebody calls, or for `patience`. Tells whether to go on.
    fn sleep(&self, patience: Option<Duration>) -> bool {
        let called = self.called.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |called: &mut Called| *called == Called::No;
        let mut called = match patience {
            Some(patience) => {
                let woken = self.rung.wait_timeout_while(called, patience, idle);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.rung.wait_while(called, idle).unwrap_or_else(PoisonError::into_inner),
        };
        if *called == Called::Stop {
            return false;
        }
        *called = Called::No;
        true
    }
}

fn run(kept: &KeptLeases, remote: &dyn Remote, bell: &Bell) {
    loop {
        // Asked for when the leases are free again: an answer may come at once, and let one go.
        let mut due = Vec::new();
        kept.take_due(remote.clock().now(), |lease, renewal| due.push((lease, renewal)));
        for (lease, renewal) in due {
            remote.start(renewal, Box::new(move |answer| lease.answered(&answer))).detach();
        }
        let wakes_at = kept.next_renewal();
        if !bell.sleep(wakes_at.map(|at| patience(at, remote.clock().now()))) {
            return;
        }
    }
}

/// A sleeping thread does not see the time that passes while the machine is suspended.
fn patience(at: Instant, now: Instant) -> Duration {
    at.saturating_since(now).min(SLEEP_MAX)
}

/// How long it sleeps at most while a renewal is to come.
const SLEEP_MAX: Duration = Duration::from_secs(1);
