//! Whether a command may have been sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bson::RawDocument;
use mongodb::ServerType;
use mongodb::options::SelectionCriteria;

use super::body::name_of;
use super::concerns::takes_write_concern;

/// Whether the driver has found a primary for a command. It waits for one without telling: who gives a command up knows by this that it was not
/// sent.
#[derive(Clone, Debug)]
pub(super) enum Selected {
    Told(Arc<AtomicBool>),
    Untold,
}

impl Selected {
    /// Of writes. With a criterion of ours the driver tells the server that it need not be the primary: a read it would answer then whatever it is.
    pub(super) fn of(command: &RawDocument) -> Self {
        if takes_write_concern(command) && name_of(command) != "aggregate" {
            Self::Told(Arc::default())
        } else {
            Self::Untold
        }
    }

    /// By which the driver is to choose a server, if not as always.
    pub(super) fn criteria(&self) -> Option<SelectionCriteria> {
        let Self::Told(found) = self else { return None };
        let found = Arc::clone(found);
        Some(SelectionCriteria::Predicate(Arc::new(move |server| {
            let is_it = server.server_type() == ServerType::RsPrimary;
            if is_it {
                found.store(true, Ordering::Release);
            }
            is_it
        })))
    }

    pub(super) fn is_perhaps_found(&self) -> bool {
        match self {
            Self::Told(found) => found.load(Ordering::Acquire),
            Self::Untold => true,
        }
    }
}
