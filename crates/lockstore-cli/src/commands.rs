//! The commands, one a file: its arguments, what it does, and its help.

pub(crate) mod acquire;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod break_lock;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod doc;
pub(crate) mod ls;
pub(crate) mod migrate;
pub(crate) mod release;
pub(crate) mod renew;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod show;
pub(crate) mod stats;
pub(crate) mod uri;
pub(crate) mod wait;
