//! Watching over a command that runs under a lock.

use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use lockstore::Instant;
use rustix::process::{Pid, Signal, getpid, kill_process};
use signal_hook::consts::SIGHUP;

use crate::event::{Event, Events};
use crate::failure::Failure;
use crate::held::Held;
use crate::output::warn;
use crate::signals::{Caught, SIGCHLD};
use crate::store_place::StorePlace;
use crate::times::Lease;

/// Waits for the command's end, passes signals on to it, and ends it when the lock is lost.
#[derive(Debug)]
pub(crate) struct Supervisor<'a> {
    place: &'a StorePlace,
    held: &'a Held,
    child: Child,
    lease: Lease,
    grace: Duration,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The lock is held.
    Running,
    /// The lock is lost, or about to be, and the command was told to end. It is killed by then, and at the end of the lease at the latest.
    Ending { kill_at: Instant, lease_end: Option<Instant> },
    /// It did not, and was killed.
    Killed,
}

/// How the command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Whether the lock was lost before.
    pub(crate) lost: bool,
}

impl<'a> Supervisor<'a> {
    pub(crate) fn new(
        place: &'a StorePlace,
        held: &'a Held,
        child: Child,
        lease: Lease,
        grace: Duration,
    ) -> Self {
        Self { place, held, child, lease, grace, phase: Phase::Running }
    }

    /// Waits until the command has ended.
    pub(crate) fn watch(mut self, events: &Events) -> Result<Ended, Failure> {
        loop {
            let exited = self.child.try_wait().map_err(|error| {
                Failure::store(format!("the command's end cannot be waited for: {error}"))
            })?;
            if let Some(status) = exited {
                return Ok(Ended { status, lost: self.phase != Phase::Running });
            }
            self.act(self.place.now());
            let left = self.next_act().map(|at| at.saturating_since(self.place.now()));
            // A sleeping thread does not see the time that passes while the machine is suspended.
            match events.next(left.unwrap_or(SLEEP_MAX).min(SLEEP_MAX)) {
                Some(Event::Signal(caught)) => self.pass_on(caught),
                Some(Event::Ended(token)) if token == self.held.token() => self.held.look(events),
                Some(Event::Missed) => self.held.look(events),
                // There is no lease any more whose end could matter.
                Some(Event::Lost(why)) if self.phase == Phase::Running => self.end(&why, None),
                Some(Event::Ended(_) | Event::Lost(_) | Event::Woken) | None => {}
            }
        }
    }

    /// Does what is due at `now`.
    fn act(&mut self, now: Instant) {
        if self.next_act().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Running => {
                self.end("the lease could not be renewed in time", self.lease_end());
                warn(&self.place.why_silent());
            }
            Phase::Ending { .. } => {
                warn("the command has not ended in time, and is killed");
                self.send(Signal::KILL);
                self.phase = Phase::Killed;
            }
            Phase::Killed => {}
        }
    }

    /// When the next thing is due, if nothing happens before.
    fn next_act(&self) -> Option<Instant> {
        match self.phase {
            // Early enough to leave the command its grace before the lease ends.
            Phase::Running => self.lease_end().map(|end| earlier(end, self.grace_in_lease())),
            Phase::Ending { kill_at, lease_end } => {
                Some(lease_end.map_or(kill_at, |end| end.min(kill_at)))
            }
            Phase::Killed => None,
        }
    }

    /// When the lease counts as ended, as it was renewed last.
    fn lease_end(&self) -> Option<Instant> {
        self.held.valid_until().map(|until| earlier(until, self.margin()))
    }

    /// What of a lease may be used as grace: renewals need the rest.
    fn grace_in_lease(&self) -> Duration {
        self.lease.ttl().map_or(Duration::ZERO, |ttl| (ttl / 3).min(self.grace))
    }

    /// How long before the end of the lease it counts as ended: a signal takes a moment to arrive.
    fn margin(&self) -> Duration {
        self.lease.ttl().map_or(Duration::ZERO, |ttl| (ttl / 10).min(MARGIN_MAX))
    }

    /// Tells the command to end.
    fn end(&mut self, why: &str, lease_end: Option<Instant>) {
        self.send(Signal::TERM);
        let kill_at = self.place.now().saturating_add(self.grace);
        self.phase = Phase::Ending { kill_at, lease_end };
        warn(&format!("{why}; the command is told to end"));
    }

    /// Passes a signal on, unless the command has got it as well: the terminal sends the signals of keys
    /// such as Ctrl-C to both of us.
    fn pass_on(&self, caught: Caught) {
        let ours_alone = caught.by_process || (caught.number == SIGHUP && is_session_leader());
        if caught.number == SIGCHLD || !ours_alone {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(caught.number) {
            self.send(signal);
        }
    }

    /// Signals the command. It is not waited for before it has ended, so its number is still its own.
    fn send(&self, signal: Signal) {
        if let Err(error) = kill_process(Pid::from_child(&self.child), signal) {
            tracing::warn!(%error, ?signal, "the command could not be signalled");
        }
    }
}

/// When a terminal goes away, the kernel tells only the leader of its session.
///
/// Out of `/proc/self/stat`: in a container whose first process did not begin a session, `getsid` answers 0, which
/// rustix takes for impossible.
fn is_session_leader() -> bool {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let session =
        stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(SESSION_FIELD));
    session.and_then(|session| session.parse().ok()) == Some(getpid().as_raw_nonzero().get())
}

/// Where the session stands behind the program's name in `/proc/self/stat`: after state, parent and group.
const SESSION_FIELD: usize = 3;

impl Drop for Supervisor<'_> {
    /// No command is left to run with nobody to watch its lease.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.send(Signal::KILL);
        }
    }
}

fn earlier(instant: Instant, by: Duration) -> Instant {
    let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
    Instant::from_nanos(instant.as_nanos().saturating_sub(by))
}

const SLEEP_MAX: Duration = Duration::from_secs(1);

const MARGIN_MAX: Duration = Duration::from_millis(50);
