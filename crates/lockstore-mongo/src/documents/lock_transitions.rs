//! What commits of transactions do to locks: theirs to say who keeps the locks.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use lockcore::{Outcome, Refusal};
use lockstore::remote::LockCall;
use lockstore::{Fence, HeldBy, StoreError};
use mongodb::ClientSession;

/// What may come later.
pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a call about a lock has come to within a transaction.
#[derive(Debug)]
pub(crate) enum Applied {
    /// It is done if the transaction is committed.
    Done(Outcome),
    /// It is refused, and the transaction is to be aborted.
    Refused(Refusal),
    /// Something has changed meanwhile, or the transaction is lost: the whole of it is to be run again.
    Conflict(String),
}

/// Whether a grant stands.
#[derive(Debug)]
pub(crate) enum Stands {
    There,
    /// Who holds the lock now; of several, the first.
    Gone(Option<Box<HeldBy>>),
}

/// Changes of locks within transactions of the driver.
pub(crate) trait LockTransitions: Debug + Send + Sync {
    /// Looks whether a call that a commit is to make can be made as things stand, and gives it as the commit shall make it: a grant that is not
    /// named is the one that its holder has now.
    fn look(&self, call: LockCall) -> Later<'_, Result<Result<LockCall, Refusal>, StoreError>>;

    /// Makes a call within the transaction of `session`, which is open.
    fn apply<'a>(
        &'a self,
        session: &'a mut ClientSession,
        call: &'a LockCall,
    ) -> Later<'a, Result<Applied, StoreError>>;

    /// Whether a grant stands now. That it does not is so for good.
    fn stands<'a>(&'a self, fence: &'a Fence) -> Later<'a, Result<Stands, StoreError>>;
}
