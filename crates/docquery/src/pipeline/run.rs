//! Running stages: each takes the documents of the one before.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::stage::Stage;
use super::steps::Steps;
use super::streaming::{NESTING_MAX, Streaming, Transformed};
use super::unwind::Unwinding;
use super::{Database, Documents, Source, Visit, engine, later, ready};
use crate::{Result, limits};

/// The documents that come out of `stages` when `input` goes in. The first `on_slots` stages run on the second engine, and
/// their errors are those that it gives.
pub(crate) fn run(
    stages: &[Stage],
    on_slots: usize,
    mut input: Documents,
    database: &Arc<dyn Database>,
) -> Documents {
    if on_slots > 0 {
        input = engine::on_slots(input);
    }
    let mut rest = stages;
    // What is stored is less deep than what comes out of stages.
    let mut depth_max = limits::DEPTH_MAX;
    while let [first, behind @ ..] = rest {
        let here = rest;
        let on_slots = on_slots.saturating_sub(stages.len() - rest.len());
        rest = behind;
        let database = Arc::clone(database);
        input = match first.clone() {
            Stage::Match(_)
            | Stage::Transform(_)
            | Stage::ReplaceRoot(_)
            | Stage::Lookup(_)
            | Stage::GraphLookup(_)
            | Stage::Redact(_) => {
                let streaming;
                (streaming, rest) = Streaming::take(here, on_slots, &database, depth_max);
                depth_max = NESTING_MAX;
                Box::new(Transformed::new(input, streaming))
            }
            Stage::Unwind(unwind) => {
                let streaming;
                (streaming, rest) = Streaming::take(behind, 0, &database, depth_max);
                depth_max = NESTING_MAX;
                Box::new(Unwinding::new(unwind, input, streaming))
            }
            Stage::Sort(sort) => {
                let limit = documents_needed(behind)
                    .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
                later(move || sort.run(input, limit, &*database))
            }
            Stage::Limit(left) => Box::new(Limited { input, left }),
            Stage::Skip(left) => {
                Box::new(Skipping { input, left, database, steps: Steps::default() })
            }
            Stage::Group(group) => {
                depth_max = NESTING_MAX;
                let groups = later(move || group.run(input, database));
                if on_slots > 0 { engine::on_slots(groups) } else { groups }
            }
            Stage::Count(count) => later(move || Ok(ready(count.count(input, &*database)?))),
            Stage::Documents(documents) => {
                depth_max = NESTING_MAX;
                later(move || Ok(ready(documents.documents()?)))
            }
            Stage::BucketAuto(bucket) => {
                depth_max = NESTING_MAX;
                later(move || bucket.run(input, database))
            }
            Stage::Facet(facet) => {
                depth_max = NESTING_MAX;
                later(move || Ok(ready([facet.run(input, &database)?])))
            }
            Stage::Union(union) => {
                depth_max = NESTING_MAX;
                union.run(input, database)
            }
            Stage::Windows(windows) => {
                depth_max = NESTING_MAX;
                later(move || windows.run(input, database))
            }
            Stage::Densify(densify) => {
                depth_max = NESTING_MAX;
                later(move || densify.run(input, &*database))
            }
            Stage::Sample(sample) => later(move || sample.run(input, &*database)),
            Stage::Statistics(_) | Stage::Output(_) => input,
        };
    }
    input
}

/// How many documents `stages` look at, where they begin with a `$limit`, or `$skip`s and a `$limit`.
pub(crate) fn documents_needed(stages: &[Stage]) -> Option<u64> {
    let mut skipped: u64 = 0;
    for stage in stages {
        match stage {
            Stage::Skip(skip) => skipped = skipped.saturating_add(*skip),
            Stage::Limit(limit) => return Some(skipped.saturating_add(*limit)),
            _ => return None,
        }
    }
    None
}

/// The first documents of a source.
#[derive(Debug)]
struct Limited {
    input: Documents,
    left: u64,
}

impl Source for Limited {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        self.input.next()
    }
}

/// A source without its first documents.
#[derive(Debug)]
struct Skipping {
    input: Documents,
    left: u64,
    database: Arc<dyn Database>,
    steps: Steps,
}

impl Source for Skipping {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        while let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            self.steps.take(1, &*self.database)?;
            if self.input.next()?.is_none() {
                return Ok(None);
            }
        }
        self.input.next()
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        let Self { input, left, database, steps } = self;
        input.for_each(&mut |document| {
            if let Some(fewer) = left.checked_sub(1) {
                *left = fewer;
                return steps.take(1, &**database);
            }
            visit(document)
        })
    }
}
