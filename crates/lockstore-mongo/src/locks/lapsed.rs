//! How what may have run out is found among many locks that are free.
//!
//! An index has entries for the locks only that have its field, and a comparison with a value of the field's type finds these by it.

use bson::{DateTime, Document, doc};

/// Finds locks with a lease that is over.
pub(crate) fn is_due() -> Document {
    doc! { "due": { "$gt": DateTime::from_millis(0) }, "$expr": { "$lte": ["$due", "$$NOW"] } }
}

/// Finds locks with a grant that is bound to a session. Sessions are counted from 1.
pub(super) fn is_bound() -> Document {
    doc! { "grants.session": { "$gt": 0_i64 } }
}
