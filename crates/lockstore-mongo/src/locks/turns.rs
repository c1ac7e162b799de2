//! Whose turn it is, among the calls of this process that change the same lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Mutex as Turn, MutexGuard as TurnGuard, oneshot};

use super::step::{Step, Taken};
use crate::failure::Failure;

/// Has the calls of this process that change the same lock take turns, and whoever has its turn do what all of them want by then: else each but
/// one of them would have been overtaken, and begin again.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lines: Mutex<HashMap<Box<str>, Arc<Line>>>,
}

/// Those who want to change one lock.
#[derive(Debug, Default)]
struct Line {
    turn: Turn<()>,
    asked: Mutex<Vec<Asked>>,
}

/// A call in the line of its lock.
#[derive(Debug)]
pub(super) struct Place<'t> {
    turns: &'t Turns,
    key: &'t str,
    line: Arc<Line>,
}

/// A step that is not taken yet.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) step: Step,
    tell: oneshot::Sender<Result<Taken, Failure>>,
}

/// Where a call is told what its step has come to.
#[derive(Debug)]
pub(super) struct Told(oneshot::Receiver<Result<Taken, Failure>>);

/// What a call in the line has waited for.
#[derive(Debug)]
pub(super) enum Came<'l> {
    /// Somebody else has taken its step.
    Told(Box<Result<Taken, Failure>>),
    /// It is its turn, or that does not come.
    Turn(Option<TurnGuard<'l, ()>>),
}

impl Turns {
    /// Stands in the line of a lock until it is dropped.
    pub(super) fn stand<'t>(&'t self, key: &'t str) -> Place<'t> {
        let mut lines = lock(&self.lines);
        let line = lines.entry(key.into()).or_default();
        Place { turns: self, key, line: Arc::clone(line) }
    }
}

impl Place<'_> {
    /// Whether nobody else stands there.
    pub(super) fn is_alone(&self) -> bool {
        let _lines = lock(&self.turns.lines);
        Arc::strong_count(&self.line) == ALONE
    }

    /// Asks for a step, which whoever has its turn takes.
    pub(super) fn ask(&self, step: Step) -> Told {
        let (tell, told) = oneshot::channel();
        lock(&self.line.asked).push(Asked { step, tell });
        Told(told)
    }

    /// Waits for the turn, or until what was asked for is told. First come, first served; nobody waits long, for whoever has it may be waiting for a
    /// primary.
    pub(super) async fn turn(&self, told: &mut Told) -> Came<'_> {
        tokio::select! {
            biased;
            told = &mut told.0 => Came::Told(Box::new(told.unwrap_or(Err(Failure::Conflict)))),
            turn = self.line.turn.lock() => Came::Turn(Some(turn)),
            () = tokio::time::sleep(TURN_MAX) => Came::Turn(None),
        }
    }

    /// Adds those who have asked to `taken`: so many that it is not too many at once.
    pub(super) fn take(&self, taken: &mut Vec<Asked>) {
        let mut asked = lock(&self.line.asked);
        let more = asked.len().min(STEPS_MAX.saturating_sub(taken.len()));
        taken.extend(asked.drain(..more));
    }
}

impl Told {
    /// What was told by now.
    pub(super) fn now(&mut self) -> Option<Result<Taken, Failure>> {
        match self.0.try_recv() {
            Ok(taken) => Some(taken),
            Err(TryRecvError::Empty) => None,
            // Who had taken it has panicked.
            Err(TryRecvError::Closed) => Some(Err(Failure::Conflict)),
        }
    }

    /// Waits until it is told.
    pub(super) async fn wait(self) -> Result<Taken, Failure> {
        self.0.await.unwrap_or(Err(Failure::Conflict))
    }
}

impl Asked {
    /// Tells the call what its step has come to.
    pub(super) fn tell(self, taken: Result<Taken, Failure>) {
        // It waits for it, unless the store's threads are being ended.
        let _ = self.tell.send(taken);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = lock(&self.turns.lines);
        if Arc::strong_count(&self.line) == ALONE {
            lines.remove(self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who has a line of which nobody else is part: the map, and who stands there.
const ALONE: usize = 2;

/// How long a turn is waited for.
const TURN_MAX: Duration = Duration::from_secs(1);

/// How many steps are taken at once.
const STEPS_MAX: usize = 1_000;
