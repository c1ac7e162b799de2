//! A call that does not block: what all futures of the store are made of.

use std::sync::Arc;
use std::task::{Context, Poll};

use lockcore::{Holder, Key};

use crate::request::{Answer, Task};
use crate::slot::Slot;
use crate::store::Store;

/// A call on its way. Nothing is asked until it is first polled; dropping it gives it up, and what it was
/// granted meanwhile is handed on.
#[derive(Debug)]
pub(crate) struct Call {
    store: Store,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What to ask, and whose lock it would be.
    Unasked(Task, Option<(Key, Holder)>),
    /// The answer comes into the slot.
    Asked(Arc<Slot>),
    /// The answer was given.
    Done,
}

impl Call {
    pub(crate) fn new(store: &Store, task: Task, acquires: Option<(Key, Holder)>) -> Self {
        Self { store: store.clone(), state: State::Unasked(task, acquires) }
    }

    /// The store that is called.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The answer, once.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Answer> {
        // Whatever the state was, it is `Done` unless an answer is still to come.
        let slot = match std::mem::replace(&mut self.state, State::Done) {
            State::Asked(slot) => slot,
            State::Unasked(task, acquires) => {
                let slot = Arc::new(Slot::for_task(acquires));
                if let Err(error) = self.store.engine().submit(task, &slot) {
                    return Poll::Ready(Answer::Failed(error));
                }
                slot
            }
            State::Done => panic!("a future of the store was polled after it was ready"),
        };
        let polled = slot.poll(context);
        if polled.is_pending() {
            self.state = State::Asked(slot);
        }
        polled
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let State::Asked(slot) = &self.state {
            self.store.engine().give_up(slot);
        }
    }
}
