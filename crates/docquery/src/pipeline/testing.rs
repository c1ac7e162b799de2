//! Running pipelines in tests.

#![expect(
    clippy::needless_pass_by_value,
    reason = "what the macro `bson!` makes is written where it is passed"
)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bson::{Bson, RawBson, RawDocumentBuf};

use super::{Database, Documents, Pipeline, Scratch, Workspace, ready};
use crate::{Environment, Error, ErrorCode, Filter, Result};

/// Collections in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    collections: HashMap<String, Vec<RawDocumentBuf>>,
    bytes_max: Option<usize>,
    has_scratch: bool,
    asked: Arc<AtomicUsize>,
    ends_after: Option<usize>,
}

/// Room that is in memory after all.
#[derive(Debug, Default)]
struct Room(Vec<u8>);

impl Memory {
    pub(crate) fn with(name: &str, documents: Bson) -> Self {
        Self { collections: HashMap::from([(name.to_owned(), raw(documents))]), ..Self::default() }
    }

    /// The same with room outside memory.
    pub(crate) fn with_scratch(mut self) -> Self {
        self.has_scratch = true;
        self
    }

    /// The same that tells to end whoever has asked so many times whether to go on.
    pub(crate) fn ending_after(mut self, times: usize) -> Self {
        self.ends_after = Some(times);
        self
    }

    /// How often it, or one that is the same, was asked whether to go on.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The same without room outside memory.
    pub(crate) fn without_scratch(mut self) -> Self {
        self.has_scratch = false;
        self
    }

    /// The same with little memory, and room outside.
    pub(crate) fn with_memory(mut self, bytes_max: usize) -> Self {
        self.bytes_max = Some(bytes_max);
        self.with_scratch()
    }
}

impl Scratch for Room {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let offset = usize::try_from(offset).unwrap();
        bytes.copy_from_slice(&self.0[offset..offset + bytes.len()]);
        Ok(())
    }
}

impl Database for Memory {
    fn documents(&self, name: &str, filter: Option<&Arc<Filter>>) -> Result<Documents> {
        let documents = ready(self.collections.get(name).cloned().unwrap_or_default());
        Ok(super::sub_pipeline::matching(documents, filter.cloned()))
    }
}

impl Workspace for Memory {
    fn scratch(&self) -> Result<Option<Box<dyn Scratch>>> {
        Ok(self.has_scratch.then(|| Box::new(Room::default()) as Box<dyn Scratch>))
    }

    fn check_for_interrupt(&self) -> Result<()> {
        let before = self.asked.fetch_add(1, Ordering::Relaxed);
        match self.ends_after {
            Some(times) if before >= times => {
                Err(Error::new(ErrorCode::MAX_TIME_MS_EXPIRED, "the test ends it"))
            }
            _ => Ok(()),
        }
    }

    fn memory_bytes(&self) -> usize {
        self.bytes_max.unwrap_or(super::database::MEMORY_BYTES_MAX)
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
        let database: Arc<dyn Database> = Arc::new(collections.clone());
        let mut found = pipeline.run(ready(raw(documents)), &database);
        std::iter::from_fn(|| found.next().transpose()).collect::<Result<Vec<_>>>()
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
