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
    give_up: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Outstanding {
    /// A call that `give_up` gives up.
    pub fn new(give_up: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self { give_up: Some(Box::new(give_up)) }
    }

    /// A call that was answered at once.
    pub fn answered() -> Self {
        Self { give_up: None }
    }

    /// The call goes on, whether or not anybody waits for it.
    pub fn detach(mut self) {
        self.give_up = None;
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if let Some(give_up) = self.give_up.take() {
            give_up();
        }
    }
}

impl fmt::Debug for Outstanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outstanding").finish_non_exhaustive()
    }
}
