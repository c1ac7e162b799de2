//! Running pipelines in tests.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what the macro `bson!` makes is written where it is passed"
)]

use std::collections::HashMap;

use bson::{Bson, RawBson, RawDocument, RawDocumentBuf};

use super::{Collections, Documents, Pipeline};
use crate::{Environment, Result};

/// Collections in memory.
#[derive(Debug, Default)]
pub(crate) struct Memory(HashMap<String, Vec<RawDocumentBuf>>);

impl Memory {
    pub(crate) fn with(name: &str, documents: Bson) -> Self {
        Self(HashMap::from([(name.to_owned(), raw(documents))]))
    }
}

impl Collections for Memory {
    fn documents<'a>(&'a self, name: &str, _: Option<&RawDocument>) -> Result<Documents<'a>> {
        let documents = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        Ok(Box::new(documents.iter().cloned().map(Ok)))
    }
}

/// The stages that `stages` are, parsed.
pub(crate) fn parse(stages: Bson) -> Result<Pipeline> {
    let RawBson::Array(stages) = RawBson::try_from(stages).unwrap() else { panic!("no array") };
    Pipeline::parse(&stages, &Environment::new(0))
}

/// What comes out of `stages` when `documents` go in, or the code of the first error.
pub(crate) fn run(stages: Bson, documents: Bson, collections: &Memory) -> Result<Bson, i32> {
    let result = parse(stages).and_then(|pipeline| {
        let source = raw(documents).into_iter().map(Ok);
        pipeline.run(Box::new(source), collections).collect::<Result<Vec<_>>>()
    });
    let documents = result.map_err(|error| error.code().value())?;
    let documents =
        documents.into_iter().map(|document| Bson::Document(document.try_into().unwrap()));
    Ok(Bson::Array(documents.collect()))
}

/// Checks what comes out of `stages` when `documents` go in.
#[track_caller]
pub(crate) fn check(stages: Bson, documents: Bson, expected: Bson) {
    let found = run(stages.clone(), documents.clone(), &Memory::default());
    assert_eq!(found, Ok(expected), "{stages} on {documents}");
}

/// Checks that `stages` are refused, or fail on a document.
#[track_caller]
pub(crate) fn check_error(stages: Bson, documents: Bson, code: i32) {
    let found = run(stages.clone(), documents.clone(), &Memory::default());
    assert_eq!(found, Err(code), "{stages} on {documents}");
}

fn raw(documents: Bson) -> Vec<RawDocumentBuf> {
    let Bson::Array(documents) = documents else { panic!("no array") };
    let raw = |document| match RawBson::try_from(document).unwrap() {
        RawBson::Document(document) => document,
        other => panic!("no document: {other:?}"),
    };
    documents.into_iter().map(raw).collect()
}
