//! Extended JSON, version 2: documents as text.
//!
//! BSON has types that JSON lacks: `{"$oid": "..."}`, `{"$date": "..."}` and their like are values of these types. In the
//! canonical form every number says its type too; in the relaxed one, which is easier to read, numbers are plain, and an
//! integer that fits into 32 bits comes back as such.
//!
//! The order of fields is kept, and so are fields that occur twice.

mod arguments;
mod read;
mod write;

pub(crate) use arguments::{parse_array, parse_document, parse_hint, parse_id, parse_update};
pub(crate) use read::{Misread, document_of_line};
pub(crate) use write::{Form, json_of_value, text, text_of_value};

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "these are tests, and so are the functions that they share")]
mod tests;
