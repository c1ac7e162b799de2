//! Commands of ours, about locks.

pub(crate) mod documents;
