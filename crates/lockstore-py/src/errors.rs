//! Errors, as Python's exceptions: which class of `lockstore.errors` each of ours is.

use lockstore::{
    AcquireError, ArgumentError, BreakError, HeldBy, Key, ReadError, ReleaseError, RenewError,
    ResumeError, SessionError, StoreError, Token, WaitError,
};
use lockstore_server::{AddressError, ConnectError};
use pyo3::intern;
use pyo3::prelude::*;

/// An exception of ours that is to be raised.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    class: Class,
    message: String,
    key: Option<String>,
    holder: Option<String>,
    token: Option<u64>,
}

/// A class of `lockstore.errors`, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    InvalidArgument,
    AcquireTimeout,
    HeldOtherwise,
    AlreadyHeld,
    NotHeld,
    HeldByOther,
    LeaseLost,
    LimitReached,
    ServerUnavailable,
    ServerUnresponsive,
    OutcomeUnknown,
    StoreBusy,
    StoreClosed,
    StoreForked,
    StoreFailed,
}

impl Error {
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), key: None, holder: None, token: None }
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// About this lock.
    pub(crate) fn key(self, key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..self }
    }

    /// About this holder.
    pub(crate) fn holder(self, holder: impl Into<String>) -> Self {
        Self { holder: Some(holder.into()), ..self }
    }

    /// About the grant of this token.
    pub(crate) fn token(self, token: Token) -> Self {
        Self { token: Some(token.get()), ..self }
    }

    fn held_by(self, by: &HeldBy) -> Self {
        self.holder(by.holder.as_str()).token(by.token)
    }
}

impl Class {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "InvalidArgument",
            Self::AcquireTimeout => "AcquireTimeout",
            Self::HeldOtherwise => "HeldOtherwise",
            Self::AlreadyHeld => "AlreadyHeld",
            Self::NotHeld => "NotHeld",
            Self::HeldByOther => "HeldByOther",
            Self::LeaseLost => "LeaseLost",
            Self::LimitReached => "LimitReached",
            Self::ServerUnavailable => "ServerUnavailable",
            Self::ServerUnresponsive => "ServerUnresponsive",
            Self::OutcomeUnknown => "OutcomeUnknown",
            Self::StoreBusy => "StoreBusy",
            Self::StoreClosed => "StoreClosed",
            Self::StoreForked => "StoreForked",
            Self::StoreFailed => "StoreFailed",
        }
    }
}

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        Python::attach(|py| {
            let raised = || {
                let class =
                    py.import(intern!(py, "lockstore.errors"))?.getattr(error.class.name())?;
                class.call1((&error.message, &error.key, &error.holder, error.token))
            };
            raised().map_or_else(|failed| failed, PyErr::from_value)
        })
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let class = match &error {
            StoreError::Closed => Class::StoreClosed,
            StoreError::Forked { .. } => Class::StoreForked,
            StoreError::Busy { .. } => Class::StoreBusy,
            StoreError::TooManySubscriptions { .. } => Class::LimitReached,
            StoreError::ServerUnresponsive { .. } => Class::ServerUnresponsive,
            StoreError::OutcomeUnknown { .. } => Class::OutcomeUnknown,
            StoreError::Unreachable { .. } => Class::ServerUnavailable,
            _ => Class::StoreFailed,
        };
        Self::new(class, error.to_string())
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        let class = match &error {
            ConnectError::Address(_) => Class::InvalidArgument,
            ConnectError::Unresponsive { .. } => Class::ServerUnresponsive,
            ConnectError::Clock(_) | ConnectError::Process(_) => Class::StoreFailed,
            _ => Class::ServerUnavailable,
        };
        Self::new(class, error.to_string())
    }
}

impl From<lockstore_mongo::ConnectError> for Error {
    fn from(error: lockstore_mongo::ConnectError) -> Self {
        use lockstore_mongo::ConnectError as Failed;

        match error {
            Failed::Server(error) => error.into(),
            Failed::Store(error) => error.into(),
            Failed::Address { .. } => Self::new(Class::InvalidArgument, error.to_string()),
            Failed::Threads(_) => Self::new(Class::StoreFailed, error.to_string()),
            _ => Self::new(Class::ServerUnavailable, error.to_string()),
        }
    }
}

impl From<AddressError> for Error {
    fn from(error: AddressError) -> Self {
        Self::new(Class::InvalidArgument, error.to_string())
    }
}

impl From<ArgumentError> for Error {
    fn from(error: ArgumentError) -> Self {
        Self::new(Class::InvalidArgument, error.to_string())
    }
}

impl From<AcquireError> for Error {
    fn from(error: AcquireError) -> Self {
        let message = error.to_string();
        match error {
            AcquireError::Held { key, by } => {
                about(Class::AcquireTimeout, message, &key).held_by(&by)
            }
            AcquireError::TimedOut { key } => about(Class::AcquireTimeout, message, &key),
            AcquireError::OtherMode { key, holder, .. }
            | AcquireError::OtherSession { key, holder } => {
                about(Class::HeldOtherwise, message, &key).holder(holder.as_str())
            }
            AcquireError::SessionEnded => Self::new(Class::LeaseLost, message),
            AcquireError::LimitReached { .. } => Self::new(Class::LimitReached, message),
            AcquireError::Argument(error) => error.into(),
            AcquireError::Store(error) => error.into(),
            _ => Self::new(Class::StoreFailed, message),
        }
    }
}

impl From<ReleaseError> for Error {
    fn from(error: ReleaseError) -> Self {
        let message = error.to_string();
        match error {
            ReleaseError::NotHeld { key } => about(Class::NotHeld, message, &key),
            ReleaseError::OtherToken { key, holder, held } => {
                about(Class::LeaseLost, message, &key).holder(holder.as_str()).token(held)
            }
            ReleaseError::HeldByOther { key, by, .. } => {
                about(Class::HeldByOther, message, &key).held_by(&by)
            }
            ReleaseError::Argument(error) => error.into(),
            ReleaseError::Store(error) => error.into(),
            _ => Self::new(Class::StoreFailed, message),
        }
    }
}

impl From<RenewError> for Error {
    fn from(error: RenewError) -> Self {
        let message = error.to_string();
        match error {
            RenewError::LeaseLost { key, holder, .. } => {
                about(Class::LeaseLost, message, &key).holder(holder.as_str())
            }
            RenewError::OtherToken { key, holder, held } => {
                about(Class::LeaseLost, message, &key).holder(holder.as_str()).token(held)
            }
            RenewError::Argument(error) => error.into(),
            RenewError::Store(error) => error.into(),
            _ => Self::new(Class::StoreFailed, message),
        }
    }
}

impl From<ResumeError> for Error {
    fn from(error: ResumeError) -> Self {
        let message = error.to_string();
        match error {
            ResumeError::LeaseLost { key, holder, token } => {
                about(Class::LeaseLost, message, &key).holder(holder.as_str()).token(token)
            }
            ResumeError::Argument(error) => error.into(),
            ResumeError::Store(error) => error.into(),
            _ => Self::new(Class::StoreFailed, message),
        }
    }
}

impl From<BreakError> for Error {
    fn from(error: BreakError) -> Self {
        let message = error.to_string();
        match error {
            BreakError::NotHeld { key } => about(Class::NotHeld, message, &key),
            BreakError::OtherToken { key, by, .. } => {
                about(Class::HeldByOther, message, &key).held_by(&by)
            }
            BreakError::Argument(error) => error.into(),
            BreakError::Store(error) => error.into(),
            _ => Self::new(Class::StoreFailed, message),
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Argument(error) => error.into(),
            ReadError::Store(error) => error.into(),
            error => Self::new(Class::StoreFailed, error.to_string()),
        }
    }
}

impl From<WaitError> for Error {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::Argument(error) => error.into(),
            WaitError::Store(error) => error.into(),
            error => Self::new(Class::LimitReached, error.to_string()),
        }
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Store(error) => error.into(),
            error => Self::new(Class::LimitReached, error.to_string()),
        }
    }
}

fn about(class: Class, message: String, key: &Key) -> Error {
    Error::new(class, message).key(key.as_str())
}
