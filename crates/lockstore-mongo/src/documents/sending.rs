//! Sending a command until it is known what has become of it.

use bson::{RawDocument, RawDocumentBuf, cstr};
use lockstore::StoreError;
use mongodb::ClientSession;
use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR};

use super::Documents;
use super::again::Again;
use super::body::{code_of, has_field, has_label, has_succeeded, name_of, stripped, what};
use super::concerns::takes_write_concern;
use super::limit::Limit;
use crate::failure::{self, elsewhere};

/// The session in which a command is sent.
pub(super) struct Within<'s> {
    pub(super) session: &'s mut ClientSession,
    /// The number of a retryable write.
    pub(super) txn_number: Option<i64>,
}

/// What one try has come to.
enum Came {
    Reply(RawDocumentBuf),
    /// Nothing was done.
    Undone(String),
    /// It was done or not, or may be undone again.
    Unknown(String),
}

impl Documents {
    /// Sends a command outside of transactions, as often as it takes and `again` allows.
    pub(super) async fn send(
        &self,
        database: &str,
        command: &RawDocument,
        again: Again,
        mut within: Option<Within<'_>>,
        limit: Limit,
    ) -> Result<RawDocumentBuf, StoreError> {
        let mut body = stripped(command);
        self.concerns.add(&mut body, command);
        if let Some(number) = within.as_ref().and_then(|within| within.txn_number) {
            body.append(cstr!("txnNumber"), number);
        }
        let writes = takes_write_concern(command);
        let unknown = || StoreError::OutcomeUnknown { what: what(command) };
        let (mut tries, mut may_be_done) = (limit.tries(), false);
        loop {
            let session = within.as_mut().map(|within| &mut *within.session);
            let Some(come) = limit.bound(self.try_once(database, &body, session)).await else {
                return Err(if writes { unknown() } else { self.unreachable("no reply in time") });
            };
            let why = match come? {
                Came::Reply(reply) if may_be_done && tells_nothing(&reply, again) => {
                    return Err(unknown());
                }
                Came::Reply(reply) => {
                    if writes && has_succeeded(&reply) {
                        self.concerns.saw(&reply);
                    }
                    return Ok(reply);
                }
                Came::Unknown(_) if again == Again::Never => return Err(unknown()),
                Came::Unknown(why) => {
                    may_be_done |= writes;
                    why
                }
                Came::Undone(why) => why,
            };
            tracing::debug!(command = name_of(command), %why, "sent again");
            if !tries.pause().await {
                return Err(if may_be_done { unknown() } else { self.unreachable(&why) });
            }
        }
    }

    async fn try_once(
        &self,
        database: &str,
        body: &RawDocumentBuf,
        session: Option<&mut ClientSession>,
    ) -> Result<Came, StoreError> {
        match self.run_raw(database, body.clone(), session).await {
            Ok(reply) => Ok(judged(reply, name_of(body))),
            Err(error) => match error.kind.as_ref() {
                ErrorKind::ServerSelection { .. } => Ok(Came::Undone(failure::reason(&error))),
                _ if is_of_network(&error) => Ok(Came::Unknown(failure::reason(&error))),
                _ => Err(elsewhere(&error)),
            },
        }
    }

    /// Has the driver run a command on the primary, and gives the reply, which tells of MongoDB's errors too.
    pub(super) async fn run_raw(
        &self,
        database: &str,
        body: RawDocumentBuf,
        session: Option<&mut ClientSession>,
    ) -> Result<RawDocumentBuf, Error> {
        let database = self.client.database(database);
        let command = database.run_raw_command(body);
        let ran = match session {
            Some(session) => command.session(session).await,
            None => command.await,
        };
        match ran {
            Ok(reply) => Ok(RawDocumentBuf::try_from(&reply)?),
            Err(error) => match error.server_response() {
                Some(reply) => Ok(reply.clone()),
                None => Err(error),
            },
        }
    }

    pub(crate) fn unreachable(&self, why: &str) -> StoreError {
        StoreError::Unreachable { socket: self.address.clone(), reason: why.into() }
    }
}

/// Whether it is the way to a server that has failed, or the server that was there.
pub(super) fn is_of_network(error: &Error) -> bool {
    let kind = error.kind.as_ref();
    matches!(kind, ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
}

/// What a reply says of the command `name`.
fn judged(reply: RawDocumentBuf, name: &str) -> Came {
    let code = code_of(&reply).unwrap_or_default();
    if has_succeeded(&reply) {
        let concern = reply.get_document("writeConcernError").ok();
        return match concern.and_then(code_of) {
            Some(code) if code == WRITE_CONCERN_FAILED || GOING.contains(&code) => {
                Came::Unknown(sentence(&reply))
            }
            _ => Came::Reply(reply),
        };
    }
    // Statements that came before may be done.
    if NOT_PRIMARY.contains(&code) && !matches!(name, "update" | "delete") {
        return Came::Undone(sentence(&reply));
    }
    if is_going(&reply) || has_label(&reply, RETRYABLE_WRITE_ERROR) {
        return Came::Unknown(sentence(&reply));
    }
    Came::Reply(reply)
}

/// Whether a reply says that its server goes.
pub(super) fn is_going(reply: &RawDocument) -> bool {
    code_of(reply).is_some_and(|code| GOING.contains(&code))
}

/// Whether the reply to a command that was sent again does not say what has become of it.
fn tells_nothing(reply: &RawDocument, again: Again) -> bool {
    let code = code_of(reply).unwrap_or_default();
    match again {
        Again::Numbered => [INCOMPLETE_HISTORY, TRANSACTION_TOO_OLD].contains(&code),
        Again::UnlessThere => code == NAMESPACE_EXISTS,
        Again::Freely | Again::Never => false,
    }
}

fn sentence(reply: &RawDocument) -> String {
    let error = match reply.get_document("writeConcernError") {
        Ok(error) if !has_field(reply, "errmsg") => error,
        _ => reply,
    };
    error.get_str("errmsg").unwrap_or("a failure without a reason").to_owned()
}

/// MongoDB's codes of a server that is not the primary, and has not begun: `NotWritablePrimary`, `NotPrimaryNoSecondaryOk`.
const NOT_PRIMARY: [i32; 2] = [10_107, 13_435];

/// MongoDB's codes of a server that goes, or cannot say for the moment: `HostUnreachable`, `HostNotFound`, `NetworkTimeout`, `ShutdownInProgress`,
/// `ReadConcernMajorityNotAvailableYet`, `PrimarySteppedDown`, `ExceededTimeLimit`, `SocketException`, `NotWritablePrimary`,
/// `InterruptedAtShutdown`, `InterruptedDueToReplStateChange`, `NotPrimaryNoSecondaryOk`, `NotPrimaryOrSecondary`.
const GOING: [i32; 13] =
    [6, 7, 89, 91, 134, 189, 262, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// The write is on the primary, and not yet on most members.
const WRITE_CONCERN_FAILED: i32 = 64;

const NAMESPACE_EXISTS: i32 = 48;
const INCOMPLETE_HISTORY: i32 = 217;
const TRANSACTION_TOO_OLD: i32 = 225;

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    fn kind(reply: RawDocumentBuf, name: &str) -> &'static str {
        match judged(reply, name) {
            Came::Reply(_) => "reply",
            Came::Undone(_) => "undone",
            Came::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn a_write_that_is_not_on_most_members_is_not_known_to_be_done() {
        for (code, expected) in
            [(64, "unknown"), (91, "unknown"), (11_602, "unknown"), (100, "reply")]
        {
            let reply = rawdoc! { "ok": 1.0, "n": 1, "writeConcernError": { "code": code, "errmsg": "waiting" } };
            assert_eq!(kind(reply, "insert"), expected, "{code}");
        }
        assert_eq!(kind(rawdoc! { "ok": 1.0, "n": 1 }, "insert"), "reply");
    }

    #[test]
    fn a_primary_that_has_stepped_down_may_have_done_statements_before() {
        let reply = rawdoc! { "ok": 0.0, "code": 10_107, "errmsg": "not primary" };
        assert_eq!(kind(reply.clone(), "drop"), "undone");
        assert_eq!(kind(reply, "update"), "unknown");
        let refused = rawdoc! { "ok": 0.0, "code": 2, "errmsg": "bad value" };
        assert_eq!(kind(refused, "update"), "reply");
        let labelled = rawdoc! { "ok": 0.0, "code": 1, "errorLabels": ["RetryableWriteError"] };
        assert_eq!(kind(labelled, "insert"), "unknown");
    }
}
