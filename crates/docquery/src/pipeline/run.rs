//! Running stages: each takes the documents of the one before.

use bson::RawDocumentBuf;

use super::stage::Stage;
use super::streaming::{NESTING_MAX, Streaming, Transformed};
use super::unwind::Unwinding;
use super::{Collections, Documents};
use crate::{Result, limits};

/// The documents that come out of `stages` when `input` goes in.
pub(crate) fn run<'a>(
    stages: &'a [Stage],
    mut input: Documents<'a>,
    collections: &'a dyn Collections,
) -> Documents<'a> {
    let mut rest = stages;
    // What is stored is less deep than what comes out of stages.
    let mut depth_max = limits::DEPTH_MAX;
    while let [first, behind @ ..] = rest {
        let here = rest;
        rest = behind;
        input = match first {
            Stage::Match(_) | Stage::Transform(_) | Stage::ReplaceRoot(_) | Stage::Lookup(_) => {
                let streaming;
                (streaming, rest) = Streaming::take(here, collections, depth_max);
                depth_max = NESTING_MAX;
                Box::new(Transformed::new(input, streaming))
            }
            Stage::Unwind(unwind) => {
                let streaming;
                (streaming, rest) = Streaming::take(behind, collections, depth_max);
                depth_max = NESTING_MAX;
                Box::new(Unwinding::new(unwind, input, streaming))
            }
            Stage::Sort(sort) => {
                let limit = documents_needed(behind)
                    .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
                blocking(move || sort.run(input, limit))
            }
            Stage::Limit(limit) => {
                Box::new(input.take(usize::try_from(*limit).unwrap_or(usize::MAX)))
            }
            Stage::Skip(skip) => skipping(input, *skip),
            Stage::Group(group) => {
                depth_max = NESTING_MAX;
                blocking(move || group.run(input))
            }
            Stage::Count(count) => blocking(move || count.count(input)),
            Stage::Documents(documents) => {
                depth_max = NESTING_MAX;
                blocking(move || documents.documents())
            }
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

/// The documents of `compute`, which runs when the first is asked for.
fn blocking<'a, D>(compute: impl FnOnce() -> Result<D> + 'a) -> Documents<'a>
where
    D: IntoIterator<Item = RawDocumentBuf> + 'a,
{
    let computed = std::iter::once_with(compute).flat_map(|documents| -> Documents<'a> {
        match documents {
            Ok(documents) => Box::new(documents.into_iter().map(Ok)),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    });
    Box::new(computed)
}

/// `input` without its first `skip` documents. Errors among them are not left out.
fn skipping(input: Documents<'_>, skip: u64) -> Documents<'_> {
    let mut left = skip;
    Box::new(input.filter(move |document| {
        if left == 0 || document.is_err() {
            return true;
        }
        left -= 1;
        false
    }))
}
