//! What goes wrong between here and the replica set, in lockstore's words.

use std::path::Path;
use std::sync::Arc;

use lockstore::StoreError;
use mongodb::error::{
    Error, ErrorKind, RETRYABLE_WRITE_ERROR, TRANSIENT_TRANSACTION_ERROR,
    UNKNOWN_TRANSACTION_COMMIT_RESULT, WriteFailure,
};

/// What an error of the driver means for what was asked.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It came too late, or beside another's: look again.
    Conflict,
    /// Whether it was done is not known.
    Unknown(Error),
    /// It was not done, and may be later: there is no primary just now.
    Unreachable(Error),
    /// It was refused.
    Refused(Error),
    /// What was found makes no sense.
    Store(StoreError),
}

impl Failure {
    /// Of a write, which the driver may have sent twice: the second time may be refused where the first was done.
    pub(crate) fn of(error: Error) -> Self {
        match Self::of_last_try(error) {
            Self::Refused(error) if is_before_history(&error) => Self::Unknown(error),
            failure => failure,
        }
    }

    /// What the try says that the error is of.
    fn of_last_try(error: Error) -> Self {
        if is_conflict(&error) {
            return Self::Conflict;
        }
        match error.kind.as_ref() {
            ErrorKind::ServerSelection { .. } => Self::Unreachable(error),
            _ if is_unknown(&error) => Self::Unknown(error),
            _ => Self::Refused(error),
        }
    }

    /// Of a write that was sent once: a server that is not the primary has not begun it.
    pub(crate) fn of_one_try(error: Error) -> Self {
        match error.kind.as_ref() {
            ErrorKind::Command(refused) if NOT_PRIMARY.contains(&refused.code) => {
                Self::Unreachable(error)
            }
            _ => Self::of_last_try(error),
        }
    }

    /// Of something that has only read: it may be read again.
    pub(crate) fn of_reading(error: Error) -> Self {
        match Self::of_last_try(error) {
            Self::Unknown(error) => Self::Unreachable(error),
            failure => failure,
        }
    }

    /// Whether what is asked next has to expect the same.
    pub(crate) fn is_of_all(&self) -> bool {
        matches!(self, Self::Unknown(_) | Self::Unreachable(_))
    }

    /// What whoever has asked for `what` of the replica set at `address` is told, when there is no time left to try again.
    pub(crate) fn told(self, what: &str, address: &Arc<Path>) -> StoreError {
        match self {
            Self::Conflict | Self::Unknown(_) => {
                StoreError::OutcomeUnknown { what: Arc::from(what) }
            }
            Self::Unreachable(error) => StoreError::Unreachable {
                socket: Arc::clone(address),
                reason: reason(&error).into(),
            },
            Self::Refused(error) => elsewhere(&error),
            Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whether the same write was overtaken: by another transaction, or by whoever made the document first.
fn is_conflict(error: &Error) -> bool {
    let is_duplicate = match error.kind.as_ref() {
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
        ErrorKind::Command(error) => matches!(error.code, DUPLICATE_KEY | WRITE_CONFLICT),
        _ => false,
    };
    let in_transaction = error.contains_label(TRANSIENT_TRANSACTION_ERROR)
        && !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT);
    is_duplicate || (in_transaction && matches!(error.kind.as_ref(), ErrorKind::Command(_)))
}

fn is_unknown(error: &Error) -> bool {
    if error.contains_label(RETRYABLE_WRITE_ERROR)
        || error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT)
        || error.contains_label(TRANSIENT_TRANSACTION_ERROR)
    {
        return true;
    }
    match error.kind.as_ref() {
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        // A reply that makes no sense tells nothing of what was done.
        | ErrorKind::InvalidResponse { .. }
        | ErrorKind::Bson(_)
        // It stands on the primary, and not yet on most members.
        | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        ErrorKind::Command(error) => MAY_BE_DONE.contains(&error.code),
        _ => false,
    }
}

/// Whether it may have come before the server looked whether it has done the write already.
fn is_before_history(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if BEFORE_HISTORY.contains(&error.code))
}

/// An error of the driver as an error of the store. The driver's words name hosts, never users or passwords.
pub(crate) fn elsewhere(error: &Error) -> StoreError {
    StoreError::Elsewhere { what: format!("the replica set: {}", reason(error)).into() }
}

/// What has gone wrong, for people. Where no primary was found the driver prints all that it knows of each member: here it is what
/// each is, or why it does not answer.
pub(crate) fn reason(error: &Error) -> String {
    let ErrorKind::ServerSelection { message, .. } = error.kind.as_ref() else {
        return error.kind.to_string();
    };
    let members: Vec<_> = message.split("{ Address: ").skip(1).filter_map(member).collect();
    if members.is_empty() {
        return "no member was found that belongs to it".into();
    }
    format!("no primary was found: {}", members.join("; "))
}

/// `a is a secondary`, or `a: Connection refused`, of a member as the driver prints it.
fn member(printed: &str) -> Option<String> {
    let (address, rest) = printed.split_once(", Type: ")?;
    Some(match rest.split_once("Error: Kind: ") {
        Some((_, error)) => format!("{address}: {}", error.split(", labels:").next()?),
        None => match rest.split([',', ' ']).next()? {
            "RsSecondary" => format!("{address} is a secondary"),
            "Unknown" => format!("{address} has not answered yet"),
            other => format!("{address} is {other}"),
        },
    })
}

/// A document of ours that is not as we write them.
pub(crate) fn damaged(what: impl std::fmt::Display) -> StoreError {
    StoreError::Elsewhere { what: format!("a document of lockstore is damaged: {what}").into() }
}

/// MongoDB's codes of a server that is not the primary, and has not begun: `NotWritablePrimary`, `NotPrimaryNoSecondaryOk`.
pub(crate) const NOT_PRIMARY: [i32; 2] = [10_107, 13_435];

/// MongoDB's codes of what goes wrong before it looks whether it has done a numbered write before, or when it does not remember:
/// `Unauthorized`, `AuthenticationFailed`, `LockTimeout`, `MaxTimeMSExpired`, `IncompleteTransactionHistory`, `TransactionTooOld`,
/// `ExceededTimeLimit`, `ReauthenticationRequired`, `Interrupted`.
pub(crate) const BEFORE_HISTORY: [i32; 9] = [13, 18, 24, 50, 217, 225, 262, 391, 11_601];

const DUPLICATE_KEY: i32 = 11_000;
const WRITE_CONFLICT: i32 = 112;

/// MongoDB's codes of a primary that goes, or a time that is over: interrupted at shutdown, primary stepped down, not primary and its kin,
/// `MaxTimeMSExpired`, `WriteConcernFailed`, `NoSuchTransaction`, errors of its connections; and a write that was done when it was sent first,
/// whose result is not remembered.
const MAY_BE_DONE: [i32; 19] = [
    11_600, 11_602, 10_107, 13_435, 13_436, 189, 91, 50, 64, 251, 6, 7, 89, 134, 262, 9_001,
    10_058, 217, 225,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_second_try_of_a_write_is_refused_for_does_not_say_what_the_first_has_done() {
        let refused = |code: i32| -> Error {
            let failure = bson::doc! { "code": code, "codeName": "", "errmsg": "" };
            let failure: mongodb::error::CommandError =
                bson::deserialize_from_document(failure).unwrap();
            ErrorKind::Command(failure).into()
        };
        for code in [13, 18, 24, 391, 11_601] {
            assert!(matches!(Failure::of(refused(code)), Failure::Unknown(_)), "{code}");
            let once = [Failure::of_one_try(refused(code)), Failure::of_reading(refused(code))];
            assert!(once.iter().all(|it| matches!(it, Failure::Refused(_))), "{code}");
        }
        assert!(matches!(Failure::of(refused(2)), Failure::Refused(_)));
    }

    #[test]
    fn where_there_is_no_primary_it_is_told_what_there_is() {
        let member = |printed: &str| member(printed).unwrap();
        let secondary =
            "b:27017, Type: RsSecondary, Average RTT: 4.07ms, Replica Set Name: rs0 }, ";
        assert_eq!(member(secondary), "b:27017 is a secondary");
        assert_eq!(member("b:27017, Type: Unknown }"), "b:27017 has not answered yet");
        let gone = "a:27017, Type: Unknown, Error: Kind: I/O error: Connection refused (os error 111), labels: {}, source: None } ] }";
        assert_eq!(member(gone), "a:27017: I/O error: Connection refused (os error 111)");
    }
}
