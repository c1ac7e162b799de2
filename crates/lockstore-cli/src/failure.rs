//! Why a command did not do what it was asked to, and the exit code that says so.

use std::any::Any;
use std::fmt;

use lockstore::{
    AcquireError, ArgumentError, BreakError, DocumentError, ErrorCode, LockDocumentError,
    MaintenanceError, OpenError, ReadError, ReleaseError, RenewError, StoreError,
};

use crate::exit_code::ExitCode;
use crate::holders;

/// What went wrong, in one or two sentences for a person.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    sentence: String,
}

/// What kind of failure it is: what the exit code tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The command line is wrong. Nothing was done.
    Usage,
    /// Not acquired, not held, not found.
    No,
    /// The lock was lost while it was needed.
    Lost,
    /// The store could not be used.
    Store,
    /// Another process has the store's file.
    InUse,
    /// The output could not be written.
    Output,
    /// The command to run could not be started: as `env` and shells have it, 127 when it was not found,
    /// else 126.
    NotStarted { found: bool },
    /// A signal of this number ended it.
    Signal(u8),
}

/// The exit codes of a command for what it may fail with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes {
    no: u8,
    lost: u8,
    store: u8,
    in_use: u8,
}

impl Codes {
    /// Of every command but `run`.
    pub(crate) const ORDINARY: Self = Self { no: 1, lost: 1, store: 4, in_use: 4 };
    /// Of `run`, out of the way of what the command that it runs may exit with.
    pub(crate) const RUN: Self = Self { no: 121, lost: 122, store: 123, in_use: 123 };
    /// Of `serve`: who starts one must know whether another is there already.
    pub(crate) const SERVE: Self =
        Self { in_use: lockstore_server::EXIT_CODE_IN_USE, ..Self::ORDINARY };
}

impl Failure {
    pub(crate) fn new(kind: Kind, sentence: impl Into<String>) -> Self {
        Self { kind, sentence: sentence.into() }
    }

    pub(crate) fn usage(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Usage, sentence)
    }

    pub(crate) fn no(sentence: impl Into<String>) -> Self {
        Self::new(Kind::No, sentence)
    }

    pub(crate) fn lost(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Lost, sentence)
    }

    pub(crate) fn store(sentence: impl Into<String>) -> Self {
        Self::new(Kind::Store, sentence)
    }

    /// A panic of ours: told like any other failure.
    pub(crate) fn mistake(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Self::store(format!("this is a mistake of lockstore itself, please report it: {text}"))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The same failure, with more to say.
    pub(crate) fn and(self, more: &str) -> Self {
        Self { sentence: format!("{}; {more}", self.sentence), ..self }
    }

    pub(crate) fn exit_code(&self, codes: Codes) -> ExitCode {
        ExitCode::from(match self.kind {
            Kind::Usage => 2,
            Kind::No => codes.no,
            Kind::Lost => codes.lost,
            Kind::Store | Kind::Output => codes.store,
            Kind::InUse => codes.in_use,
            Kind::NotStarted { found: true } => 126,
            Kind::NotStarted { found: false } => 127,
            Kind::Signal(number) => 128_u8.saturating_add(number),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        Self::store(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::store(error.to_string())
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Argument(error) => error.into(),
            error => Self::store(error.to_string()),
        }
    }
}

impl From<MaintenanceError> for Failure {
    fn from(error: MaintenanceError) -> Self {
        Self::store(error.to_string())
    }
}

impl From<ArgumentError> for Failure {
    fn from(error: ArgumentError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<AcquireError> for Failure {
    fn from(error: AcquireError) -> Self {
        match error {
            AcquireError::Argument(error) => error.into(),
            AcquireError::Store(_) | AcquireError::LimitReached { .. } => {
                Self::store(error.to_string())
            }
            error => Self::no(error.to_string()),
        }
    }
}

impl From<ReleaseError> for Failure {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::Argument(error) => error.into(),
            ReleaseError::Store(error) => error.into(),
            ReleaseError::NotHeld { key } => Self::no(format!("nobody holds {key:?}")),
            error => Self::no(error.to_string()),
        }
    }
}

impl From<RenewError> for Failure {
    fn from(error: RenewError) -> Self {
        match error {
            RenewError::Argument(error) => error.into(),
            RenewError::Store(error) => error.into(),
            RenewError::LeaseLost { now_held_by: Some(ref by), .. } => {
                Self::no(format!("{error}; it is held {}", holders::by(by)))
            }
            error => Self::no(error.to_string()),
        }
    }
}

impl From<BreakError> for Failure {
    fn from(error: BreakError) -> Self {
        match error {
            BreakError::Argument(error) => error.into(),
            BreakError::Store(error) => error.into(),
            error => Self::no(error.to_string()),
        }
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Store(error) => error.into(),
            error if error.code() == ErrorCode::INVALID_NAMESPACE => Self::usage(error.to_string()),
            error => Self::no(error.to_string()),
        }
    }
}

impl From<LockDocumentError> for Failure {
    fn from(error: LockDocumentError) -> Self {
        match error {
            LockDocumentError::Document(error) => error.into(),
            LockDocumentError::Argument(error) => error.into(),
            error => Self::no(error.to_string()),
        }
    }
}
