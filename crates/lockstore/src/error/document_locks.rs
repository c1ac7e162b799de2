//! What goes wrong with document locks.

use std::fmt;

use bson::{Bson, DateTime, Document};
use lockcore::{Holder, Limit};

use super::{ArgumentError, DocumentError, StoreError};
use crate::document_locks::fields::{get_lock_id, get_lock_time};

/// Why a document was not locked, or not unlocked by force. The document is as it was, unless it is
/// [`DocumentError::Deserialize`]: then it was locked, updated and released again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockDocumentError {
    /// The filter, the update or another part of the request failed, as it would without a lock.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// An argument is wrong.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The session has ended; so has this wait.
    #[error("the session has ended")]
    SessionEnded,
    /// The same `lock_id` has locked it already, bound to another session (or to none).
    #[error("{lock_id:?} has locked the document already, bound to another session")]
    OtherSession {
        /// The `lock_id`.
        lock_id: Holder,
    },
    /// A documented bound of the store is reached.
    #[error("the store allows at most {max} {limit}")]
    LimitReached {
        /// Which bound.
        limit: Limit,
        /// Its value.
        max: usize,
    },
}

impl From<StoreError> for LockDocumentError {
    fn from(error: StoreError) -> Self {
        DocumentError::from(error).into()
    }
}

/// Why a document was not released, or its lock not renewed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseDocumentError {
    /// The lock was over already: broken, expired, ended with its session, or taken away by an update or a deletion of the
    /// document. Nothing was done, and what was to be done on release was not.
    #[error("the document is not locked with lock_id {lock_id} any more; {}", held(now_held_by.as_deref()))]
    LockLost {
        /// Who had locked it.
        lock_id: Holder,
        /// The `lock_id` of the document now, if it is there and locked.
        now_held_by: Option<String>,
    },
    /// The document is released, and was not updated as it was to be on release.
    #[error("the document is released, and its update on release failed: {0}")]
    NotUpdated(#[source] DocumentError),
    /// An argument is wrong. Nothing was done.
    #[error(transparent)]
    Argument(#[from] ArgumentError),
    /// The document could not be changed. It is locked as before, if the store can serve.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl From<StoreError> for ReleaseDocumentError {
    fn from(error: StoreError) -> Self {
        DocumentError::from(error).into()
    }
}

fn held(by: Option<&str>) -> String {
    by.map_or_else(|| "nobody has locked it".to_owned(), |by| format!("{by} has locked it now"))
}

/// A document that somebody wanted is locked by another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LockedDocumentError {
    message: String,
}

impl LockedDocumentError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// What `what` is locked with and since when, by its document.
    fn of(what: fmt::Arguments<'_>, document: &Document, additional: Option<&str>) -> Self {
        let lock_id = text(get_lock_id(document));
        let since = get_lock_time(document).map_or_else(|| "None".to_owned(), to_seconds);
        let mut message = format!("{what} is locked with lock_id {lock_id} since {since} UTC.");
        if let Some(additional) = additional {
            message.push(' ');
            message.push_str(additional);
        }
        Self { message }
    }
}

/// Declares an error about one kind of jobflow-remote's documents.
macro_rules! locked {
    ($(#[$doc:meta])* $name:ident, $(#[$from_doc:meta])* $from:ident, $document:ident => $what:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[error(transparent)]
        pub struct $name(LockedDocumentError);

        impl $name {
            $(#[$from_doc])*
            pub fn $from($document: &Document, additional: Option<&str>) -> Self {
                Self(LockedDocumentError::of($what, $document, additional))
            }
        }

        impl From<$name> for LockedDocumentError {
            fn from(error: $name) -> Self {
                error.0
            }
        }
    };
}

locked! {
    /// The document of a job is locked.
    JobLockedError,
    /// Says so of a job, by its `db_id`, with something more to say if there is any.
    from_job_doc, document => format_args!("Job with db_id {}", text(document.get("db_id")))
}

locked! {
    /// The document of a flow is locked.
    FlowLockedError,
    /// Says so of a flow, by its `uuid`, with something more to say if there is any.
    from_flow_doc, document => format_args!("Flow with uuid {}", text(document.get("uuid")))
}

locked! {
    /// The document of the runner is locked.
    RunnerLockedError,
    /// Says so of the runner, with something more to say if there is any.
    from_runner_doc, document => format_args!("Runner document")
}

/// A value as the sentence shows it.
fn text(value: Option<&Bson>) -> String {
    match value {
        None | Some(Bson::Null) => "None".to_owned(),
        Some(Bson::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A date without its fraction of a second and its time zone: `2026-01-31T12:00:00`.
fn to_seconds(date: DateTime) -> String {
    let whole = DateTime::from_millis(date.timestamp_millis().div_euclid(1_000) * 1_000);
    match whole.try_to_rfc3339_string() {
        Ok(date) => date.trim_end_matches('Z').to_owned(),
        Err(_) => format!("{} ms", date.timestamp_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::doc;

    #[test]
    fn the_errors_have_the_texts_that_jobflow_remote_gives_them() {
        let time = DateTime::parse_rfc3339_str("2026-01-31T12:00:00.987Z").unwrap();
        let document =
            doc! { "db_id": "17", "uuid": "abc", "lock_id": "some-id", "lock_time": time };
        let job = JobLockedError::from_job_doc(&document, None);
        let text =
            "Job with db_id 17 is locked with lock_id some-id since 2026-01-31T12:00:00 UTC.";
        assert_eq!(job.to_string(), text);
        assert_eq!(LockedDocumentError::from(job), LockedDocumentError::new(text));
        assert_eq!(
            FlowLockedError::from_flow_doc(&document, Some("Try later.")).to_string(),
            "Flow with uuid abc is locked with lock_id some-id since 2026-01-31T12:00:00 UTC. Try later."
        );
        assert_eq!(
            RunnerLockedError::from_runner_doc(&document, None).to_string(),
            "Runner document is locked with lock_id some-id since 2026-01-31T12:00:00 UTC."
        );
        assert_eq!(
            JobLockedError::from_job_doc(&doc! { "db_id": 4 }, None).to_string(),
            "Job with db_id 4 is locked with lock_id None since None UTC."
        );
    }
}
