//! Kills a process at a random moment, and tells what it had acknowledged by then.
//!
//! The process under test does its work and, after each step that the library *answered*, writes
//! one line to its [`Ledger`]. The parent reads the ledger, kills the process with `SIGKILL` at a
//! moment drawn from a seed, opens the store itself, and compares: everything in the ledger must be
//! there, and at most the one step in flight beyond it.
//!
//! A test can be both sides at once, because it may run itself again:
//!
//! ```no_run
//! use lockstore_testkit::crash::{CrashTest, Ledger};
//! use std::time::Duration;
//!
//! # fn work(n: u64) -> std::io::Result<()> { Ok(()) }
//! # fn check(acknowledged: &[u64]) {}
//! #[test]
//! # fn hidden() {}
//! fn nothing_acknowledged_is_lost() -> std::io::Result<()> {
//!     if let Some(ledger) = Ledger::from_env() {
//!         for n in 0.. {
//!             work(n)?;
//!             ledger.acknowledge(&n)?;
//!         }
//!     }
//!     let mut test = CrashTest::this_test("nothing_acknowledged_is_lost")?
//!         .seed(7)
//!         .after_records(0..200)
//!         .then_after(Duration::ZERO..Duration::from_millis(2));
//!     for _ in 0..20 {
//!         let round = test.round::<u64>()?;
//!         check(&round.records);
//!     }
//!     Ok(())
//! }
//! # nothing_acknowledged_is_lost().unwrap();
//! ```
//!
//! A `kill -9` keeps what the process gave to the kernel, synced or not. What a loss of power does
//! is the business of [`disk`](crate::disk).

mod ledger;
mod running;
mod signal;

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

pub use ledger::{Ledger, Record};
pub use running::Running;
pub use signal::{Paused, pause};

use crate::rng::Rng;

/// Runs a command in rounds, each of which ends with `SIGKILL` at a random moment.
///
/// A moment is a number of records, and a time after the last of them was read. Unless set, it is
/// 1 to 100 records and up to 5 ms. A process that ends by itself before its moment is not killed.
#[derive(Debug)]
pub struct CrashTest {
    command: Command,
    name: String,
    seed: u64,
    rng: Rng,
    round: u64,
    records: Range<u64>,
    then: Range<Duration>,
    patience: Duration,
}

impl CrashTest {
    /// Runs `command`, which writes to [`Ledger::from_env`]. Its standard output carries the
    /// ledger; other lines in it are ignored.
    pub fn new(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self {
            name: command.get_program().to_string_lossy().into_owned(),
            command,
            seed: 0,
            rng: Rng::new(0),
            round: 0,
            records: 1..101,
            then: Duration::ZERO..Duration::from_millis(5),
            patience: Duration::from_secs(60),
        }
    }

    /// Runs one test of the running test program again, in a process of its own. `name` is the
    /// test's full name as the test program lists it: `module::tests::name`.
    ///
    /// # Errors
    ///
    /// When the path of the running program is not known.
    pub fn this_test(name: &str) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([name, "--exact", "--nocapture", "--include-ignored"]);
        command.arg("--test-threads=1");
        let mut test = Self::new(command);
        name.clone_into(&mut test.name);
        Ok(test)
    }

    /// Sets an environment variable of the process.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// The seed of all moments; the same seed draws the same ones. 0 unless set.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self.rng = Rng::new(seed);
        self
    }

    /// How many records are read before the moment; with 0 the time counts from the start of the
    /// process, so that its opening of the store can be hit too.
    #[must_use]
    pub fn after_records(mut self, records: Range<u64>) -> Self {
        self.records = records;
        self
    }

    /// How long after the last of these records the moment is.
    #[must_use]
    pub fn then_after(mut self, then: Range<Duration>) -> Self {
        self.then = then;
        self
    }

    /// How long the records may be in coming before the round is given up as hung. 60 s unless set.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the process without planning its end, for tests that choose the moment themselves.
    ///
    /// # Errors
    ///
    /// When the process cannot be started.
    pub fn start<R: Record>(&mut self) -> io::Result<Running<R>> {
        self.round += 1;
        self.command.env(ledger::ENVIRONMENT, ledger::environment(self.seed, self.round));
        Running::start(&mut self.command, &self.name)
    }

    /// Runs the process until its moment, kills it, and returns what it had acknowledged. The
    /// moment is printed to standard error, where a failing test shows it.
    ///
    /// # Errors
    ///
    /// When the process cannot be started, hangs, fails by itself, never opens its ledger, or
    /// writes a line to it that is no record.
    pub fn round<R: Record>(&mut self) -> io::Result<Round<R>> {
        let records = self.draw_records();
        let then = self.draw_then();
        let running = self.start()?;
        eprintln!(
            "{}: round {} of seed {}: killed after {records} records and {then:?}",
            self.name, self.round, self.seed
        );
        if !running.wait_for_records(records, self.patience) {
            let read = running.records();
            let name = &self.name;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{name} hangs: it acknowledged {read} records, {records} were awaited"),
            ));
        }
        running.wait_for_end(then);
        let round = running.kill()?;
        match round.ending {
            Ending::Exited(status) if !status.success() => {
                Err(io::Error::other(format!("{} failed by itself: {status}", self.name)))
            }
            Ending::Exited(_) | Ending::Killed => Ok(round),
        }
    }

    fn draw_records(&mut self) -> u64 {
        let Range { start, end } = self.records;
        start + self.rng.below(end.saturating_sub(start))
    }

    fn draw_then(&mut self) -> Duration {
        let Range { start, end } = self.then;
        let nanos = u64::try_from(end.saturating_sub(start).as_nanos()).unwrap_or(u64::MAX);
        start + Duration::from_nanos(self.rng.below(nanos))
    }
}

/// What is known of a process that was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Round<R> {
    /// What it acknowledged, in order. A record cut in two by the kill is not among them.
    pub records: Vec<R>,
    /// Whether it was killed or ended before.
    pub ending: Ending,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `SIGKILL`, as planned.
    Killed,
    /// By itself, before it was killed.
    Exited(ExitStatus),
}

#[cfg(test)]
mod tests;
