//! A call about a lock of a store elsewhere.

use std::sync::Arc;
use std::task::{Context, Poll};

use lockcore::Granted;

use crate::backend::Elsewhere;
use crate::remote::{LockAnswer, LockCall, Outstanding};
use crate::slot::{GivenUp, Slot};

/// A call on its way to the other end.
#[derive(Debug)]
pub(crate) struct Away {
    remote: Arc<Elsewhere>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// What to ask.
    Unasked(LockCall),
    /// The answer comes into the slot.
    Asked(Arc<Slot>, Outstanding),
    /// The answer was given.
    Done,
}

impl Away {
    pub(super) fn new(remote: &Arc<Elsewhere>, call: LockCall) -> Self {
        Self { remote: Arc::clone(remote), state: State::Unasked(call) }
    }

    /// The answer, once.
    pub(super) fn poll(&mut self, context: &Context<'_>) -> Poll<LockAnswer> {
        // Whatever the state was, it is `Done` unless an answer is still to come.
        let (slot, outstanding) = match std::mem::replace(&mut self.state, State::Done) {
            State::Asked(slot, outstanding) => (slot, outstanding),
            State::Unasked(call) => self.ask(call),
            State::Done => panic!("a future of the store was polled after it was ready"),
        };
        let polled = slot.poll(context);
        if polled.is_pending() {
            self.state = State::Asked(slot, outstanding);
        }
        polled.map(LockAnswer::from)
    }

    fn ask(&self, call: LockCall) -> (Arc<Slot>, Outstanding) {
        let slot = Arc::new(Slot::for_task(call.acquires()));
        let (remote, told) = (Arc::clone(&self.remote), Arc::clone(&slot));
        let on_answer = Box::new(move |answer: LockAnswer| {
            if let Err(answer) = told.answer(answer.into()) {
                hand_on(&remote, &told, &answer.into());
            }
        });
        (slot, self.remote.start(call, on_answer))
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        // The other end is told behind this, so what it grants meanwhile finds the slot closed.
        if let State::Asked(slot, _) = &self.state
            && let GivenUp::Answered(answer) = slot.give_up()
        {
            hand_on(&self.remote, slot, &answer.into());
        }
    }
}

/// A grant whose caller has given up goes to the next. One that its holder had before stays.
fn hand_on(remote: &Elsewhere, slot: &Slot, answer: &LockAnswer) {
    if let (Some((key, holder)), Some(&Granted { token, .. })) =
        (slot.acquires(), answer.new_grant())
    {
        let (key, holder) = (key.clone(), holder.clone());
        remote.post(LockCall::HandOn { key, holder, token });
    }
}
