//! Why a migration did not come to its end.

use lockstore::{DocumentError, Key, ReserveTokensError, SessionId, Token};

use super::difference::Difference;
use super::endpoint::Namespace;

/// Why a migration did not come to its end. What it had copied stays, and it goes on from there when it is run again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// Source and target are one store, or one is a copy of the other's file. Nothing was done.
    #[error(
        "{from} and {to} are the same store, or one is a copy of the other's file: there is nothing to migrate"
    )]
    SameStore {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// The source has no such database. Nothing was done.
    #[error("{from} has no database {database:?}")]
    NoSuchDatabase {
        /// The source.
        from: String,
        /// Its name.
        database: String,
    },
    /// The target cannot have a collection as it is in the source. Nothing was done.
    #[error("{to} cannot have {namespace}: {what}")]
    Unsupported {
        /// The target.
        to: String,
        /// The collection.
        namespace: Namespace,
        /// What it cannot have of it.
        what: String,
    },
    /// The target keeps a name for itself under which the source has documents. Nothing was done.
    #[error("{to} keeps {namespace} for itself: rename that collection, or leave out its database")]
    Reserved {
        /// The target.
        to: String,
        /// The collection.
        namespace: Namespace,
    },
    /// There are other documents in the target under the same name. Nothing was done.
    #[error(
        "{to} has other documents in {namespace} already, which are left alone: drop that collection there, or choose another target"
    )]
    Occupied {
        /// The target.
        to: String,
        /// The collection.
        namespace: Namespace,
    },
    /// A lock of the same key is held in the target by somebody else. Nothing was done.
    #[error("the lock of {key:?} is held in {to} already")]
    LockTaken {
        /// The target.
        to: String,
        /// The key.
        key: Key,
    },
    /// Locks are bound to sessions of processes that live, or somebody waits: the program still uses the source. Nothing was done.
    #[error("{from} is in use: {}; stop the programs that use it, or leave behind what is theirs", in_use(.bound, *.waiters))]
    InUse {
        /// The source.
        from: String,
        /// What ends with sessions.
        bound: Vec<Bound>,
        /// How many wait for locks.
        waiters: usize,
    },
    /// The target refused an index. It may be that what is unique in the source was copied twice, before and after a change: the next run copies what
    /// differs.
    #[error("{namespace}: an index cannot be made in {to}: {error}{}", what_then(.error))]
    Index {
        /// The target.
        to: String,
        /// The collection.
        namespace: Namespace,
        /// Why.
        error: Box<DocumentError>,
    },
    /// The target refused a document.
    #[error("{namespace}: the document with the _id {id} cannot be written to {to}: {error}")]
    Document {
        /// The target.
        to: String,
        /// The collection.
        namespace: Namespace,
        /// Its `_id`.
        id: Box<bson::Bson>,
        /// Why.
        error: Box<DocumentError>,
    },
    /// The tokens of the target cannot begin above those of the source. On a replica set they are its time: its clock is behind.
    #[error("the tokens in {to} cannot begin above those that {from} has given: {error}")]
    Tokens {
        /// The source.
        from: String,
        /// The target.
        to: String,
        /// Why.
        error: ReserveTokensError,
    },
    /// What is in the target is not what is in the source. Whoever changes either is to be stopped; the next run copies what differs.
    #[error("{to} is not as {from}: {}", some_of(.differences))]
    Differs {
        /// The source.
        from: String,
        /// The target.
        to: String,
        /// In what they differ: the first of it, where that is much.
        differences: Vec<Difference>,
    },
    /// Whoever watches it has stopped it.
    #[error("the migration was stopped; run it again to go on")]
    Stopped,
    /// A store cannot serve.
    #[error("{store}: {error}")]
    Store {
        /// Which.
        store: String,
        /// Why.
        error: Box<DocumentError>,
    },
}

fn what_then(error: &DocumentError) -> &'static str {
    match error {
        DocumentError::DuplicateKey(_) => "; if the source was changed meanwhile, run it again",
        _ => "",
    }
}

/// What ends with a session, and so with a process that lives.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Bound {
    /// A lock.
    Lock {
        /// Its key.
        key: Key,
        /// Who holds it.
        holder: String,
        /// The fencing token.
        token: Token,
        /// The session.
        session: SessionId,
    },
    /// The lock of a document.
    Document {
        /// The collection.
        namespace: Namespace,
        /// The document's `_id`.
        id: bson::Bson,
        /// Who has locked it.
        lock_id: String,
        /// The session.
        session: SessionId,
    },
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lock { key, holder, session, .. } => {
                write!(f, "the lock of {key:?}, held by {holder:?} in session {session}")
            }
            Self::Document { namespace, id, lock_id, session } => {
                write!(
                    f,
                    "the document {id} of {namespace}, locked by {lock_id:?} in session {session}"
                )
            }
        }
    }
}

fn in_use(bound: &[Bound], waiters: usize) -> String {
    let mut sentences: Vec<_> = bound.iter().take(TOLD_MAX).map(Bound::to_string).collect();
    if bound.len() > TOLD_MAX {
        sentences.push(format!("{} more locks of sessions", bound.len() - TOLD_MAX));
    }
    match waiters {
        0 => {}
        1 => sentences.push("one call waits for a lock".to_owned()),
        some => sentences.push(format!("{some} calls wait for locks")),
    }
    sentences.join("; ")
}

fn some_of(differences: &[Difference]) -> String {
    let mut told: Vec<_> = differences.iter().take(TOLD_MAX).map(Difference::to_string).collect();
    if differences.len() > TOLD_MAX {
        told.push(format!("and {} more", differences.len() - TOLD_MAX));
    }
    told.join("; ")
}

/// How many are named in a sentence.
const TOLD_MAX: usize = 5;
