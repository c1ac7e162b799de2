//! Whether a call goes on: its caller may have given it up, or the store may be being closed.

use lockstore::remote::Left;
use tokio::sync::watch;

/// The caller's side: dropping it does not give the call up.
#[derive(Debug)]
pub(crate) struct GiveUp(watch::Sender<bool>);

/// The call's side.
#[derive(Clone, Debug)]
pub(crate) struct GivenUp {
    caller: Option<watch::Receiver<bool>>,
    late: Option<watch::Receiver<bool>>,
    closing: watch::Receiver<bool>,
}

impl GiveUp {
    /// How the caller leaves it.
    pub(crate) fn left(self, left: Left) {
        if left == Left::GivenUp {
            self.give_up();
        }
    }

    /// Gives it up.
    pub(crate) fn give_up(self) {
        // It may be answered already.
        let _ = self.0.send(true);
    }
}

impl GivenUp {
    /// Of a call that can be given up.
    pub(super) fn by_caller(closing: watch::Receiver<bool>) -> (GiveUp, Self) {
        let (tell, told) = watch::channel(false);
        (GiveUp(tell), Self { caller: Some(told), late: None, closing })
    }

    /// Of a call whose caller waits until it has its answer.
    pub(super) fn never(closing: watch::Receiver<bool>) -> Self {
        Self { caller: None, late: None, closing }
    }

    /// The same, of a call that is also given up when it comes too late.
    pub(crate) fn or_late(&self) -> (GiveUp, Self) {
        let (tell, told) = watch::channel(false);
        let (caller, closing) = (self.caller.clone(), self.closing.clone());
        (GiveUp(tell), Self { caller, late: Some(told), closing })
    }

    /// Whether nobody would be told of a grant, or nobody could release it.
    pub(crate) fn is_given_up(&self) -> bool {
        self.is_closing() || is_told(self.caller.as_ref()) || self.is_late()
    }

    /// Whether its caller was told that nobody knows what has become of it.
    pub(super) fn is_late(&self) -> bool {
        is_told(self.late.as_ref())
    }

    /// Whether the store is being closed.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits until it is given up, which it may never be.
    pub(crate) async fn given_up(&mut self) {
        let Self { caller, late, closing } = self;
        tokio::select! {
            () = told(Some(closing)) => {}
            () = told(caller.as_mut()) => {}
            () = told(late.as_mut()) => {}
        }
    }
}

fn is_told(by: Option<&watch::Receiver<bool>>) -> bool {
    by.is_some_and(|by| *by.borrow())
}

/// Waits until that is told; for ever if nobody can tell it any more.
async fn told(by: Option<&mut watch::Receiver<bool>>) {
    if let Some(by) = by
        && by.wait_for(|is_so| *is_so).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
