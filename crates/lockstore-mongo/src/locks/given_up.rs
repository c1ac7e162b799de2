//! Whether whoever has called still waits for the answer.

use lockstore::remote::Left;
use tokio::sync::watch;

/// The caller's side: dropping it does not give the call up.
#[derive(Debug)]
pub(crate) struct GiveUp(watch::Sender<bool>);

/// The call's side.
#[derive(Debug)]
pub(crate) struct GivenUp(Option<watch::Receiver<bool>>);

/// A call that can be given up.
pub(crate) fn give_up() -> (GiveUp, GivenUp) {
    let (tell, told) = watch::channel(false);
    (GiveUp(tell), GivenUp(Some(told)))
}

/// A call whose caller waits until it has its answer.
pub(crate) fn never() -> GivenUp {
    GivenUp(None)
}

impl GiveUp {
    /// How the caller leaves it.
    pub(crate) fn left(self, left: Left) {
        if left == Left::GivenUp {
            // It may be answered already.
            let _ = self.0.send(true);
        }
    }
}

impl GivenUp {
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.as_ref().is_some_and(|told| *told.borrow())
    }

    /// Waits until the caller gives up, which it may never do.
    pub(crate) async fn given_up(&mut self) {
        if let Some(told) = &mut self.0
            && told.wait_for(|given_up| *given_up).await.is_ok()
        {
            return;
        }
        std::future::pending().await
    }
}
