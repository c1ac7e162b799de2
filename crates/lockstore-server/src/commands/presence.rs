//! Commands by which a client says who it is, and opens sessions that are its presence.

use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::presence;
use lockstore::{ErrorCode, SessionId};

use super::{Context, failure};
use crate::presence::{BeginError, Hello, HelloError, Joined};

/// `lockJoin {pid, startTime, bootId, pidNamespace, instance}`: whose connection this is, so that what comes on it may name the sessions
/// of that client. `startTime` is in clock ticks since the boot, `bootId` and `instance` are 16 bytes.
pub(super) fn join(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    match joining(context, command) {
        Ok(joining) => {
            joining.keep(context);
            rawdoc! { "ok": 1.0 }
        }
        Err(refusal) => refusal,
    }
}

/// `lockHello`, with the fields of `lockJoin`: once on a connection, which is the client's presence from then on. Gives the sessions that the
/// client has still: `{sessions: [..]}`.
pub(crate) fn hello(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    if context.presence.get().is_some() {
        return failure(ErrorCode::new(ILLEGAL_OPERATION), "this connection has said lockHello");
    }
    let joining = match joining(context, command) {
        Ok(joining) => joining,
        Err(refusal) => return refusal,
    };
    let client = joining.joined().client();
    match context.presences.begin(client, context.stream, context.connection) {
        Err(error) => refusal(&error),
        Ok(presence) => {
            let mut sessions = RawArrayBuf::new();
            for session in presence.taken_up() {
                sessions.push(number(*session));
            }
            joining.keep(context);
            // The connection has one thread, so nobody has said it meanwhile.
            let _ = context.presence.set(presence);
            rawdoc! { "sessions": sessions, "ok": 1.0 }
        }
    }
}

/// `lockGoodbye`: the client is done, on all its connections. Its sessions end, which is durable when the reply comes, but for what is
/// more than a commit can end.
pub(super) fn goodbye(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let Some(joined) = context.joined.get() else { return nobody("lockJoin") };
    match joined.end_sessions() {
        Ok(()) => rawdoc! { "ok": 1.0 },
        Err(error) => refusal(&error.into()),
    }
}

/// Whose connection it is, by a command that says so.
enum Joining<'c> {
    /// It has said so before.
    Before(&'c Joined),
    /// It says so now.
    Now(Joined),
}

impl Joining<'_> {
    fn joined(&self) -> &Joined {
        match self {
            Self::Before(joined) => joined,
            Self::Now(joined) => joined,
        }
    }

    /// From now on the connection is that client's.
    fn keep(self, context: Context<'_>) {
        if let Self::Now(joined) = self {
            let _ = context.joined.set(joined);
        }
    }
}

fn joining<'c>(context: Context<'c>, command: &RawDocument) -> Result<Joining<'c>, RawDocumentBuf> {
    let hello = Hello::read(command).map_err(|error| refusal(&error.into()))?;
    match context.joined.get() {
        None => match context.presences.join(&hello, context.stream) {
            Ok(joined) => Ok(Joining::Now(joined)),
            Err(error) => Err(refusal(&error.into())),
        },
        Some(joined) if joined.client().instance == hello.instance() => Ok(Joining::Before(joined)),
        Some(_) => {
            let message = "this connection is that of another client, as it has said";
            Err(failure(ErrorCode::new(ILLEGAL_OPERATION), message))
        }
    }
}

fn refusal(error: &BeginError) -> RawDocumentBuf {
    let code = match error {
        BeginError::Hello(HelloError::Field { .. }) => ErrorCode::BAD_VALUE,
        _ => ErrorCode::new(UNAUTHORIZED),
    };
    failure(code, &error.to_string())
}

/// `lockSessionOpen`: gives `{session: <long>}`, which is durable. It ends with the process, or by `lockSessionClose`.
pub(super) fn session_open(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let Some(presence) = context.presence.get() else { return nobody("lockHello") };
    match presence.open_session() {
        Ok(session) => rawdoc! { "session": number(session), "ok": 1.0 },
        Err(error) => presence::failure(&error),
    }
}

/// `lockSessionClose: <session>`: its waits are over, its locks are released, and when the reply comes, that is durable. Gives
/// `{closed: false}` when this client has no such session.
pub(super) fn session_close(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    let Some(presence) = context.presence.get() else { return nobody("lockHello") };
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

fn nobody(expected: &str) -> RawDocumentBuf {
    let message = format!("this needs a connection that has said {expected}");
    failure(ErrorCode::new(ILLEGAL_OPERATION), &message)
}

/// MongoDB's codes.
const UNAUTHORIZED: i32 = 13;
const ILLEGAL_OPERATION: i32 = 20;
