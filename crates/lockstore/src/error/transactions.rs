//! What goes wrong with transactions, and with what they and single writes rely on.

use std::fmt;
use std::time::Duration;

use lockcore::{Holder, Key, Token};

use super::HeldBy;

/// A write relied on a grant that is over: its lease has run out, or it was released, broken, or ended with its session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LockLost {
    /// The lock.
    pub key: Key,
    /// Who held it.
    pub holder: Holder,
    /// The fencing token of the grant.
    pub token: Token,
    /// Who holds the lock now, if anybody does.
    pub now_held_by: Option<HeldBy>,
}

impl fmt::Display for LockLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, holder, token, now_held_by } = self;
        write!(f, "{holder:?} does not hold {key:?} with token {token} any more; ")?;
        match now_held_by {
            Some(by) => write!(f, "it is held {by}"),
            None => f.write_str("nobody holds it"),
        }
    }
}

impl std::error::Error for LockLost {}

/// How large a transaction has become, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransactionSize {
    /// How many documents it has changed.
    pub documents: usize,
    /// The bound: [`TransactionOptions::documents_max`](crate::TransactionOptions::documents_max).
    pub documents_max: usize,
    /// How many bytes these have, as they were and as they became, together.
    pub bytes: usize,
    /// The bound: [`TransactionOptions::bytes_max`](crate::TransactionOptions::bytes_max).
    pub bytes_max: usize,
}

impl fmt::Display for TransactionSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { documents, documents_max, bytes, bytes_max } = self;
        write!(
            f,
            "{documents} documents of {bytes} bytes, before and after; at most {documents_max} documents and {bytes_max} \
             bytes are allowed"
        )
    }
}

/// How a transaction ended that is asked for something more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionEnd {
    /// It was committed.
    Committed,
    /// It was aborted, or its commit failed.
    Aborted,
    /// Whatever had it has ended or was started anew, and it with that. Run it again.
    Lost,
    /// It was open for longer than it may be.
    Expired {
        /// The bound: [`TransactionOptions::lifetime`](crate::TransactionOptions::lifetime).
        lifetime: Duration,
    },
}

impl fmt::Display for TransactionEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Committed => f.write_str("it was committed"),
            Self::Aborted => f.write_str("it was aborted"),
            Self::Lost => f.write_str("what had it has ended or was started anew; run it again"),
            Self::Expired { lifetime } => write!(
                f,
                "it was open for longer than {}.{:03} s, and was aborted",
                lifetime.as_secs(),
                lifetime.subsec_millis()
            ),
        }
    }
}
