//! Cases of filters, as data.

use bson::{RawDocumentBuf, rawdoc};

use crate::{Environment, Filter};

#[track_caller]
fn check(filter: RawDocumentBuf, document: RawDocumentBuf, expected: bool) {
    let parsed = Filter::parse(&filter, &Environment::new(0)).unwrap();
    assert_eq!(parsed.matches(&document), Ok(expected), "{filter:?} on {document:?}");
}

#[test]
fn a_field_is_compared() {
    check(rawdoc! { "a": 1 }, rawdoc! { "a": 1.0 }, true);
    check(rawdoc! { "a": { "$gt": 1 } }, rawdoc! { "a": "2" }, false);
}
