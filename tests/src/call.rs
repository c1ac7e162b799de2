//! A blocking call on a thread of its own, which a test can watch and never hangs with.

use std::fs;
use std::path::PathBuf;
use std::thread;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

use crate::patience::{PATIENCE, eventually};

/// A call that another thread makes.
#[derive(Debug)]
pub struct Call<T> {
    outcome: Receiver<T>,
    /// The thread's own folder in `/proc`.
    thread: PathBuf,
}

impl<T: Send + 'static> Call<T> {
    /// Begins it.
    ///
    /// # Panics
    ///
    /// When `/proc` cannot be read.
    #[track_caller]
    pub fn start(call: impl FnOnce() -> T + Send + 'static) -> Self {
        let (done, outcome) = bounded(1);
        let (here, thread) = bounded(1);
        thread::spawn(move || {
            here.send(fs::read_link("/proc/thread-self")).expect("the test waits for it");
            // Nobody may be left to be told.
            let _ = done.send(call());
        });
        let link = thread.recv().expect("the thread tells").expect("/proc can be read");
        Self { outcome, thread: PathBuf::from("/proc").join(link) }
    }

    /// Begins it, and waits until its thread sleeps: it has asked, and is not answered.
    #[track_caller]
    pub fn start_asleep(call: impl FnOnce() -> T + Send + 'static) -> Self {
        let call = Self::start(call);
        let mut seen = 0;
        // One look might meet the thread on its way, waiting for memory.
        eventually("the call sleeps", || {
            seen = if call.sleeps() { seen + 1 } else { 0 };
            seen == 5
        });
        call
    }

    /// The outcome.
    ///
    /// # Panics
    ///
    /// When the call panicked, or hangs.
    #[track_caller]
    pub fn outcome(self) -> T {
        match self.outcome.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => panic!("the call hangs"),
            Err(RecvTimeoutError::Disconnected) => panic!("the call panicked"),
        }
    }

    /// Whether it has not come back.
    pub fn is_pending(&self) -> bool {
        self.outcome.is_empty()
    }

    fn sleeps(&self) -> bool {
        let stat = fs::read_to_string(self.thread.join("stat")).unwrap_or_default();
        // "tid (name) S ...": the name may have anything in it.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    }
}
