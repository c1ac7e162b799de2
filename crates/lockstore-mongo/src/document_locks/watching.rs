//! Being told of changes of documents: one change stream a collection, while somebody of this process waits there.
//!
//! Those who wait stand in a line. What happens wakes the first; when that one has looked, the second, and so on: so they look again in the
//! order in which they have come. That order is each process's own, and no promise: who is just looking may see what those before it have not seen.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::{RawDocumentBuf, doc};
use futures_util::StreamExt;
use mongodb::Client;
use mongodb::change_stream::event::ChangeStreamEvent;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::side_grant::Place;
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
    /// Up to what each has looked, by the numbers in which they came.
    looked: BTreeMap<u64, u64>,
    next: u64,
    /// Whether the stream is open: nothing happens that it does not tell.
    is_live: bool,
    follower: Option<JoinHandle<()>>,
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
    pub(super) fn join(&self, place: &Place) -> Turn {
        let mut lines = lock(&self.lines);
        let line = Arc::clone(lines.entry(place.clone()).or_default());
        let mut state = lock(&line.state);
        if state.follower.is_none() {
            let following = follow(self.client.clone(), place.clone(), Arc::clone(&line));
            state.follower = Some(tokio::spawn(following));
        }
        let (number, looks_at) = (state.next, state.happened);
        state.next += 1;
        state.looked.insert(number, looks_at);
        drop(state);
        drop(lines);
        Turn { number, looks_at, place: place.clone(), line, lines: Arc::clone(&self.lines) }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        lock(&self.lines).values().map(|line| lock(&line.state).looked.len()).sum()
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

    /// Says that the last look is over, and waits until it is this one's turn to look again, for `at_most`, or until the caller gives up.
    pub(super) async fn news(&mut self, at_most: Duration, given_up: &mut GivenUp) {
        lock(&self.line.state).looked.insert(self.number, self.looks_at);
        self.line.moved.notify_waiters();
        let mut over = pin!(tokio::time::sleep(at_most));
        loop {
            let mut moved = pin!(self.line.moved.notified());
            moved.as_mut().enable();
            if let Some(up_to) = lock(&self.line.state).worth_a_look(self.number) {
                self.looks_at = up_to;
                return;
            }
            tokio::select! {
                () = moved => {}
                () = given_up.given_up() => return,
                () = &mut over => return,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lines = lock(&self.lines);
        let mut state = lock(&self.line.state);
        state.looked.remove(&self.number);
        if state.looked.is_empty() {
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
    /// Up to what one may look now, if that is more than it has: what all who came before have looked at.
    fn worth_a_look(&self, number: u64) -> Option<u64> {
        let before = self.looked.range(..number).map(|(_, looked)| *looked);
        let up_to = before.min().unwrap_or(self.happened);
        let looked = self.looked.get(&number)?;
        (up_to > *looked).then_some(up_to)
    }
}

impl Line {
    fn happens(&self) {
        lock(&self.state).happened += 1;
        self.moved.notify_waiters();
    }

    fn is_live(&self, is_live: bool) {
        lock(&self.state).is_live = is_live;
        // What happened before this was not told.
        self.happens();
    }
}

/// Follows the changes of a collection.
async fn follow(client: Client, place: Place, line: Arc<Line>) {
    let Place { database, collection } = place;
    let collection = client.database(&database).collection::<RawDocumentBuf>(&collection);
    loop {
        // That something has happened is all that is to be told.
        let opened = collection.watch().pipeline([doc! { "$project": { "operationType": 1 } }]);
        match opened.await {
            Ok(stream) => {
                let mut stream = stream.with_type::<ChangeStreamEvent<RawDocumentBuf>>();
                line.is_live(true);
                while let Some(event) = stream.next().await {
                    if let Err(error) = event {
                        tracing::debug!(%error, "the change stream of a collection has ended");
                        break;
                    }
                    line.happens();
                }
                line.is_live(false);
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

    #[test]
    fn who_came_first_looks_first_and_nobody_looks_twice_at_the_same() {
        let mut state =
            State { happened: 3, looked: BTreeMap::from([(4, 2), (7, 2)]), ..State::default() };
        assert_eq!((state.worth_a_look(4), state.worth_a_look(7)), (Some(3), None));
        state.looked.insert(4, 3);
        assert_eq!((state.worth_a_look(4), state.worth_a_look(7)), (None, Some(3)));
        state.happened = 9;
        // However much happens, who comes behind has its turn.
        assert_eq!((state.worth_a_look(4), state.worth_a_look(7)), (Some(9), Some(3)));
        state.looked.remove(&4);
        assert_eq!(state.worth_a_look(7), Some(9));
    }
}
