//! Pipelines: stages over an iterator of documents.
//!
//! A stage is a [`Source`] of documents that asks the one before it when it is asked. Stages that make at most one document of
//! each run one behind the other on values in an arena (`streaming.rs`); what comes out is written once, or shown
//! as it is to a stage that only looks. `$unwind` feeds such a run itself. `$sort` and `$group` hold what they need in
//! memory of their own, which is bounded, and put the rest into a [`Scratch`].
//!
//! # What there is
//!
//! All expressions of MongoDB 6.0 but `$function` and `$accumulator`, which run `JavaScript`, and these stages:
//!
//! | stage | how it works |
//! | --- | --- |
//! | `$match`, `$project`, `$set`, `$addFields`, `$unset`, `$replaceRoot`, `$replaceWith`, `$redact` | one document at a time; `$match` stages in front, and a `$sort` behind them, are done by the source, with its indexes |
//! | `$unwind`, `$limit`, `$skip`, `$count` | one document at a time |
//! | `$sort`, `$group`, `$bucket`, `$bucketAuto`, `$sortByCount`, `$sample` | hold up to [`Workspace::memory_bytes`], and the rest in a [`Scratch`]: sorted runs are merged, groups are divided and gone through part by part. Without room `QueryExceededMemoryLimitNoDiskUseAllowed` (292) |
//! | `$lookup`, `$graphLookup` | ask the other collection for each document, with its indexes; what is found for one document is held, up to 100 MiB |
//! | `$unionWith` | streams the other collection behind the first |
//! | `$facet` | holds what comes in as `$sort` does, and goes through it once for each pipeline |
//! | `$setWindowFields`, `$fill` | sort as `$sort` does, and put what one partition has too much into a [`Scratch`] (5643011 without room); what the functions keep of their windows is bounded (5414201) |
//! | `$densify` | sorts as `$sort` does, and makes at most 500,000 documents |
//! | `$documents`, `$collStats`, `$indexStats` | first in a pipeline |
//! | `$out`, `$merge` | last in a pipeline; the one who runs it writes, see [`Pipeline::output`] |
//!
//! # What is left, and why
//!
//! | | |
//! | --- | --- |
//! | `$geoNear` | there are no geographic indexes: it is answered as a collection without one is (27) |
//! | `$changeStream` | there is no log of operations that it could follow: the answer of a server without one (40573) |
//! | `$currentOp`, `$listSessions`, `$listLocalSessions` | there are no operations or sessions of other clients to list (73) |
//! | `$search`, `$searchMeta` | parts of Atlas; a plain server does not know them either (40324) |
//! | `$planCacheStats`, `$listCatalog`, `$_internal...` | they show how a server works inside (40324) |
//! | `$shardedDataDistribution` | needs a sharded cluster (6789101) |
//! | `$covariancePop`, `$covarianceSamp` of decimals | computed with doubles, and given as decimals of 15 digits |
//! | `$facet` without disk use | refused with 292 where what comes in is more than memory: its pipelines run one after the other, and not side by side |
//! | `$lookup` and `$unionWith` with a `pipeline` | its `$match` stages in front use indexes, `$expr` with variables as well; a `$sort` behind them does not |
//! | `$meta` | there is no text search or geographic distance to tell of |
//!
//! # What ends it
//!
//! A stage that works long asks [`Workspace::check_for_interrupt`] every so many documents, also where it makes them of one
//! that it was given: what gets no documents from a source for hours ends when it is to end. One expression on one document is never cut short.
//!
//! Two collections are never joined as of one moment: a pipeline reads each as of the commit that is the last when it asks,
//! as a server does without a snapshot.

mod accumulator;
mod bucket_auto;
mod buffered;
mod count;
mod database;
mod densify;
mod desugar;
mod distinct;
mod documents;
mod engine;
mod facet;
mod graph_lookup;
mod group;
mod limit;
mod lookup;
mod output;
mod redact;
mod replace_root;
mod run;
mod sample;
mod scratch;
mod sort;
mod sorted;
mod source;
mod spilled;
mod stage;
mod statistics;
mod steps;
mod streaming;
mod sub_pipeline;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unavailable;
mod union_with;
mod unset;
mod unwind;
mod windows;

use std::sync::Arc;

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{
    Arena, Document, Environment, Error, ErrorCode, Filter, OwnedValue, Result, Sort, Value,
    Writer, limits,
};
pub use database::{Database, Workspace};
pub use output::{Matched, Merge, Output, Target, WhenNotMatched};
pub use scratch::Scratch;
pub use sorted::{Sorted, SortedItems};
pub use source::{Documents, Source, Visit, documents};
pub use statistics::Statistics;

use database::NoDatabase;
use source::{later, ready};
use stage::{Place, Stage, Within, check_depth};
use steps::Steps;
use streaming::{Streaming, too_large};

/// A pipeline, parsed.
#[derive(Clone, Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    /// How many of them the server's second engine would run.
    on_slots: usize,
}

/// What the first stages of a pipeline ask of its source. A source that does some of it, by an index, tells
/// [`Pipeline::run_after`] how many stages it has done.
#[derive(Clone, Debug)]
pub struct Leading<'a> {
    /// The filters of the `$match` stages that come first, one for each stage.
    pub filters: Vec<&'a Arc<Filter>>,
    /// The order of a `$sort` right behind them.
    pub sort: Option<&'a Sort>,
    /// How many documents are needed at most, behind the filters and the order.
    pub limit: Option<u64>,
}

impl Pipeline {
    /// Parses the stages of a pipeline.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no pipeline: 40323 and 40324 for what is no stage, and those of each stage.
    pub fn parse(stages: &RawArray, environment: &Environment) -> Result<Self> {
        let stages = OwnedValue::from(RawBsonRef::Array(stages));
        Self::check_shape(stages.get())?;
        environment
            .parse(|environment| Self::parse_inner(stages.get(), Place::outermost(environment)))
    }

    /// Checks that each stage is one that there is. It is the first that [`Pipeline::parse`] does; a command with
    /// several pipelines, as updates are, fails as a whole if this fails for one.
    ///
    /// # Errors
    ///
    /// 40323 and 40324 for what is no stage; those that `$lookup` gives before anything is parsed.
    pub fn check_shape(stages: Value<'_>) -> Result<()> {
        Self::check_shape_in(stages, 0)
    }

    fn check_shape_in(stages: Value<'_>, depth: usize) -> Result<()> {
        let Value::Array(stages) = stages else {
            let message = format!("a pipeline is an array, not {}", stages.type_name());
            return Err(Error::type_mismatch(message));
        };
        if stages.len() > STAGES_MAX {
            let message = format!("a pipeline has at most {STAGES_MAX} stages");
            return Err(Error::location(7_749_501, message));
        }
        if depth > 0 {
            check_depth(depth - 1)?;
        }
        stages.iter().try_for_each(|stage| Stage::check_shape(stage, depth))
    }

    /// Parses the pipeline that stands at `place`.
    fn parse_inner(stages: Value<'_>, place: Place<'_>) -> Result<Self> {
        let mut parsed = Vec::new();
        for item in stages.as_array().into_iter().flatten() {
            Stage::parse_item(item, place, &mut parsed)?;
        }
        let (written, mut parsed): (Vec<_>, Vec<_>) = parsed.into_iter().unzip();
        check_places(&parsed, place.within)?;
        let on_slots = engine::stages_on_slots(&written, &parsed);
        let is_whole = on_slots == parsed.len();
        for (index, stage) in parsed.iter_mut().enumerate().take(on_slots) {
            stage.run_on_slots(!is_whole && index + 1 == on_slots);
        }
        let (first, others) = parsed.split_at_mut(on_slots);
        filter_before_sorting(first);
        filter_before_sorting(others);
        Ok(Self { stages: parsed, on_slots })
    }

    /// Where its documents go in the place of the caller, if it ends with `$out` or `$merge`.
    pub fn output(&self) -> Option<&Output> {
        match self.stages.last() {
            Some(Stage::Output(output)) => Some(output),
            _ => None,
        }
    }

    /// The statistics that it begins with in the place of documents, if it does.
    pub fn statistics(&self) -> Option<Statistics> {
        match self.stages.first() {
            Some(Stage::Statistics(statistics)) => Some(*statistics),
            _ => None,
        }
    }

    /// Whether its first stage brings the documents, `$documents`: then it takes none from a collection.
    pub fn has_own_documents(&self) -> bool {
        matches!(self.stages.first(), Some(Stage::Documents(_)))
    }

    /// What its first stages ask of the source.
    pub fn leading(&self) -> Leading<'_> {
        let filters: Vec<_> = self.stages.iter().map_while(Stage::filter).collect();
        let rest = &self.stages[filters.len()..];
        let (sort, rest) = match rest {
            [Stage::Sort(sort), rest @ ..] => (Some(sort.sort()), rest),
            _ => (None, rest),
        };
        Leading { filters, sort, limit: run::documents_needed(rest) }
    }

    /// The documents that come out when `source` goes in.
    pub fn run(&self, source: Documents, database: &Arc<dyn Database>) -> Documents {
        self.run_after(0, source, database)
    }

    /// The documents that come out when `source` goes in, which has done what the first `done` stages do.
    pub fn run_after(
        &self,
        done: usize,
        source: Documents,
        database: &Arc<dyn Database>,
    ) -> Documents {
        let on_slots = self.on_slots.saturating_sub(done);
        let stages = self.stages.get(done..).unwrap_or_default();
        let documents = run::run(stages, on_slots, source, database);
        Box::new(Results { documents, database: Arc::clone(database), steps: Steps::default() })
    }

    /// Checks that an update may be this pipeline: it sets, takes away and replaces, no more.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::INVALID_OPTIONS`] names the stage that may not be there.
    pub fn check_update(&self) -> Result<()> {
        match self.stages.iter().find(|stage| !stage.may_update()) {
            None => Ok(()),
            Some(stage) => {
                let message = format!(
                    "{} is not allowed in an update; $addFields, $set, $project, $unset, $replaceRoot and $replaceWith are",
                    stage.name()
                );
                Err(Error::new(ErrorCode::INVALID_OPTIONS, message))
            }
        }
    }

    /// What a pipeline that has passed [`Pipeline::check_update`] makes of one document.
    ///
    /// # Errors
    ///
    /// An expression failed, or the document would be too large or too deep.
    pub fn apply_to_document(&self, document: &RawDocument) -> Result<RawDocumentBuf> {
        let database: Arc<dyn Database> = Arc::new(NoDatabase);
        let (streaming, _) = Streaming::take(&self.stages, 0, &database, limits::DEPTH_MAX);
        let changed = streaming.run(document.to_owned(), &Arena::new())?;
        result(changed.unwrap_or_default())
    }
}

/// All of `documents`, which are found before the first is given.
///
/// # Errors
///
/// They cannot be found, or there is no room for them.
pub fn all_at_once(mut documents: Documents, database: &dyn Database) -> Result<Documents> {
    let mut held = buffered::Buffered::new("a pipeline that writes what it reads", database);
    documents.for_each(&mut |document| held.push(document))?;
    Ok(held.finish()?.documents())
}

/// Moves filters before the sorts that they follow: they change no order, and what they drop need not be sorted, and may be found by
/// an index.
fn filter_before_sorting(stages: &mut [Stage]) {
    for place in 1..stages.len() {
        let mut place = place;
        while place > 0 && matches!(&stages[place - 1..=place], [Stage::Sort(_), Stage::Match(_)]) {
            stages.swap(place - 1, place);
            place -= 1;
        }
    }
}

/// Checks that each stage may stand where it does.
fn check_places(stages: &[Stage], within: Within) -> Result<()> {
    if within == Within::Facet
        && let Some(stage) = stages.iter().find(|stage| !stage.fits_facet())
    {
        let message = format!("{} is not allowed in a $facet", stage.name());
        return Err(Error::location(40600, message));
    }
    let output = stages.iter().position(|stage| matches!(stage, Stage::Output(_)));
    if let Some(output) = output {
        let name = stages[output].name();
        let problem = match within {
            Within::Lookup => Some((51047, "in a $lookup")),
            Within::Union => Some((31441, "in a $unionWith")),
            Within::Command | Within::Facet => {
                (output + 1 < stages.len()).then_some((40601, "before other stages"))
            }
        };
        if let Some((code, place)) = problem {
            let message = format!("{name} is not allowed {place}: it ends a pipeline");
            return Err(Error::location(code, message));
        }
    }
    match stages.iter().skip(1).find(|stage| stage.begins()) {
        Some(stage) => {
            let message =
                format!("{} is only valid as the first stage of a pipeline", stage.name());
            Err(Error::location(40602, message))
        }
        None => Ok(()),
    }
}

/// What comes out at the end.
#[derive(Debug)]
struct Results {
    documents: Documents,
    database: Arc<dyn Database>,
    steps: Steps,
}

impl Source for Results {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        self.steps.take(1, &*self.database)?;
        self.documents.next()?.map(result).transpose()
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        let Self { documents, database, steps } = self;
        documents.for_each(&mut |document| {
            steps.take(1, &**database)?;
            match document.raw_bytes() {
                // What comes out must be short as it is written.
                Some(bytes) if bytes.len() <= limits::DOCUMENT_BYTES_MAX => visit(document),
                _ => visit(Document::from(&*result(document.to_raw())?)),
            }
        })
    }
}

/// A document that comes out at the end: larger ones may only stand between the stages.
fn result(document: RawDocumentBuf) -> Result<RawDocumentBuf> {
    if document.as_bytes().len() > limits::DOCUMENT_BYTES_MAX {
        return Err(too_large(limits::DOCUMENT_BYTES_MAX));
    }
    Ok(document)
}

/// The document that `writer` has written.
fn buffer(writer: Writer) -> Result<RawDocumentBuf> {
    check_size(writer.len())?;
    let document = RawDocumentBuf::from_bytes(writer.finish());
    document.map_err(|error| Error::new(ErrorCode::INVALID_BSON, error.to_string()))
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > INNER_BYTES_MAX { Err(too_large(INNER_BYTES_MAX)) } else { Ok(()) }
}

/// How many stages a pipeline may have.
const STAGES_MAX: usize = 1000;

/// How long a document may be between two stages, in bytes. Only what comes out at the end must be short.
const INNER_BYTES_MAX: usize = 128 * 1024 * 1024;
