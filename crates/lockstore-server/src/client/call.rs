//! A call that is answered soon: it is sent, and sent again when its server has ended, if it may be.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::StoreError;
use lockstore::remote::{OUTCOME_UNKNOWN, STORE_POISONED};

use super::again::Again;
use super::limit::Limit;
use super::link::{Link, LinkError};
use super::place::Place;
use super::pool::{Slot, SlotSession};

/// A call on its way.
pub(super) struct Call<'p> {
    place: &'p Place,
    again: Again,
    limit: Limit<'p>,
    /// How often it was sent again.
    resends: u32,
    /// Whether the command says that it comes again.
    announced: bool,
}

impl<'p> Call<'p> {
    pub(super) fn new(place: &'p Place, again: Again, limit: Limit<'p>) -> Self {
        Self { place, again, limit, resends: 0, announced: false }
    }

    /// Runs a command in a slot, and gives the reply.
    pub(super) fn run(
        mut self,
        slot: &mut Slot,
        mut command: RawDocumentBuf,
    ) -> Result<RawDocumentBuf, StoreError> {
        let mut remembered = command.get("lsid").is_ok_and(|lsid| lsid.is_some())
            && command.get("txnNumber").is_ok_and(|number| number.is_some());
        let mut numbered = remembered;
        loop {
            if !numbered && self.again == Again::Remembered {
                remembered = self.number(slot, &mut command)?;
                numbered = true;
            }
            let link = self.link(slot)?;
            let pid = link.pid();
            let broken = match link.call(&command, self.limit) {
                // It was not done, or not all of it.
                Ok(reply) if is_interrupted(&reply) => {
                    slot.link = None;
                    if self.again == Again::Never && may_be_half_done(&reply, &command) {
                        return Err(StoreError::OutcomeUnknown { what: what(&command) });
                    }
                    self.count_resend()?;
                    continue;
                }
                // A commit has failed, and the store is opened again.
                Ok(reply) if self.again == Again::Freely && self.may_ask_again(&reply) => {
                    slot.link = None;
                    continue;
                }
                Ok(reply) => return understood(reply, &command),
                Err(LinkError::Silent) => {
                    slot.link = None;
                    return Err(StoreError::ServerUnresponsive { pid });
                }
                Err(error @ LinkError::NotSent(_)) => {
                    tracing::debug!(%error, "the server has gone");
                    slot.link = None;
                    self.count_resend()?;
                    continue;
                }
                Err(LinkError::Broken(error)) => error,
            };
            slot.link = None;
            tracing::debug!(%broken, "the server ended in the middle of a call");
            let may_be_sent = match self.again {
                Again::Freely | Again::Announced => true,
                Again::Remembered => remembered,
                Again::Never => false,
            };
            if !may_be_sent {
                return Err(StoreError::OutcomeUnknown { what: what(&command) });
            }
            if (remembered || self.again == Again::Announced) && !self.announced {
                command.append(cstr!("lockRetry"), true);
                self.announced = true;
            }
            self.count_resend()?;
        }
    }

    fn count_resend(&mut self) -> Result<(), StoreError> {
        self.resends += 1;
        if self.resends <= RESENDS_MAX {
            return Ok(());
        }
        let reason = format!("{RESENDS_MAX} servers have ended in the middle of this call");
        let socket = Arc::clone(self.place.socket());
        Err(StoreError::Unreachable { socket, reason: reason.into() })
    }

    /// Whether the server says that its store has stopped, and may have opened it again after the pause that this makes.
    fn may_ask_again(&mut self, reply: &RawDocument) -> bool {
        let may = is_poisoned(reply) && self.resends < RESENDS_MAX && !self.limit.is_over();
        if may {
            self.resends += 1;
            let left = self.limit.left().unwrap_or(PAUSE);
            thread::sleep(left.min(PAUSE));
        }
        may
    }

    fn link<'s>(&self, slot: &'s mut Slot) -> Result<&'s mut Link, StoreError> {
        let place = self.place;
        if slot.link.is_none() {
            let dialled = place.dial(self.limit, self.limit);
            let link = dialled.map_err(|error| error.into_store_error(place.socket()))?;
            slot.link = Some(link);
        }
        Ok(slot.link.as_mut().expect("it was made"))
    }

    /// Gives the call the client session and the next number of its slot, so that the server remembers it. Answers whether
    /// there is such a session.
    fn number(
        &mut self,
        slot: &mut Slot,
        command: &mut RawDocumentBuf,
    ) -> Result<bool, StoreError> {
        while let SlotSession::None = slot.session {
            let pid = self.link(slot)?.pid();
            match self.link(slot)?.call(&rawdoc! { "startSession": 1, "$db": "admin" }, self.limit)
            {
                Ok(reply) => slot.session = session_of(&reply),
                Err(LinkError::Silent) => {
                    slot.link = None;
                    return Err(StoreError::ServerUnresponsive { pid });
                }
                Err(LinkError::NotSent(_) | LinkError::Broken(_)) => {
                    slot.link = None;
                    self.count_resend()?;
                }
            }
        }
        let SlotSession::Open { lsid, txn_number } = &mut slot.session else { return Ok(false) };
        *txn_number += 1;
        command.append(cstr!("lsid"), lsid.clone());
        command.append(cstr!("txnNumber"), *txn_number);
        Ok(true)
    }
}

fn session_of(reply: &RawDocument) -> SlotSession {
    match reply.get_document("id") {
        Ok(lsid) => SlotSession::Open { lsid: lsid.to_owned(), txn_number: 0 },
        Err(_) => SlotSession::Unsupported,
    }
}

/// Whether a server that stopped may have been at work on a command for longer than it had the patience for. Of what is done in a
/// transaction, nothing stays.
fn may_be_half_done(reply: &RawDocument, command: &RawDocument) -> bool {
    let in_transaction = matches!(command.get_bool("autocommit"), Ok(false));
    reply.get_i32("code").is_ok_and(|code| code == SHUTDOWN_IN_PROGRESS) && !in_transaction
}

/// Whether the server stopped before it did all that was asked.
pub(super) fn is_interrupted(reply: &RawDocument) -> bool {
    matches!(reply.get_i32("code"), Ok(INTERRUPTED_AT_SHUTDOWN | SHUTDOWN_IN_PROGRESS))
        && !is_poisoned(reply)
}

/// Whether a commit has failed, so that nobody knows whether what it carried was done.
fn is_poisoned(reply: &RawDocument) -> bool {
    let is_so = |of: &RawDocument| of.get_i32("code").is_ok_and(|it| it == STORE_POISONED.value());
    let info = reply.get_document("errInfo").and_then(|info| info.get_document("storeError"));
    is_so(reply) || info.is_ok_and(is_so)
}

/// The reply, unless it says that nobody knows what has become of the command.
pub(super) fn understood(
    reply: RawDocumentBuf,
    command: &RawDocument,
) -> Result<RawDocumentBuf, StoreError> {
    match reply.get_i32("code") {
        Ok(code) if code == OUTCOME_UNKNOWN.value() => {
            Err(StoreError::OutcomeUnknown { what: what(command) })
        }
        _ => Ok(reply),
    }
}

/// A command, in an error.
pub(super) fn what(command: &RawDocument) -> Arc<str> {
    match command.iter().next() {
        Some(Ok((name, value))) => match value.as_str() {
            Some(target) => format!("`{name}` of {target:?}").into(),
            None => format!("`{name}`").into(),
        },
        _ => "the command".into(),
    }
}

/// How often a call is sent again.
const RESENDS_MAX: u32 = 16;

/// How long a server whose store has stopped is left alone: it finds that out within a second.
const PAUSE: Duration = Duration::from_millis(100);

/// MongoDB's code for what a server that stops has not begun.
const INTERRUPTED_AT_SHUTDOWN: i32 = 11600;
/// And for what it has not ended.
const SHUTDOWN_IN_PROGRESS: i32 = 91;
