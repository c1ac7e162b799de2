//! Waiting for a free key without blocking a thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lockcore::{Command, Key, Wait};

use crate::error::{ArgumentError, WaitError};
use crate::request::Task;
use crate::slot::Slot;
use crate::store::{Store, freed};

/// A wait for a free key; see [`Store::wait_until_free_async`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct WaitFuture {
    store: Store,
    state: State,
}

#[derive(Debug)]
enum State {
    Unasked(Result<Command, ArgumentError>),
    Asked(Arc<Slot>),
    Done,
}

impl WaitFuture {
    pub(crate) fn new(store: &Store, key: &str, timeout: Option<Duration>) -> Self {
        let now = store.engine().clock.now();
        let wait =
            timeout.map_or(Wait::Forever, |timeout| Wait::Until(now.saturating_add(timeout)));
        let command = Key::new(key).map(|key| Command::WaitUntilFree { key, wait, session: None });
        Self { store: store.clone(), state: State::Unasked(command.map_err(ArgumentError::from)) }
    }
}

impl Future for WaitFuture {
    type Output = Result<bool, WaitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Unasked(checked) = &this.state {
            let checked = checked.clone();
            this.state = State::Done;
            let command = match checked {
                Ok(command) => command,
                Err(error) => return Poll::Ready(Err(error.into())),
            };
            let slot = Arc::new(Slot::for_task(None));
            if let Err(error) = this.store.engine().submit(Task::Command(command), &slot) {
                return Poll::Ready(Err(error.into()));
            }
            this.state = State::Asked(slot);
        }
        let State::Asked(slot) = &this.state else {
            panic!("a WaitFuture was polled after it was ready");
        };
        let Poll::Ready(answer) = slot.poll(context) else { return Poll::Pending };
        this.state = State::Done;
        Poll::Ready(freed(answer))
    }
}

impl Drop for WaitFuture {
    fn drop(&mut self) {
        if let State::Asked(slot) = &self.state {
            self.store.engine().give_up(slot);
        }
    }
}
