//! Pipelines inside stages, and what they run over.

use std::sync::Arc;

use super::run;
use super::source::{Documents, Source, Visit, ready};
use super::{Database, Pipeline};
use crate::{Filter, Result};
use bson::RawDocumentBuf;

/// The documents that come out of `pipeline` when those of the collection `from` go in that `joined` matches. Where the pipeline
/// brings documents of its own, it is those that must match.
pub(crate) fn run_over(
    pipeline: &Pipeline,
    from: Option<&str>,
    joined: Option<Arc<Filter>>,
    database: &Arc<dyn Database>,
) -> Result<Documents> {
    // It may be run for each of many documents, and be too short to ask by itself.
    database.check_for_interrupt()?;
    if pipeline.has_own_documents() {
        let own = run::run(&pipeline.stages[..1], 0, ready(None), database);
        return Ok(pipeline.run_after(1, matching(own, joined), database));
    }
    let Some(from) = from else { return Ok(ready(None)) };
    let filters = pipeline.leading().filters;
    let done = filters.len();
    let all: Vec<_> = joined.iter().chain(filters).cloned().collect();
    let filter = match &*all {
        [] => None,
        [one] => Some(Arc::clone(one)),
        several => Some(Arc::new(Filter::all_of(several))),
    };
    let documents = database.documents(from, filter.as_ref())?;
    Ok(pipeline.run_after(done, documents, database))
}

/// Those of `input` that `filter` matches.
pub(crate) fn matching(input: Documents, filter: Option<Arc<Filter>>) -> Documents {
    match filter {
        Some(filter) => Box::new(Matching { input, filter }),
        None => input,
    }
}

#[derive(Debug)]
struct Matching {
    input: Documents,
    filter: Arc<Filter>,
}

impl Source for Matching {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        while let Some(document) = self.input.next()? {
            if self.filter.matches(&document)? {
                return Ok(Some(document));
            }
        }
        Ok(None)
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        let Self { input, filter } = self;
        input.for_each(&mut |document| match filter.find(document)? {
            Some(_) => visit(document),
            None => Ok(()),
        })
    }
}
