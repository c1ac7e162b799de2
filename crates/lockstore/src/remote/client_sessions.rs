//! The client sessions in which a process has its transactions elsewhere.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bson::{RawDocument, Uuid, rawdoc};

use super::Remote;
use crate::error::StoreError;

/// A client session: MongoDB's logical session (`lsid`), in which transactions are numbered. A transaction ends those of its session
/// before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSession {
    /// Its id, the `lsid`.
    pub id: Uuid,
    /// The number of its last transaction, the `txnNumber`; 0 if it has had none.
    pub txn_number: i64,
}

/// Client sessions that nobody has now: there are as many as were in use at once.
#[derive(Debug, Default)]
pub struct ClientSessions {
    idle: Mutex<Vec<ClientSession>>,
}

impl ClientSessions {
    /// Takes one, which nobody else has then, if there is one.
    pub fn take(&self) -> Option<ClientSession> {
        self.idle().pop()
    }

    /// Takes one back in which nothing is under way any more.
    pub fn give_back(&self, session: ClientSession) {
        self.idle().push(session);
    }

    /// Takes all, to end them.
    pub fn drain(&self) -> Vec<ClientSession> {
        std::mem::take(&mut *self.idle())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ClientSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client session for a transaction at the other end of `remote`. A new one is durable before it is used, so that a commit that is sent
/// again and was not done is told apart from one of which nothing is known any more.
pub(super) fn take(remote: &dyn Remote) -> Result<ClientSession, StoreError> {
    if let Some(session) = remote.client_sessions().take() {
        return Ok(session);
    }
    let reply = remote.run_command("admin", &rawdoc! { "startSession": 1 }, None)?;
    let id = id_in(&reply).ok_or_else(|| {
        let what = format!("a client session that makes no sense: {reply:?}");
        StoreError::Internal { what: what.into() }
    })?;
    Ok(ClientSession { id, txn_number: 0 })
}

fn id_in(reply: &RawDocument) -> Option<Uuid> {
    let id = reply.get_document("id").ok()?.get_binary("id").ok()?;
    Some(Uuid::from_bytes(id.bytes.try_into().ok()?))
}
