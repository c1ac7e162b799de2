//! Pipelines: stages over an iterator of documents.
//!
//! A stage is a [`Source`] of documents that asks the one before it when it is asked. Stages that make at most one document of
//! each run one behind the other on values in an arena (`streaming.rs`); what comes out is written once, or shown
//! as it is to a stage that only looks. `$unwind` feeds such a run itself. `$sort` and `$group` hold what they need in
//! memory of their own, which is bounded, and put the rest into a [`Scratch`].

mod accumulator;
mod bucket_auto;
mod buffered;
mod count;
mod database;
mod desugar;
mod distinct;
mod documents;
mod engine;
mod facet;
mod graph_lookup;
mod group;
mod limit;
mod lookup;
mod redact;
mod replace_root;
mod run;
mod sample;
mod scratch;
mod sort;
mod sorted;
mod source;
mod stage;
mod statistics;
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

use std::sync::Arc;

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{
    Arena, Document, Environment, Error, ErrorCode, Filter, OwnedValue, Result, Sort, Value,
    Writer, limits,
};
pub use database::Database;
pub use scratch::Scratch;
pub use source::{Documents, Source, Visit, documents};
pub use statistics::Statistics;

use database::NoDatabase;
use source::{later, ready};
use stage::{Place, Stage, Within, check_depth};
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
        Self::parse_inner(stages.get(), Place::outermost(environment))
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
        Ok(Self { stages: parsed, on_slots })
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
        let (on_slots, others) = self.stages.split_at(self.on_slots);
        let mut documents = source;
        if done < on_slots.len() {
            documents = engine::on_slots(run::run(&on_slots[done..], documents, database));
        }
        let done = done.saturating_sub(on_slots.len());
        let documents = run::run(others.get(done..).unwrap_or_default(), documents, database);
        Box::new(Results(documents))
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
        let (streaming, _) = Streaming::take(&self.stages, &database, limits::DEPTH_MAX);
        let changed = streaming.run(document.to_owned(), &Arena::new())?;
        result(changed.unwrap_or_default())
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
struct Results(Documents);

impl Source for Results {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        self.0.next()?.map(result).transpose()
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        // What comes out must be short as it is written.
        self.0.for_each(&mut |document| match document.raw_bytes() {
            Some(bytes) if bytes.len() <= limits::DOCUMENT_BYTES_MAX => visit(document),
            _ => visit(Document::from(&*result(document.to_raw())?)),
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
