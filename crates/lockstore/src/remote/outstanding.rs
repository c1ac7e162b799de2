//! A call that is under way elsewhere.

use std::fmt;

use bson::RawDocumentBuf;

use super::LockAnswer;
use crate::error::StoreError;
use crate::events::Event;

/// Takes the reply of a command.
pub type OnReply = Box<dyn FnOnce(Result<RawDocumentBuf, StoreError>) + Send>;

/// Takes the answer of a call about a lock.
pub type OnAnswer = Box<dyn FnOnce(LockAnswer) + Send>;

/// Takes the next events of a subscription; `None` when there is no such subscription (any more).
pub type OnEvents = Box<dyn FnOnce(Result<Option<Vec<Event>>, StoreError>) + Send>;

/// A call that is under way. Dropping it gives the call up; nothing happens when it is answered already.
#[must_use = "dropping it gives the call up"]
pub struct Outstanding {
    on_left: Option<Box<dyn FnOnce(Left) + Send + Sync>>,
}

/// How a caller leaves a call that may not be answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It is given up.
    GivenUp,
    /// It goes on, and nobody waits for it.
    Detached,
}

impl Outstanding {
    /// A call that `give_up` gives up.
    pub fn new(give_up: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self::telling(move |left| {
            if left == Left::GivenUp {
                give_up();
            }
        })
    }

    /// A call that `on_left` is told of when its caller leaves it.
    pub fn telling(on_left: impl FnOnce(Left) + Send + Sync + 'static) -> Self {
        Self { on_left: Some(Box::new(on_left)) }
    }

    /// A call that was answered at once.
    pub fn answered() -> Self {
        Self { on_left: None }
    }

    /// The call goes on, whether or not anybody waits for it.
    pub fn detach(mut self) {
        self.leave(Left::Detached);
    }

    fn leave(&mut self, left: Left) {
        if let Some(on_left) = self.on_left.take() {
            on_left(left);
        }
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.leave(Left::GivenUp);
    }
}

impl fmt::Debug for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outstanding").finish_non_exhaustive()
    }
}
