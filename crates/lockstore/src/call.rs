//! A call that does not block: what all futures of the store are made of.

mod away;

use std::sync::Arc;
use std::task::{Context, Poll};

use lockcore::{Holder, Key};

use crate::backend::Backend;
use crate::client_sessions::Origin;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::remote::{LockAnswer, LockCall};
use crate::request::{Answer, Task};
use crate::slot::Slot;
use crate::store::Store;
use away::Away;

/// A call about a lock on its way, here or elsewhere. Nothing is asked until it is first polled; dropping it gives it up, and what it was
/// granted meanwhile is handed on.
#[derive(Debug)]
pub(crate) struct LockFuture {
    way: Way,
    /// Stays open as long as somebody waits.
    store: Store,
}

#[derive(Debug)]
enum Way {
    Here(Call),
    There(Away),
}

impl LockFuture {
    pub(crate) fn new(store: &Store, call: LockCall) -> Self {
        let way = match store.backend() {
            Backend::Here(engine) => Way::Here(Call::about_lock(engine, call, None)),
            Backend::There(remote) => Way::There(Away::new(remote, call)),
        };
        Self { way, store: store.clone() }
    }

    /// The store that is called.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The answer, once.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<LockAnswer> {
        match &mut self.way {
            Way::Here(call) => call.poll(context).map(LockAnswer::from),
            Way::There(call) => call.poll(context),
        }
    }
}

/// A call of an engine on its way. Nothing is asked until it is first polled; dropping it gives it up, and what it was
/// granted meanwhile is handed on.
#[derive(Debug)]
pub(crate) struct Call {
    engine: Arc<Engine>,
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
    pub(crate) fn new(engine: &Arc<Engine>, task: Task, acquires: Option<(Key, Holder)>) -> Self {
        Self { engine: Arc::clone(engine), state: State::Unasked(task, acquires) }
    }

    /// A call about a lock.
    pub(crate) fn about_lock(
        engine: &Arc<Engine>,
        call: LockCall,
        origin: Option<Arc<Origin>>,
    ) -> Self {
        let acquires = call.acquires();
        Self::new(engine, Task::from(call).remembered_by(origin), acquires)
    }

    /// Asks now, and serves it on this thread if nobody sits in the writer's seat. The answer, if it is there already.
    pub(crate) fn start(&mut self) -> Option<Answer> {
        let slot = match self.ask(Engine::start) {
            Ok(slot) => slot,
            Err(error) => return Some(Answer::Failed(error)),
        };
        let answer = slot.try_take();
        if answer.is_none() {
            self.state = State::Asked(slot);
        }
        answer
    }

    /// The answer, once.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Answer> {
        let slot = match self.ask(Engine::submit) {
            Ok(slot) => slot,
            Err(error) => return Poll::Ready(Answer::Failed(error)),
        };
        let polled = slot.poll(context);
        if polled.is_pending() {
            self.state = State::Asked(slot);
        }
        polled
    }

    /// Where the answer comes, once it has been asked for. The call is done, unless that is still to come.
    fn ask(
        &mut self,
        ask: fn(&Engine, Task, &Arc<Slot>) -> Result<(), StoreError>,
    ) -> Result<Arc<Slot>, StoreError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Asked(slot) => Ok(slot),
            State::Unasked(task, acquires) => {
                let slot = Arc::new(Slot::for_task(acquires).of(&task));
                ask(&self.engine, task, &slot)?;
                Ok(slot)
            }
            State::Done => panic!("a future of the store was polled after it was ready"),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let State::Asked(slot) = &self.state {
            self.engine.give_up(slot);
        }
    }
}
