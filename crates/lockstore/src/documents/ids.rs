//! What collections, indexes and records are told apart by.

use std::fmt;

/// Declares a number that names something.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($number:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) struct $name($number);

        impl $name {
            pub(crate) const fn new(number: $number) -> Self {
                Self(number)
            }

            pub(crate) const fn get(self) -> $number {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// A collection, as long as its rows are there: ids rise, and a namespace that is used again gets a new one.
    CollectionId(u32)
}

id! {
    /// An index of some collection. No two have the same, and ids rise.
    IndexId(u32)
}

id! {
    /// A document's place in its collection. They rise with each insertion, so their order is the natural order.
    RecordId(u64)
}

impl RecordId {
    /// Before all records.
    pub(crate) const MIN: Self = Self(0);
    /// Behind all records.
    pub(crate) const MAX: Self = Self(u64::MAX);
    /// The first record of a collection.
    pub(crate) const FIRST: Self = Self(1);

    /// The record behind this one. Nobody counts to the last.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
