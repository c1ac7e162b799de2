//! Commands by which a client says who it is, and opens sessions that are its presence.

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::presence;
use lockstore::{ErrorCode, SessionId};

use super::{Context, failure};
use crate::presence::{BeginError, Hello, HelloError};

/// `lockHello {pid, startTime, bootId, pidNamespace, instance}`: once on a connection. `startTime` is in clock ticks since the
/// boot, `bootId` and `instance` are 16 bytes. Gives the sessions that the client has still: `{sessions: [..]}`.
pub(crate) fn hello(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    if context.presence.get().is_some() {
        return failure(ErrorCode::new(ILLEGAL_OPERATION), "this connection has said lockHello");
    }
    let begun = Hello::read(command).map_err(BeginError::from);
    let begun =
        begun.and_then(|hello| context.presences.begin(&hello, context.stream, context.connection));
    match begun {
        Err(error @ BeginError::Hello(HelloError::Field { .. })) => {
            failure(ErrorCode::BAD_VALUE, &error.to_string())
        }
        Err(error) => failure(ErrorCode::new(UNAUTHORIZED), &error.to_string()),
        Ok(presence) => {
            let mut sessions = RawArrayBuf::new();
            for session in presence.taken_up() {
                sessions.push(number(*session));
            }
            // The connection has one thread, so nobody has said it meanwhile.
            let _ = context.presence.set(presence);
            rawdoc! { "sessions": sessions, "ok": 1.0 }
        }
    }
}

/// `lockSessionOpen`: gives `{session: <long>}`, which is durable. It ends with the process, or by `lockSessionClose`.
pub(super) fn session_open(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let Some(presence) = context.presence.get() else { return nobody() };
    match presence.open_session() {
        Ok(session) => rawdoc! { "session": number(session), "ok": 1.0 },
        Err(error) => presence::failure(&error),
    }
}

/// `lockSessionClose: <session>`: its waits are over, its locks are released, and when the reply comes, that is durable. Gives
/// `{closed: false}` when this client has no such session.
pub(super) fn session_close(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    let Some(presence) = context.presence.get() else { return nobody() };
    let Some(session) = session_in(command) else {
        return failure(ErrorCode::BAD_VALUE, "lockSessionClose is not the number of a session");
    };
    match presence.close_session(session) {
        Ok(closed) => rawdoc! { "closed": closed, "ok": 1.0 },
        Err(error) => presence::failure(&error.into()),
    }
}

fn session_in(command: &RawDocument) -> Option<SessionId> {
    let number = match command.get("lockSessionClose") {
        Ok(Some(RawBsonRef::Int64(number))) => number,
        Ok(Some(RawBsonRef::Int32(number))) => number.into(),
        _ => return None,
    };
    SessionId::new(u64::try_from(number).ok()?)
}

fn number(session: SessionId) -> i64 {
    i64::try_from(session.get()).expect("the numbers of sessions are in the lower half of all")
}

fn nobody() -> RawDocumentBuf {
    failure(ErrorCode::new(ILLEGAL_OPERATION), "sessions need a connection that has said lockHello")
}

/// MongoDB's codes.
const UNAUTHORIZED: i32 = 13;
const ILLEGAL_OPERATION: i32 = 20;
