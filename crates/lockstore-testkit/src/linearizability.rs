//! Judges a [history](crate::history): could a correct store have given these answers?
//!
//! A correct store is one that does each operation at one instant between its call and its return,
//! and behaves as follows:
//!
//! 1. Of one key, either one exclusive grant holds at a time, or any number of shared ones of
//!    different holders.
//! 2. A grant's token is greater than that of every earlier grant of the whole store. A holder that
//!    acquires again in the same mode gets the grant it has, with the new end of its lease.
//! 3. A release or a renewal that succeeds names a grant that holds, and its holder. A break ends
//!    exactly the grant it names.
//! 4. A grant ends by release, break or expiry only, and it does not expire before the `valid_until`
//!    that its holder was told last.
//! 5. What is read, refused or told by an event is true at one instant between call and return.
//! 6. An operation without an answer happens at one instant after its call, or never.
//! 7. A waiter gets an answer by its deadline, and does not wait for a lock that is free
//!    (both with [`Checker::slack`]).
//!
//! Not judged: the order in which waiters are served, and whether a shared acquire was refused for
//! good reason while shared grants held.
//!
//! # How, and why that is enough
//!
//! *Tokens first.* Rule 2 puts all grants of all keys into one order. Let `first(t)` be the earliest
//! call that can have been granted `t`, and `seen(t)` the earliest return of an operation that names
//! `t` as granted. The grant of `t` happened between the two; and because `t`'s predecessors were
//! granted before it and its successors after it, it also happened after every `first(s)`, `s < t`,
//! and before every `seen(u)`, `u > t`. A token for which these bounds cross is a violation. (Instants
//! that rise with the tokens exist if and only if no bounds cross: give each token the greatest
//! `first` up to it.) The bounds are handed on to the search of each key, where they narrow the grants.
//!
//! *Then key by key.* But for the order of tokens, keys do not touch each other, and linearizability is local: a
//! history has a legal order if each key's part has one (Herlihy and Wing, 1990). What is decided is
//! thus: *each key's part is linearizable with its grants inside the bounds*. This accepts every history
//! of a correct store. It would also accept one in which the bounds of two keys tighten each other
//! through something else than tokens, such as a release that is called late.
//!
//! *Within a key*, the search is Wing and Gong's, in the manner of Lowe (2017): it walks through
//! calls and returns in real-time order with the set of all configurations (a state, and which open
//! operations have happened), and when an operation returns, keeps those in which it has happened,
//! after trying every order of other open operations before it. It ends with an empty set exactly if
//! there is no legal order. Four things keep the set small, and lose nothing:
//!
//! - A grant is legal only if all smaller tokens of the key were granted. So of any number of
//!   contenders only one can be next.
//! - An operation that changes nothing is taken at once where the state satisfies it. In a legal
//!   order of what follows it may be moved forward to here, for nothing else notices.
//! - What ends a grant (release, break, expiry, an unanswered one of these) is tried before its own
//!   return only if some other open operation wants the grant gone. Otherwise take the legal order
//!   that follows, and move the end back to just before the first operation that wants it, or to its
//!   return: those it passes do not notice. A renewal is tried early only if the grant may end first.
//! - An unanswered acquire is tried only if it explains the next token, or if some open operation
//!   wants the lock held; moved back in the same way otherwise. Of two configurations that differ
//!   only in that one has used up fewer unanswered operations, that one is kept: it can do whatever
//!   the other can. Of acquires that can stand in for each other, because nobody asks for their
//!   holders any more and they may end at the same times, the first is tried for all.
//!
//! The tests compare the search with a plain one that tries every order, on thousands of small histories.
//!
//! Memory and time are bounded by [`Checker::configurations_max`]. A key that would need more, which
//! takes dozens of unanswered or overlapping shared operations on it, is listed as undecided in the
//! [`Summary`], never passed in silence.

mod explain;
mod key;
mod search;
mod state;
mod tokens;
mod unanswered;
mod violation;
mod waiters;

use std::collections::BTreeMap;
use std::time::Duration;

use lockstore::Key;

pub use violation::{Rule, Violation};

use crate::history::{History, Operation};
use key::KeyHistory;
use search::{Search, Verdict};
use tokens::Tokens;

/// Judges with the defaults of [`Checker`].
///
/// # Errors
///
/// The first [`Violation`] found.
pub fn check(history: &History) -> Result<Summary, Violation> {
    Checker::new().check(history)
}

/// Judges histories.
#[derive(Clone, Debug)]
pub struct Checker {
    slack: Duration,
    configurations_max: usize,
}

impl Checker {
    /// Slack of 5 s, and at most 100,000 configurations.
    pub fn new() -> Self {
        Self { slack: Duration::from_secs(5), configurations_max: 100_000 }
    }

    /// How late a waiter may be told, and a lease may expire, before it counts as lost. It must
    /// cover scheduling delays, stalls that the test itself makes, and the store's grace for leases
    /// at a restart. On the store's clock.
    #[must_use]
    pub fn slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// How many configurations of one key are looked at between two returns before the key is
    /// given up as undecided.
    #[must_use]
    pub fn configurations_max(mut self, max: usize) -> Self {
        self.configurations_max = max;
        self
    }

    /// Judges a history: in time proportional to its length, times the number of operations
    /// that are open at once on one key.
    ///
    /// # Errors
    ///
    /// The first [`Violation`] found, with the operations that contradict each other.
    pub fn check(&self, history: &History) -> Result<Summary, Violation> {
        let mut summary = Summary { operations: history.operations.len(), ..Summary::default() };
        let tokens = Tokens::collect(&history.operations)?;
        summary.grants = tokens.len();

        let mut keys: BTreeMap<&Key, Vec<usize>> = BTreeMap::new();
        for (number, operation) in history.operations.iter().enumerate() {
            keys.entry(&operation.key).or_default().push(number);
        }
        summary.keys = keys.len();
        for (key, numbers) in keys {
            let part = KeyHistory::new(&history.operations, &numbers, &tokens)?;
            match Search::new(&part, self.configurations_max).run() {
                Verdict::Legal => {}
                Verdict::Undecided => summary.undecided.push(key.clone()),
                Verdict::Illegal(violation) => return Err(*violation),
            }
            waiters::check(&part, &numbers, self.slack, history.ended)?;
        }
        Ok(summary)
    }
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

/// What was judged, and found correct.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many operations.
    pub operations: usize,
    /// How many different tokens.
    pub grants: usize,
    /// How many keys.
    pub keys: usize,
    /// Keys with too many operations open at once to be decided; a test should assert that there are none.
    pub undecided: Vec<Key>,
}

/// The operations with these numbers, for a [`Violation`].
fn involved(operations: &[Operation], numbers: &[usize]) -> Vec<Operation> {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable_by_key(|&number| (operations[number].invoked, number));
    numbers.dedup();
    numbers.iter().map(|&number| operations[number].clone()).collect()
}

#[cfg(test)]
mod tests;
