//! What the reply to one try of a command says of what has become of it, or that there is none.

use bson::{RawDocument, RawDocumentBuf};
use mongodb::error::{Error, ErrorKind, RETRYABLE_WRITE_ERROR};

use super::again::Again;
use super::batch::Batch;
use super::body::{code_of, has_field, has_label, has_succeeded};
use crate::failure::{self, BEFORE_HISTORY, NOT_PRIMARY};

/// What one try has come to.
pub(super) enum Came {
    Reply(RawDocumentBuf),
    /// Nothing was done.
    Undone(String),
    /// It was done or not, or may be undone again.
    Unknown(String),
}

/// Whether it is the way to a server that has failed, or the server that was there.
pub(super) fn is_of_network(error: &Error) -> bool {
    let kind = error.kind.as_ref();
    matches!(kind, ErrorKind::Io(_) | ErrorKind::ConnectionPoolCleared { .. })
}

/// Whether an error comes before anything is sent. A server that goes refuses to know anybody.
pub(super) fn is_before_sending(error: &Error) -> bool {
    let kind = error.kind.as_ref();
    matches!(
        kind,
        ErrorKind::ServerSelection { .. }
            | ErrorKind::Authentication { .. }
            | ErrorKind::DnsResolve { .. }
    )
}

/// What an error without a reply says; `None` if trying again is no use.
pub(super) fn unanswered(error: &Error) -> Option<Came> {
    if is_before_sending(error) {
        return Some(Came::Undone(failure::reason(error)));
    }
    is_of_network(error).then(|| Came::Unknown(failure::reason(error)))
}

/// What a reply has to be judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// Whether its write is to be on most members: its caller has asked for nothing else.
    is_ours_to_confirm: bool,
    /// Whether some of it may be done when all of it is refused.
    may_be_done_in_part: bool,
    /// Whether it can be sent again, and then only does what is not done yet.
    is_numbered: bool,
}

impl Kind {
    pub(super) fn of(command: &RawDocument, again: Again) -> Self {
        Self {
            is_ours_to_confirm: !has_field(command, "writeConcern"),
            may_be_done_in_part: may_be_done_in_part(command),
            is_numbered: again == Again::Numbered,
        }
    }
}

/// What a reply says.
pub(super) fn judged(reply: RawDocumentBuf, kind: Kind) -> Came {
    let code = code_of(&reply).unwrap_or_default();
    if has_succeeded(&reply) {
        if kind.is_numbered && is_cut_short(&reply) {
            return Came::Unknown("the primary has stepped down between two statements".into());
        }
        let concern = reply.get_document("writeConcernError").ok();
        return match concern.map(|error| code_of(error).unwrap_or_default()) {
            // It is on the primary, and may be undone yet, whatever ended the wait for the others.
            Some(code) if kind.is_ours_to_confirm || GOING.contains(&code) => {
                Came::Unknown(sentence(&reply))
            }
            _ => Came::Reply(reply),
        };
    }
    if kind.may_be_done_in_part && (NOT_PRIMARY.contains(&code) || INTERRUPTED.contains(&code)) {
        return Came::Unknown(sentence(&reply));
    }
    if NOT_PRIMARY.contains(&code) {
        return Came::Undone(sentence(&reply));
    }
    if is_going(&reply) || has_label(&reply, RETRYABLE_WRITE_ERROR) {
        return Came::Unknown(sentence(&reply));
    }
    Came::Reply(reply)
}

/// Whether statements were refused because their server is the primary no more, after it was when the command came.
fn is_cut_short(reply: &RawDocument) -> bool {
    let Ok(errors) = reply.get_array("writeErrors") else { return false };
    let mut errors = errors.into_iter().flatten().filter_map(bson::RawBsonRef::as_document);
    errors.any(is_going)
}

/// Whether a command has several statements, or one of many documents: what ends it in its middle is told of all of it.
fn may_be_done_in_part(command: &RawDocument) -> bool {
    Batch::of(command).is_some_and(|batch| batch.len() > 1 || Again::of(command) == Again::Never)
}

/// Whether a reply says that its server goes.
pub(super) fn is_going(reply: &RawDocument) -> bool {
    code_of(reply).is_some_and(|code| GOING.contains(&code))
}

/// Whether the reply to a command that was sent again does not say what has become of it.
pub(super) fn tells_nothing(reply: &RawDocument, again: Again) -> bool {
    let code = code_of(reply).unwrap_or_default();
    match again {
        Again::Numbered => !has_succeeded(reply) && BEFORE_HISTORY.contains(&code),
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

/// MongoDB's codes of a server that goes, or cannot say for the moment: `HostUnreachable`, `HostNotFound`, `NetworkTimeout`, `ShutdownInProgress`,
/// `ReadConcernMajorityNotAvailableYet`, `PrimarySteppedDown`, `ExceededTimeLimit`, `SocketException`, `NotWritablePrimary`,
/// `InterruptedAtShutdown`, `InterruptedDueToReplStateChange`, `NotPrimaryNoSecondaryOk`, `NotPrimaryOrSecondary`.
const GOING: [i32; 13] =
    [6, 7, 89, 91, 134, 189, 262, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// MongoDB's codes of what was ended in its middle: `MaxTimeMSExpired`, `ExceededTimeLimit`, `InterruptedAtShutdown`, `Interrupted`,
/// `InterruptedDueToReplStateChange`.
const INTERRUPTED: [i32; 5] = [50, 262, 11_600, 11_601, 11_602];

const NAMESPACE_EXISTS: i32 = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    const OF_ONE: Kind =
        Kind { is_ours_to_confirm: true, may_be_done_in_part: false, is_numbered: true };

    fn judged_as(reply: RawDocumentBuf, kind: Kind) -> &'static str {
        match judged(reply, kind) {
            Came::Reply(_) => "reply",
            Came::Undone(_) => "undone",
            Came::Unknown(_) => "unknown",
        }
    }

    #[test]
    fn a_write_that_is_not_on_most_members_is_not_known_to_be_done() {
        let theirs = Kind { is_ours_to_confirm: false, ..OF_ONE };
        for (code, asked_for) in [(64, "reply"), (50, "reply"), (100, "reply"), (91, "unknown")] {
            let reply = rawdoc! { "ok": 1.0, "n": 1, "writeConcernError": { "code": code, "errmsg": "waiting" } };
            assert_eq!(judged_as(reply.clone(), OF_ONE), "unknown", "{code}");
            assert_eq!(judged_as(reply, theirs), asked_for, "{code}");
        }
        assert_eq!(judged_as(rawdoc! { "ok": 1.0, "n": 1 }, OF_ONE), "reply");
    }

    #[test]
    fn what_is_ended_in_its_middle_may_be_done_in_part() {
        let several = Kind { may_be_done_in_part: true, ..OF_ONE };
        for (code, alone) in
            [(10_107, "undone"), (50, "reply"), (11_601, "reply"), (11_602, "unknown")]
        {
            let reply = rawdoc! { "ok": 0.0, "code": code, "errmsg": "ended" };
            assert_eq!(judged_as(reply.clone(), OF_ONE), alone, "{code}");
            assert_eq!(judged_as(reply, several), "unknown", "{code}");
        }
        let refused = rawdoc! { "ok": 0.0, "code": 2, "errmsg": "bad value" };
        assert_eq!(judged_as(refused, several), "reply");
        let labelled = rawdoc! { "ok": 0.0, "code": 1, "errorLabels": ["RetryableWriteError"] };
        assert_eq!(judged_as(labelled, OF_ONE), "unknown");
        for (command, expected) in [
            (rawdoc! { "insert": "c", "documents": [{}] }, false),
            (rawdoc! { "insert": "c", "documents": [{}, {}] }, true),
            (rawdoc! { "update": "c", "updates": [{ "multi": true }] }, true),
            (rawdoc! { "findAndModify": "c" }, false),
            (rawdoc! { "drop": "c" }, false),
        ] {
            assert_eq!(may_be_done_in_part(&command), expected, "{command:?}");
        }
    }

    #[test]
    fn a_batch_whose_server_stepped_down_between_its_statements_is_sent_again_if_it_is_numbered() {
        let of_many = Kind { is_numbered: false, ..OF_ONE };
        for (code, numbered) in [(189, "unknown"), (10_107, "unknown"), (11_000, "reply")] {
            let error = rawdoc! { "index": 1, "code": code, "errmsg": "" };
            let reply = rawdoc! { "ok": 1.0, "n": 1, "writeErrors": [error] };
            assert_eq!(judged_as(reply.clone(), OF_ONE), numbered, "{code}");
            assert_eq!(judged_as(reply, of_many), "reply", "{code}");
        }
    }

    #[test]
    fn only_its_own_result_says_what_has_become_of_a_write_that_was_sent_before() {
        for code in [50, 13, 217, 11_601] {
            assert!(tells_nothing(&rawdoc! { "ok": 0.0, "code": code }, Again::Numbered), "{code}");
        }
        assert!(!tells_nothing(&rawdoc! { "ok": 0.0, "code": 11_000 }, Again::Numbered));
        assert!(!tells_nothing(&rawdoc! { "ok": 1.0, "n": 0 }, Again::Numbered));
    }
}
