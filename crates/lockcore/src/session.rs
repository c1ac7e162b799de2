//! Sessions: what is bound to one, and how it stands.

use alloc::collections::BTreeMap;

use crate::wheel::TimerId;
use crate::{Holder, Instant, Key, Token, WaiterId};

/// A session: the presence of somebody, with whom locks and waits end.
#[derive(Debug, Default)]
pub struct Session {
    pub(crate) closing: bool,
    /// Set while nobody speaks for it.
    pub(crate) lost: Option<Lost>,
    pub(crate) grants: BTreeMap<Token, (Key, Holder)>,
    pub(crate) waiters: BTreeMap<WaiterId, Key>,
    /// With how many grants it was restored, which may be more than the limits of today allow.
    pub(crate) restored: usize,
}

/// When a session ends of which nobody has been heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost {
    pub(crate) ends_at: Instant,
    pub(crate) timer: TimerId,
}

/// How a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Somebody speaks for it.
    Present,
    /// Nobody does any more. It ends at this time unless it is taken up.
    Lost {
        /// When it ends.
        ends_at: Instant,
    },
    /// It ends, and is granted nothing more.
    Closing,
}

impl Session {
    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.lost {
            _ if self.closing => Standing::Closing,
            Some(Lost { ends_at, .. }) => Standing::Lost { ends_at },
            None => Standing::Present,
        }
    }

    /// The grants that end with it, the earliest first.
    pub fn grants(&self) -> impl ExactSizeIterator<Item = (Token, &Key)> {
        self.grants.iter().map(|(token, (key, _))| (*token, key))
    }

    /// How many waits end with it.
    pub fn waiters_len(&self) -> usize {
        self.waiters.len()
    }

    /// How many locks and waits are bound to it.
    pub(crate) fn len(&self) -> usize {
        self.grants.len() + self.waiters.len()
    }
}
