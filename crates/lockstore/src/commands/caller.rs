//! Who sends a command: what is another's is not for everybody.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::{Document, limits};
use lockcore::SessionId;

use super::arguments::Arguments;
use super::{COMMAND_DEPTH_MAX, name_of};
use crate::engine::Engine;
use crate::presence::{Instance, Presence};
use crate::remote::form::code::Code;
use crate::remote::form::{failure, field};

/// Who sends a command, for [`Database::start_command_of`](crate::Database::start_command_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// This process, which has the file open, and may name any session.
    Owner,
    /// A client that has said who it is. It may name its own sessions, and its subscriptions end when it is
    /// [gone](crate::Store::client_gone).
    Client(Presence),
    /// Somebody who has not said that. There is no session that it could name.
    Stranger,
}

impl Caller {
    /// The client, if it is one.
    pub(super) fn client(self) -> Option<Instance> {
        match self {
            Self::Client(presence) => Some(presence.instance),
            Self::Owner | Self::Stranger => None,
        }
    }

    /// The refusal of a command that names a session which is not the caller's. To it there is no such session, whether it is
    /// somebody else's or nobody's.
    pub(super) fn refusal(self, engine: &Engine, command: &RawDocument) -> Option<RawDocumentBuf> {
        if self == Self::Owner {
            return None;
        }
        let session = session_named_in(command)?;
        let is_own = match self {
            Self::Owner => true,
            Self::Client(client) => engine.session_owners.is_of(session, client),
            Self::Stranger => false,
        };
        let sentence = || match self {
            Self::Stranger => format!("session {session} is that of a client that says who it is"),
            Self::Owner | Self::Client(_) => format!("session {session} is none of this client's"),
        };
        (!is_own).then(|| failure(&sentence(), Code::LockSessionUnknown, |_| {}))
    }
}

/// The session that a command names, if it is as it should be. One that is not is refused by who runs it.
fn session_named_in(command: &RawDocument) -> Option<SessionId> {
    if !NAME_SESSIONS.contains(&name_of(command)?) {
        return None;
    }
    if let Ok(None | Some(RawBsonRef::Null | RawBsonRef::Undefined)) = command.get(field::SESSION) {
        return None; // As nearly always.
    }
    limits::check_bson(command, COMMAND_DEPTH_MAX).ok()?;
    let mut arguments = Arguments::new("command", Document::from(command)).ok()?;
    arguments.session(field::SESSION).ok()?
}

/// The commands that bind something to a session.
const NAME_SESSIONS: [&str; 3] = ["lockAcquire", "lockDocument", "lockWait"];
