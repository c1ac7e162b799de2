//! `startSession`, `refreshSessions`, `endSessions`, `killSessions` and `killAllSessions`.

use bson::RawDocumentBuf;
use docquery::{Error, Value, Writer};

use super::Call;
use super::reply::Reply;
use super::session_fields::{UUID, lsid};
use crate::client_sessions::{IDLE_MAX, Lsid, Memo, RetryableWrite};
use crate::error::{DocumentError, unexpected};
use crate::records::RememberedV1;
use crate::request::{Answer, Task};

/// `startSession`: it is durable when it is answered, so that nothing is known of a session only when it has ended.
pub(super) fn start(call: &Call<'_>) -> Result<Reply, DocumentError> {
    call.arguments("startSession")?.finish()?;
    let lsid = Lsid::random();
    let session = call.engine.client_sessions.take(call.engine, lsid, None)?;
    let write = RetryableWrite::first(session, -1);
    match write.call(Task::OpenClientSession, Memo::Made(RememberedV1::Opened)) {
        Answer::Noted => {}
        Answer::Failed(error) => return Err(error.into()),
        other => return Err(unexpected(&other).into()),
    }
    let mut id = Writer::new();
    id.field("id", Value::Binary { subtype: UUID, bytes: &lsid.bytes() });
    let id = RawDocumentBuf::from_bytes(id.finish()).expect("what was written is a document");
    let minutes = i32::try_from(IDLE_MAX.as_secs() / 60).unwrap_or(i32::MAX);
    let reply = Reply::new().with("id", Value::from(&*id));
    Ok(reply.with("timeoutMinutes", Value::Int32(minutes)))
}

/// `refreshSessions`.
pub(super) fn refresh(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let now = call.engine.clock.now();
    for lsid in named(call)? {
        call.engine.client_sessions.touch(lsid, now);
    }
    Ok(Reply::new())
}

/// `endSessions`.
pub(super) fn end(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let sessions = named(call)?;
    let with_rows = call.engine.client_sessions.end(&sessions, call.engine);
    for lsid in sessions {
        call.engine.cursors.kill_of(lsid, None);
    }
    if !with_rows.is_empty() {
        call.engine.post_or_warn(Task::EndClientSessions(with_rows));
    }
    Ok(Reply::new())
}

/// `killSessions` and `killAllSessions`: the transactions and cursors of sessions end. A command that runs runs to its end.
pub(super) fn kill(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let sessions = if call.name == "killAllSessions" { Vec::new() } else { named(call)? };
    // None of them means all of them, as on the server.
    let all = sessions.is_empty();
    call.engine.client_sessions.kill((!all).then_some(&sessions), call.engine);
    if all {
        call.engine.cursors.kill_all_of_sessions();
    }
    for lsid in sessions {
        call.engine.cursors.kill_of(lsid, None);
    }
    Ok(Reply::new())
}

/// The sessions that a command names.
fn named(call: &Call<'_>) -> Result<Vec<Lsid>, Error> {
    let name = call.name;
    let Value::Array(sessions) = call.target else {
        return Err(Error::type_mismatch(format!(
            "BSON field '{name}.{name}' is the wrong type '{}', expected type 'array'",
            call.target.type_name()
        )));
    };
    let sessions = sessions.iter().enumerate().map(|(index, session)| match session {
        session @ Value::Document(_) => Ok(lsid(session)?.expect("it is not missing")),
        other => Err(Error::type_mismatch(format!(
            "BSON field '{name}.{name}FromClient.{index}' is the wrong type '{}', expected type 'object'",
            other.type_name()
        ))),
    });
    sessions.collect()
}
