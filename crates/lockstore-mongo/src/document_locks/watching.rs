//! Being told of changes of documents: one change stream a collection, while somebody of this process waits there.
//!
//! What happens wakes those to whom it can matter: a change of the document that they wait for, or one that [may put another in its
//! place](super::wants). Of those who wait for the same document the first looks; when that one has looked, the second, and so on: so they look
//! again in the order in which they have come. That order is each process's own.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::{Bson, RawDocumentBuf};
use futures_util::StreamExt;
use mongodb::Client;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::side_grant::Place;
use super::wants::{Changed, Wants};
use crate::locks::GivenUp;

/// The lines, by collection.
#[derive(Debug)]
pub(super) struct Watching {
    client: Client,
    lines: Arc<Mutex<Lines>>,
}

type Lines = HashMap<Place, Arc<Line>>;

/// Those who wait in a collection.
#[derive(Debug, Default)]
struct Line {
    state: Mutex<State>,
    /// Something is to be looked at by somebody.
    moved: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How often something has happened.
    happened: u64,
    /// By the numbers in which they came.
    waiters: BTreeMap<u64, Waiter>,
    next: u64,
    /// Whether the stream is open: nothing happens that it does not tell.
    is_live: bool,
    follower: Option<JoinHandle<()>>,
}

/// One who waits.
#[derive(Debug)]
struct Waiter {
    wants: Wants,
    /// The last that has happened and matters to it.
    told: u64,
    /// Up to what it has looked.
    looked: u64,
}

/// A place in a line. Dropping it leaves the line.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    /// What the look under way will have seen.
    looks_at: u64,
    place: Place,
    line: Arc<Line>,
    lines: Arc<Mutex<Lines>>,
}

impl Watching {
    pub(super) fn new(client: Client) -> Self {
        Self { client, lines: Arc::default() }
    }

    /// Stands at the end of a collection's line. To be called on the driver's threads.
    pub(super) fn join(&self, place: &Place, wants: Wants) -> Turn {
        let mut lines = lock(&self.lines);
        let line = Arc::clone(lines.entry(place.clone()).or_default());
        let mut state = lock(&line.state);
        if state.follower.is_none() {
            let following = follow(self.client.clone(), place.clone(), Arc::clone(&line));
            state.follower = Some(tokio::spawn(following));
        }
        let (number, looks_at) = (state.next, state.happened);
        state.next += 1;
        state.waiters.insert(number, Waiter { wants, told: looks_at, looked: looks_at });
        drop(state);
        drop(lines);
        Turn { number, looks_at, place: place.clone(), line, lines: Arc::clone(&self.lines) }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.lines).values().map(|line| lock(&line.state).waiters.len()).sum()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        for line in lock(&self.lines).values() {
            if let Some(follower) = lock(&line.state).follower.take() {
                follower.abort();
            }
        }
    }
}

impl Turn {
    /// Whether everything that happens is told: if not, it is worth looking now and then.
    pub(super) fn is_live(&self) -> bool {
        lock(&self.line.state).is_live
    }

    /// Says that the last look is over, which has found this document in the way, and waits until it is this one's turn to look again, for
    /// `at_most`, or until the caller gives up.
    pub(super) async fn news(
        &mut self,
        in_the_way: Option<Bson>,
        at_most: Duration,
        given_up: &mut GivenUp,
    ) {
        lock(&self.line.state).has_looked(self.number, self.looks_at, in_the_way);
        self.line.moved.notify_waiters();
        let mut over = pin!(tokio::time::sleep(at_most));
        loop {
            let mut moved = pin!(self.line.moved.notified());
            moved.as_mut().enable();
            if lock(&self.line.state).is_worth_a_look(self.number) {
                break;
            }
            tokio::select! {
                () = moved => {}
                () = given_up.given_up() => break,
                () = &mut over => break,
            }
        }
        self.looks_at = lock(&self.line.state).happened;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        let mut state = lock(&self.line.state);
        state.waiters.remove(&self.number);
        if state.waiters.is_empty() {
            if let Some(follower) = state.follower.take() {
                follower.abort();
            }
            if lines.get(&self.place).is_some_and(|line| Arc::ptr_eq(line, &self.line)) {
                lines.remove(&self.place);
            }
        }
        drop(state);
        self.line.moved.notify_waiters();
    }
}

impl State {
    /// Whether something has happened that one has not looked at, nor is to be looked at first by another who waits for the same.
    fn is_worth_a_look(&self, number: u64) -> bool {
        let Some(waiter) = self.waiters.get(&number) else { return false };
        let comes_first =
            |before: &Waiter| before.is_to_look() && before.wants.is_for_the_same(&waiter.wants);
        waiter.is_to_look() && !self.waiters.range(..number).any(|(_, before)| comes_first(before))
    }

    /// One has looked at what had happened `up_to` then, and waits for that document from now on. What has happened since was told by what it had
    /// waited for before: if that is another, all of it may matter.
    fn has_looked(&mut self, number: u64, up_to: u64, in_the_way: Option<Bson>) {
        if let Some(waiter) = self.waiters.get_mut(&number) {
            waiter.looked = up_to;
            if waiter.wants.wait_for(in_the_way) {
                waiter.told = self.happened;
            }
        }
    }

    /// Tells those of it to whom it matters. Whether there are any.
    fn happens(&mut self, matters: impl Fn(&Wants) -> bool) -> bool {
        self.happened += 1;
        let mut any = false;
        for waiter in self.waiters.values_mut().filter(|waiter| matters(&waiter.wants)) {
            waiter.told = self.happened;
            any = true;
        }
        any
    }
}

impl Waiter {
    fn is_to_look(&self) -> bool {
        self.told > self.looked
    }
}

impl Line {
    fn happens(&self, matters: impl Fn(&Wants) -> bool) {
        if lock(&self.state).happens(matters) {
            self.moved.notify_waiters();
        }
    }

    fn set_live(&self, is_live: bool) {
        lock(&self.state).is_live = is_live;
        // What happened before this was not told.
        self.happens(|_| true);
    }
}

/// Follows the changes of a collection.
async fn follow(client: Client, place: Place, line: Arc<Line>) {
    let Place { database, collection } = place;
    let collection = client.database(&database).collection::<RawDocumentBuf>(&collection);
    loop {
        match collection.watch().pipeline(Changed::pipeline()).await {
            Ok(stream) => {
                let mut stream = stream.with_type::<Changed>();
                line.set_live(true);
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(changed) => line.happens(|wants| wants.matters(&changed)),
                        Err(error) => {
                            tracing::debug!(%error, "the change stream of a collection has ended");
                            break;
                        }
                    }
                }
                line.set_live(false);
            }
            Err(error) => tracing::debug!(%error, "a collection has no change stream"),
        }
        tokio::time::sleep(OPEN_AGAIN).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long until a stream that has ended is opened again.
const OPEN_AGAIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(of: &[(u64, i32, u64)], happened: u64) -> State {
        let waiters = of.iter().map(|&(number, id, looked)| {
            (number, Waiter { wants: waits_for(id), told: looked, looked })
        });
        State { happened, waiters: waiters.collect(), ..State::default() }
    }

    fn waits_for(id: i32) -> Wants {
        let mut wants = Wants::default();
        wants.wait_for(Some(id.into()));
        wants
    }

    fn to_look(state: &State) -> Vec<u64> {
        state.waiters.keys().copied().filter(|number| state.is_worth_a_look(*number)).collect()
    }

    #[test]
    fn of_those_who_wait_for_the_same_document_who_came_first_looks_first() {
        let mut state = waiting(&[(4, 1, 2), (5, 2, 2), (7, 1, 2)], 2);
        assert_eq!(to_look(&state), [0; 0]);
        assert!(state.happens(|_| true));
        assert_eq!(to_look(&state), [4, 5]);
        state.waiters.get_mut(&4).unwrap().looked = 3;
        assert_eq!(to_look(&state), [5, 7]);
        // Who leaves holds nobody up.
        state.happens(|_| true);
        assert_eq!(to_look(&state), [4, 5]);
        state.waiters.remove(&4);
        assert_eq!(to_look(&state), [5, 7]);
    }

    #[test]
    fn nobody_looks_at_what_does_not_matter_to_it() {
        let mut state = waiting(&[(4, 1, 2), (5, 2, 2)], 2);
        let of_two = |wants: &Wants| wants.is_for_the_same(&waits_for(2));
        assert!(state.happens(of_two));
        assert_eq!(to_look(&state), [5]);
        assert!(!state.happens(|_| false));
    }

    #[test]
    fn what_has_happened_while_it_looked_matters_to_who_has_found_another_document_in_the_way() {
        let of_two = |wants: &Wants| wants.is_for_the_same(&waits_for(2));
        let mut state = waiting(&[(4, 1, 2), (5, 1, 2)], 2);
        // Two is unlocked when the looks have seen it locked.
        state.happens(of_two);
        state.has_looked(4, 2, Some(2.into()));
        state.has_looked(5, 2, Some(1.into()));
        assert_eq!(to_look(&state), [4]);
        state.has_looked(4, 3, Some(1.into()));
        assert_eq!(to_look(&state), [0; 0]);
    }
}
