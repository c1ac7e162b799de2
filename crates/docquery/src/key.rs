//! Index keys: bytes that sort as the values do.
//!
//! [`encode`] writes one value. A key is the values of an index's fields one behind the other, those of descending fields
//! with all bits turned over; [`KeyPattern::keys`] makes the keys of a document. [`bounds`] are the parts of an index
//! that a condition can be true in.

pub mod bounds;
mod encode;
mod extract;
mod interval;
mod number;
mod pattern;
mod ranges;
mod show;
mod split;
pub(crate) mod walk;

pub use bounds::{Bounds, Comparison};
pub use encode::encode;
pub use extract::Keys;
pub use interval::{Cut, Interval};
pub use pattern::{Direction, KeyField, KeyPattern};
pub use ranges::KeyRanges;
pub use split::{KeyValues, first_value};

#[cfg(test)]
mod tests;
