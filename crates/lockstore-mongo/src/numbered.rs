//! Sessions in which writes have numbers of ours.
//!
//! The driver numbers the writes of its own interface, and sends one that has failed a second time without telling. Commands it sends once, as they
//! are, and adds the `lsid` only: so whoever sends them under these numbers knows of each attempt what has become of it. MongoDB does no write
//! twice under a number, and none with a number below the last in its session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mongodb::error::Result;
use mongodb::{Client, ClientSession};

/// The sessions in which nothing is under way: as many as were in use at once. They are never given back to the driver, whose numbers would be
/// older than ours.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    idle: Mutex<Vec<NumberedSession>>,
}

/// A session, and the number of its last write.
#[derive(Debug)]
struct NumberedSession {
    session: ClientSession,
    number: i64,
}

/// A session while it is in use. It comes back also from a write that was given up: the next one has another number.
#[derive(Debug)]
pub(crate) struct Lent {
    from: Arc<Numbered>,
    /// `None` when it has come back.
    lent: Option<NumberedSession>,
}

impl Numbered {
    /// Lends a session.
    pub(crate) async fn lend(self: &Arc<Self>, client: &Client) -> Result<Lent> {
        let idle = self.idle().pop();
        let lent = match idle {
            Some(idle) => idle,
            None => {
                NumberedSession { session: client.start_session().await?, number: FIRST_NUMBER }
            }
        };
        Ok(Lent { from: Arc::clone(self), lent: Some(lent) })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<NumberedSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lent {
    /// The session, and the number of the next write in it.
    pub(crate) fn next(&mut self) -> (&mut ClientSession, i64) {
        let it = self.lent.as_mut().expect("it comes back when this is dropped");
        it.number += 1;
        (&mut it.session, it.number)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.from.idle().extend(self.lent.take());
    }
}

/// Above all numbers that the driver may have given in a session before.
const FIRST_NUMBER: i64 = 1 << 32;
