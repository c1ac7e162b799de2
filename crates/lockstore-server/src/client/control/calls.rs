//! The calls that are outstanding, and what is to be sent for them.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;

use bson::{RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::remote::{Left, OnReply};
use lockstore::{Instant, StoreError};

use super::super::again::Again;
use crate::wire::Message;

/// The calls of a control connection. They outlive the connections they were sent on.
#[derive(Debug)]
pub(super) struct Calls {
    outstanding: BTreeMap<i32, Call>,
    /// When calls end that the server has not ended.
    ends: BTreeSet<(Instant, i32)>,
    /// Messages for the connection that there is.
    to_send: VecDeque<Vec<u8>>,
    /// Which `lockKill` is about which call.
    kills: HashMap<i32, i32>,
    last_id: i32,
    outstanding_max: usize,
}

struct Call {
    command: RawDocumentBuf,
    until: Option<Instant>,
    on_reply: OnReply,
    /// On how many connections it has been sent.
    sent: u32,
    /// How its caller has left it. One that was given up is over but for what it may have been granted.
    left: Option<Left>,
}

impl Calls {
    pub(super) fn new(outstanding_max: usize) -> Self {
        Self {
            outstanding: BTreeMap::new(),
            ends: BTreeSet::new(),
            to_send: VecDeque::new(),
            kills: HashMap::new(),
            last_id: 0,
            outstanding_max,
        }
    }

    /// Adds a call; it is sent at once when there is a connection.
    pub(super) fn add(
        &mut self,
        command: RawDocumentBuf,
        until: Option<Instant>,
        on_reply: OnReply,
        is_up: bool,
    ) -> Result<i32, (OnReply, StoreError)> {
        if self.outstanding.len() >= self.outstanding_max && !gives_back(&command) {
            return Err((on_reply, StoreError::Busy { queue_max: self.outstanding_max }));
        }
        let id = self.next_id();
        if is_up {
            self.to_send.push_back(Message::of(id, 0, &command));
        }
        if let Some(until) = until {
            self.ends.insert((until, id));
        }
        let sent = u32::from(is_up);
        self.outstanding.insert(id, Call { command, until, on_reply, sent, left: None });
        Ok(id)
    }

    /// Nobody waits for a call any more. One that is given up is asked to be ended at the server that it may have reached, and forgotten
    /// when the server says that it has been; what has reached none is forgotten at once.
    pub(super) fn leave(&mut self, id: i32, left: Left, is_up: bool) -> Option<OnReply> {
        let call = self.outstanding.get_mut(&id)?;
        if left == Left::GivenUp && call.sent == 0 {
            return self.take(id);
        }
        call.left = Some(left);
        if left == Left::GivenUp && is_up {
            self.kill(id);
        }
        None
    }

    /// Whether there are calls that nobody waits for.
    pub(super) fn has_unattended(&self) -> bool {
        self.outstanding.values().any(|call| call.left.is_some())
    }

    /// Has the server end a call.
    fn kill(&mut self, id: i32) {
        let kill = self.next_id();
        self.kills.insert(kill, id);
        self.to_send.push_back(Message::of(kill, 0, &rawdoc! { "lockKill": id, "$db": "admin" }));
    }

    /// Whom the reply to a message is for. The reply to a `lockKill` ends its call without one.
    pub(super) fn answered(&mut self, id: i32) -> Answered {
        if let Some(call) = self.kills.remove(&id) {
            return self.take(call).map_or(Answered::Nobody, Answered::Forgotten);
        }
        self.take(id).map_or(Answered::Nobody, Answered::Call)
    }

    /// The connection is gone.
    pub(super) fn disconnected(&mut self) {
        self.to_send.clear();
        self.kills.clear();
    }

    /// There is a connection: all calls are sent on it. Those that have been sent too often come back.
    pub(super) fn connected(&mut self) -> Vec<OnReply> {
        let too_often = |call: &Call| call.sent > RESENDS_MAX;
        let over = self.outstanding.iter().filter(|(_, call)| too_often(call));
        let over: Vec<i32> = over.map(|(id, _)| *id).collect();
        let over = over.into_iter().filter_map(|id| self.take(id)).collect();
        let mut given_up = Vec::new();
        for (id, call) in &mut self.outstanding {
            call.sent += 1;
            // What has a client session of its own does not say so: until it is done, nothing is known of that.
            if call.sent == 2 && Again::of(&call.command) == Again::Announced {
                call.command.append(cstr!("lockRetry"), true);
            }
            self.to_send.push_back(Message::of(*id, 0, &call.command));
            if call.left == Some(Left::GivenUp) {
                given_up.push(*id);
            }
        }
        for id in given_up {
            self.kill(id);
        }
        over
    }

    /// Asks the server for a sign of life.
    pub(super) fn ping(&mut self) {
        let id = self.next_id();
        self.to_send.push_back(Message::of(id, 0, &rawdoc! { "ping": 1, "$db": "admin" }));
    }

    /// Everything that is to be sent.
    pub(super) fn take_messages(&mut self) -> Vec<u8> {
        self.to_send.drain(..).flatten().collect()
    }

    /// The next call whose time is over. The server is told to end it, for when it comes to itself.
    pub(super) fn take_over(&mut self, now: Instant, is_up: bool) -> Option<OnReply> {
        let (until, id) = *self.ends.first()?;
        if until > now {
            return None;
        }
        if is_up {
            self.kill(id);
        }
        self.take(id)
    }

    /// When the next call's time is over.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// Takes all calls, to end them.
    pub(super) fn take_all(&mut self) -> Vec<OnReply> {
        self.ends.clear();
        self.disconnected();
        std::mem::take(&mut self.outstanding).into_values().map(|call| call.on_reply).collect()
    }

    pub(super) fn has_messages(&self) -> bool {
        !self.to_send.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// The command of a call.
    pub(super) fn command(&self, id: i32) -> Option<&RawDocumentBuf> {
        self.outstanding.get(&id).map(|call| &call.command)
    }

    fn take(&mut self, id: i32) -> Option<OnReply> {
        let call = self.outstanding.remove(&id)?;
        if let Some(until) = call.until {
            self.ends.remove(&(until, id));
        }
        Some(call.on_reply)
    }

    /// A number that no message has which may still be answered.
    fn next_id(&mut self) -> i32 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            let id = self.last_id;
            if !self.outstanding.contains_key(&id) && !self.kills.contains_key(&id) {
                return id;
            }
        }
    }
}

/// Whom a reply is for.
pub(super) enum Answered {
    /// The call has its answer.
    Call(OnReply),
    /// A call that was given up has ended without one.
    Forgotten(OnReply),
    /// Nobody: a sign of life, or a call whose time was over.
    Nobody,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, until, sent, left, on_reply: _ } = self;
        f.debug_struct("Call")
            .field("command", command)
            .field("until", until)
            .field("sent", sent)
            .field("left", left)
            .finish_non_exhaustive()
    }
}

/// Whether a command ends what there is no more of than there were calls: it must not be lost.
fn gives_back(command: &RawDocument) -> bool {
    let name = command.iter().next().and_then(Result::ok).map(|(name, _)| name.as_str());
    name.is_some_and(|name| GIVE_BACK.contains(&name))
}

const GIVE_BACK: &[&str] =
    &["lockRelease", "lockSessionClose", "lockUnsubscribe", "unlockDocument"];

/// How often a call is sent again.
const RESENDS_MAX: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn calls() -> Calls {
        Calls::new(2)
    }

    fn add(calls: &mut Calls, is_up: bool) -> i32 {
        let command = rawdoc! { "lockDocument": "c", "newLockId": true };
        calls.add(command, None, Box::new(drop), is_up).map_err(|(_, error)| error).unwrap()
    }

    #[test]
    fn a_call_that_was_never_sent_is_forgotten_at_once() {
        let mut calls = calls();
        let id = add(&mut calls, false);
        assert!(calls.leave(id, Left::GivenUp, true).is_some());
        assert!(calls.is_empty() && !calls.has_messages());
    }

    #[test]
    fn a_call_that_was_given_up_is_remembered_until_the_server_has_ended_it() {
        let mut calls = calls();
        let id = add(&mut calls, true);
        assert!(calls.leave(id, Left::GivenUp, true).is_none());
        let kill = id + 1;
        assert!(
            matches!(calls.answered(id), Answered::Call(_)),
            "what it was granted is handed over"
        );
        assert!(matches!(calls.answered(kill), Answered::Nobody));
        let id = add(&mut calls, true);
        assert!(calls.leave(id, Left::GivenUp, true).is_none());
        assert!(matches!(calls.answered(id + 1), Answered::Forgotten(_)));
        assert!(calls.is_empty());
    }

    #[test]
    fn what_nobody_waits_for_is_known_until_it_is_answered() {
        let mut calls = calls();
        let id = add(&mut calls, true);
        assert!(!calls.has_unattended());
        assert!(calls.leave(id, Left::Detached, true).is_none());
        assert!(calls.has_unattended());
        assert!(matches!(calls.answered(id), Answered::Call(_)));
        assert!(!calls.has_unattended());
        let id = add(&mut calls, true);
        assert!(calls.leave(id, Left::GivenUp, true).is_none());
        assert!(matches!(calls.answered(id + 1), Answered::Forgotten(_)));
        assert!(!calls.has_unattended(), "the reply to what ends it ends it");
    }

    #[test]
    fn what_is_outstanding_goes_out_again_on_the_next_connection_and_says_so() {
        let mut calls = calls();
        let id = add(&mut calls, true);
        calls.disconnected();
        assert!(!calls.has_messages());
        assert!(calls.connected().is_empty());
        assert!(calls.has_messages());
        assert!(calls.command(id).unwrap().get_bool("lockRetry").unwrap());
        for _ in 1..RESENDS_MAX {
            calls.disconnected();
            assert!(calls.connected().is_empty());
        }
        calls.disconnected();
        assert_eq!(
            calls.connected().len(),
            1,
            "no message ends one server after the other for ever"
        );
    }

    #[test]
    fn there_is_a_bound() {
        let mut calls = calls();
        add(&mut calls, true);
        add(&mut calls, true);
        let added = calls.add(rawdoc! {}, None, Box::new(drop), true);
        assert!(matches!(added, Err((_, StoreError::Busy { queue_max: 2 }))));
        for command in [
            rawdoc! { "lockRelease": "k" },
            rawdoc! { "lockSessionClose": 1 },
            rawdoc! { "lockUnsubscribe": 1 },
            rawdoc! { "unlockDocument": "c" },
        ] {
            assert!(calls.add(command, None, Box::new(drop), true).is_ok());
        }
    }
}
