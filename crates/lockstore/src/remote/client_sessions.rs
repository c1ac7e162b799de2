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

/// The client sessions that a [`Remote`] has begun, and that nobody has now: there are as many as there were transactions at once.
#[derive(Debug, Default)]
pub struct ClientSessions {
    idle: Mutex<Vec<ClientSession>>,
}

impl ClientSessions {
    /// One that nobody else has meanwhile. A new one is durable, so that a commit that is sent again is told apart from one of which
    /// nothing is known any more.
    pub(crate) fn take(&self, remote: &dyn Remote) -> Result<ClientSession, StoreError> {
        let idle = self.idle().pop();
        idle.map_or_else(|| begin(remote), Ok)
    }

    /// Takes one back whose transaction is over.
    pub(crate) fn give_back(&self, session: ClientSession) {
        self.idle().push(session);
    }

    /// Those that nobody has, to be ended.
    pub fn drain(&self) -> Vec<ClientSession> {
        std::mem::take(&mut *self.idle())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<ClientSession>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(remote: &dyn Remote) -> Result<ClientSession, StoreError> {
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
