//! Cases recorded from a real MongoDB, and whether something else answers them in the same way.
//!
//! A file holds one case a line: `{"id", "area", "steps": [{"command", "reply"[, "order"][, "arrays"]}]}`. The steps of a case
//! are commands that run in their order on an empty database; values are canonical Extended JSON v2.
//!
//! | field of a reply | compares |
//! | --- | --- |
//! | integers of the envelope (`ok`, `n`, `code`, ...) | by value |
//! | `writeErrors` | `index` and `code` of each, in order |
//! | a reply with `ok: 0` | `ok` and `code` |
//! | `cursor` | `firstBatch`, with what `getMore` brings; neither `id` nor `ns` |
//! | `note`, `msg`, `ns` | not |
//! | everything else | type, value, order of fields and elements; NaN is NaN, -0.0 is not 0.0, Decimal128 by its text |
//!
//! `order` (`"any"`, `"ties"`) says that the order of the result is open, `arrays` (`"any"`) the same of the arrays in it.
//! `{"$$any": true}` equals anything, `{"$$type": "objectId"}` (or `"date"`, `"timestamp"`) any value of its type.

pub mod case;
pub mod corpus;
pub mod difference;
#[cfg(test)]
mod echo;
pub mod extended;
pub mod failing;
pub mod json;
pub mod replay;
pub mod reply;
pub mod report;
pub mod server;
pub mod socket;
pub mod store;
pub mod value;

pub use case::{Case, Step};
pub use corpus::{Area, read_folder};
pub use difference::Difference;
pub use failing::Failing;
pub use replay::{Failure, replay, replay_all};
pub use report::Report;
pub use server::Server;
pub use socket::ServedStore;
pub use store::StoreServer;
