//! Where one caller waits for its one answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use lockcore::{Holder, Key, WaiterId};

use crate::client_sessions::Origin;
use crate::document_locks::Ticket;
use crate::request::{Answer, Task};

/// A place for one answer. The writer fills it once; the caller takes it once, or gives up first.
#[derive(Debug)]
pub(crate) struct Slot {
    state: Mutex<State>,
    /// What a thread blocks on that waits here. Not on its park token: that is the program's own, and an
    /// executor of the caller's may live by it.
    something_new: Condvar,
    /// Whether a thread blocks here, which can be asked to take the writer's seat.
    blocks: bool,
    /// Whose lock it would be: known so that a grant which nobody takes can be handed on.
    acquires: Option<(Key, Holder)>,
    /// By what an answer that comes after a wait is remembered, if it is.
    origin: Option<Arc<Origin>>,
}

#[derive(Debug)]
enum State {
    /// No answer yet.
    Open { task: Option<Waker>, waiter: Option<Waiting>, seat_offered: bool },
    /// The answer, not yet taken.
    Answered(Answer),
    /// Taken, or given up.
    Closed,
}

/// The queue that a call stands in, and its place there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// That of a lock.
    Lock(WaiterId),
    /// That of those who wait for documents.
    Document(Ticket),
}

/// What a blocked caller was woken for.
pub(crate) enum Woken {
    /// Its answer is there.
    Answered(Answer),
    /// The writer's seat is free, and somebody must take it.
    SeatOffered,
}

/// What was left when a caller gave up.
pub(crate) enum GivenUp {
    /// The answer had come already: what it grants must be handed on.
    Answered(Answer),
    /// It stood in a queue, and must leave it.
    Waiting(Waiting),
    /// Its request was not served yet; the writer finds the slot closed.
    Unserved,
}

impl Slot {
    /// For a thread that blocks until it is answered.
    pub(crate) fn for_thread() -> Self {
        Self::new(true, None)
    }

    /// For a task that polls, and may give up.
    pub(crate) fn for_task(acquires: Option<(Key, Holder)>) -> Self {
        Self::new(false, acquires)
    }

    fn new(blocks: bool, acquires: Option<(Key, Holder)>) -> Self {
        let open = State::Open { task: None, waiter: None, seat_offered: false };
        let (state, something_new) = (Mutex::new(open), Condvar::new());
        Self { state, something_new, blocks, acquires, origin: None }
    }

    /// The same for the answer of `task`, which is remembered if that says so.
    pub(crate) fn of(self, task: &Task) -> Self {
        Self { origin: task.origin().cloned(), ..self }
    }

    /// Whose lock it would be.
    pub(crate) fn acquires(&self) -> Option<&(Key, Holder)> {
        self.acquires.as_ref()
    }

    /// By what an answer that comes after a wait is remembered, if it is.
    pub(crate) fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// Gives the answer. It comes back when the caller has given up.
    pub(crate) fn answer(&self, answer: Answer) -> Result<(), Answer> {
        let mut state = self.lock();
        match &mut *state {
            State::Open { task, .. } => {
                let task = task.take();
                *state = State::Answered(answer);
                drop(state);
                self.something_new.notify_one();
                wake(task);
                Ok(())
            }
            State::Closed => Err(answer),
            State::Answered(_) => unreachable!("a call is answered once"),
        }
    }

    /// Notes that the call stands in a queue. `false` when the caller has given up meanwhile.
    pub(crate) fn queued(&self, place: Waiting) -> bool {
        match &mut *self.lock() {
            State::Open { waiter, .. } => {
                *waiter = Some(place);
                true
            }
            State::Closed => false,
            State::Answered(_) => unreachable!("a call is answered after it was queued"),
        }
    }

    /// Whether the caller has given up.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed)
    }

    /// Asks a blocked caller to take the writer's seat. `false` when nobody is blocked here.
    pub(crate) fn offer_seat(&self) -> bool {
        match &mut *self.lock() {
            State::Open { .. } if !self.blocks => false,
            State::Open { seat_offered, .. } => {
                *seat_offered = true;
                self.something_new.notify_one();
                true
            }
            State::Answered(_) | State::Closed => false,
        }
    }

    /// Takes the answer if it is there.
    pub(crate) fn try_take(&self) -> Option<Answer> {
        take(&mut self.lock())
    }

    /// Blocks the thread until there is something for it.
    pub(crate) fn block(&self) -> Woken {
        let mut state = self.lock();
        loop {
            if let Some(answer) = take(&mut state) {
                return Woken::Answered(answer);
            }
            if let State::Open { seat_offered, .. } = &mut *state
                && std::mem::take(seat_offered)
            {
                return Woken::SeatOffered;
            }
            state = self.something_new.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes the answer, or has the task woken when it comes.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Answer> {
        let mut next = Some(context.waker().clone());
        let mut state = self.lock();
        if let Some(answer) = take(&mut state) {
            return Poll::Ready(answer);
        }
        if let State::Open { task, .. } = &mut *state {
            std::mem::swap(task, &mut next);
        }
        drop(state);
        // A waker may own anything, the lock that this task waits for included.
        drop(next);
        Poll::Pending
    }

    /// The caller gives up.
    pub(crate) fn give_up(&self) -> GivenUp {
        // The state goes after the mutex is free, for its waker may own anything.
        let left = std::mem::replace(&mut *self.lock(), State::Closed);
        match left {
            State::Answered(answer) => GivenUp::Answered(answer),
            State::Open { waiter: Some(waiter), .. } => GivenUp::Waiting(waiter),
            State::Open { waiter: None, .. } | State::Closed => GivenUp::Unserved,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, so a poisoned mutex holds a sound state all the same.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes a task. A waker is other people's code, and there are more to be told, whatever becomes of it.
fn wake(task: Option<Waker>) {
    if let Some(waker) = task
        && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
    {
        tracing::error!("a waker panicked; its task may never be polled again");
    }
}

fn take(state: &mut State) -> Option<Answer> {
    if !matches!(state, State::Answered(_)) {
        return None;
    }
    match std::mem::replace(state, State::Closed) {
        State::Answered(answer) => Some(answer),
        State::Open { .. } | State::Closed => None,
    }
}
