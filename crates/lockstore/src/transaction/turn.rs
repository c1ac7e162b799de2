//! Transactions that met a conflict take turns.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whose turn it is. Many that change the same document at once all lose but one, again and again; one after the other, none
/// does. Who waits for its turn waits for a bounded time, so nothing stands still because somebody has it.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: Mutex<bool>,
    given_back: Condvar,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
}

impl Turns {
    /// Waits for a turn; `None` if that takes longer than some commits, by the number of attempts so far.
    pub(super) fn wait(&self, attempts: u32) -> Option<Turn<'_>> {
        let patience = FIRST_PATIENCE.saturating_mul(1 << attempts.min(PATIENCE_DOUBLINGS));
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.given_back.wait_timeout_while(taken, patience, |taken| *taken);
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if *taken {
            return None;
        }
        *taken = true;
        Some(Turn { turns: self })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.turns.given_back.notify_one();
    }
}

/// How long somebody waits for a turn who met one conflict: some commits.
const FIRST_PATIENCE: Duration = Duration::from_millis(10);

/// How often that is doubled, by one each time: to 320 ms.
const PATIENCE_DOUBLINGS: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_callers_and_who_waits_in_vain_goes_on() {
        let turns = Turns::default();
        let turn = turns.wait(1).expect("nobody has it");
        assert!(turns.wait(0).is_none());
        drop(turn);
        assert!(turns.wait(0).is_some());
    }
}
