//! Values that are kept once.

use std::cmp::Ordering;

use crate::{OwnedValue, order};

/// A value in the order of BSON, for collections that keep equal values once: 1 and 1.0 are.
#[derive(Clone, Debug)]
pub(crate) struct Distinct(pub(crate) OwnedValue);

impl Ord for Distinct {
    fn cmp(&self, other: &Self) -> Ordering {
        order::compare(self.0.get(), other.0.get())
    }
}

impl PartialOrd for Distinct {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Distinct {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Distinct {}
