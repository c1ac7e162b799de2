//! Sending a command until it is known what has become of it.

use bson::{RawDocument, RawDocumentBuf, cstr};
use lockstore::StoreError;
use mongodb::ClientSession;
use mongodb::error::Error;

use super::Documents;
use super::again::Again;
use super::body::{has_succeeded, name_of, stripped, what};
use super::concerns::takes_write_concern;
use super::judging::{Came, Kind, judged, tells_nothing, unanswered};
use super::limit::Limit;
use super::selected::Selected;
use crate::failure::elsewhere;

/// The session in which a command is sent.
pub(super) struct Within<'s> {
    pub(super) session: &'s mut ClientSession,
    /// The number of a retryable write.
    pub(super) txn_number: Option<i64>,
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
        let kind = Kind::of(command, again);
        let unknown = || StoreError::OutcomeUnknown { what: what(command) };
        let (mut tries, mut may_be_done) = (limit.tries(), false);
        loop {
            let session = within.as_mut().map(|within| &mut *within.session);
            let selected = Selected::of(command);
            let sent = self.run_selecting(database, body.clone(), session, &selected);
            let Some(come) = limit.bound(sent).await else {
                may_be_done |= writes && selected.is_perhaps_found();
                return Err(if may_be_done {
                    unknown()
                } else {
                    self.unreachable("no reply in time")
                });
            };
            let come = match come {
                Ok(reply) => judged(reply, kind),
                Err(error) => match unanswered(&error) {
                    Some(come) => come,
                    None if may_be_done => return Err(unknown()),
                    None => return Err(elsewhere(&error)),
                },
            };
            let why = match come {
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

    /// Has the driver run a command on the primary, and gives the reply, which tells of MongoDB's errors too.
    pub(super) async fn run_raw(
        &self,
        database: &str,
        body: RawDocumentBuf,
        session: Option<&mut ClientSession>,
    ) -> Result<RawDocumentBuf, Error> {
        self.run_selecting(database, body, session, &Selected::Untold).await
    }

    /// The same, and tells meanwhile whether there was a primary to send it to.
    async fn run_selecting(
        &self,
        database: &str,
        body: RawDocumentBuf,
        session: Option<&mut ClientSession>,
        selected: &Selected,
    ) -> Result<RawDocumentBuf, Error> {
        let database = self.client.database(database);
        let mut command = database.run_raw_command(body);
        if let Some(criteria) = selected.criteria() {
            command = command.selection_criteria(criteria);
        }
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
