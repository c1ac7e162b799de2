//! The one background thread: it serves timers, kept leases, and callers that do not block.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use lockcore::Instant;

use crate::engine::Engine;
use crate::writer::panic_text;

/// How the background thread is woken and ended.
#[derive(Debug, Default)]
pub(crate) struct Background {
    thread: OnceLock<Thread>,
    join: Mutex<Option<JoinHandle<()>>>,
    /// Somebody wants it to look, whatever the time.
    called: AtomicBool,
    /// When it means to wake by itself, in ns. 0 while it is about to find out.
    wakes_at: AtomicU64,
    stopping: AtomicBool,
}

impl Background {
    /// Starts the thread. It lives until [`Background::stop`].
    pub(crate) fn start(&self, engine: &Arc<Engine>) -> std::io::Result<()> {
        let engine = Arc::clone(engine);
        let builder = thread::Builder::new().name("lockstore".into());
        let join = builder.spawn(move || {
            // Without this thread no lease would end any more, so the store must not go on without it.
            let ran = catch_unwind(AssertUnwindSafe(|| engine.background.run(&engine)));
            if let Err(panic) = ran {
                let cause = format!("the background thread panicked: {}", panic_text(&*panic));
                engine.in_seat(|seat| engine.stop(&cause, seat));
            }
        })?;
        self.thread.get_or_init(|| join.thread().clone());
        *self.join.lock().unwrap_or_else(PoisonError::into_inner) = Some(join);
        Ok(())
    }

    /// Has the thread look at the queue and the timers.
    pub(crate) fn wake(&self) {
        // Who finds the flag up has been before by somebody who wakes the thread.
        if !self.called.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Has the thread look at `deadline`, if it does not mean to do so anyway.
    pub(crate) fn wake_by(&self, deadline: Instant) {
        if deadline.as_nanos() < self.wakes_at.load(Ordering::Acquire) {
            self.wake();
        }
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        let join = self.join.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(join) = join
            // The last handle of a store may be dropped by a task that this very thread has woken.
            && join.thread().id() != thread::current().id()
        {
            // A panic of the thread has stopped the store, which says so.
            let _ = join.join();
        }
    }

    fn run(&self, engine: &Engine) {
        while !self.stopping.load(Ordering::Acquire) {
            // From here on every earlier deadline is called out, until it is known when to wake.
            self.wakes_at.store(u64::MAX, Ordering::Release);
            self.called.store(false, Ordering::Release);
            // Before the seat, which may be somebody's who waits for the readings of these.
            engine.transactions.expire(engine.clock.now());
            let next_end = engine.transactions.next_deadline();
            let deadlines = [engine.serve_now(), engine.kept.next_renewal(), next_end];
            let wakes_at = deadlines.into_iter().flatten().min();
            self.wakes_at.store(wakes_at.map_or(u64::MAX, Instant::as_nanos), Ordering::Release);
            if self.called.load(Ordering::Acquire) || self.stopping.load(Ordering::Acquire) {
                continue;
            }
            match wakes_at {
                // A sleeping thread does not see the time that passes while the machine is suspended.
                Some(at) => {
                    thread::park_timeout(at.saturating_since(engine.clock.now()).min(SLEEP_MAX));
                }
                None => thread::park(),
            }
        }
    }
}

/// How long it sleeps at most while a deadline is set: so late is an expiry at most after the machine
/// was suspended.
const SLEEP_MAX: Duration = Duration::from_secs(1);
