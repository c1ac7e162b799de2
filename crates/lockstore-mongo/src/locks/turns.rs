//! Whose turn it is, among the calls of this process.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

use super::given_up::GivenUp;

/// Has the calls of this process that change the same lock take turns: else each but one of them would have been overtaken, and begin
/// again.
#[derive(Debug)]
pub(super) struct Turns {
    /// Several locks share one; a lock always has the same.
    turns: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Turns {
    /// Waits for the turn of a call that changes the lock of `key`. First come, first served. It is a courtesy: who has given up does
    /// not wait for it, and nobody waits long.
    pub(super) async fn turn(
        &self,
        key: &str,
        given_up: &mut GivenUp,
    ) -> Option<MutexGuard<'_, ()>> {
        let hash = self.hasher.hash_one(key);
        let which = usize::try_from(hash % TURNS).unwrap_or(0);
        tokio::select! {
            turn = self.turns[which].lock() => Some(turn),
            () = given_up.given_up() => None,
            () = tokio::time::sleep(TURN_MAX) => None,
        }
    }
}

impl Default for Turns {
    fn default() -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { turns, hasher: RandomState::new() }
    }
}

/// How long a turn is waited for.
const TURN_MAX: Duration = Duration::from_secs(1);

/// How many turns there are.
const TURNS: u64 = 64;
