//! Pipelines: stages over an iterator of documents.
//!
//! Stages that make at most one document of each run one behind the other on values in an arena (`streaming.rs`); what
//! comes out is written once. `$unwind` feeds such a run itself. `$sort` and `$group` hold what they need in memory of
//! their own, which is bounded.

mod accumulator;
mod count;
mod distinct;
mod documents;
mod engine;
mod group;
mod limit;
mod lookup;
mod replace_root;
mod run;
mod sort;
mod stage;
mod streaming;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unset;
mod unwind;

use std::fmt;

use bson::{RawArray, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::{
    Arena, Environment, Error, ErrorCode, Filter, OwnedValue, Result, Sort, Value, Writer, limits,
};
use stage::{Place, Stage};
use streaming::{Streaming, too_large};

/// A pipeline, parsed.
#[derive(Clone, Debug)]
pub struct Pipeline {
    stages: Vec<Stage>,
    /// How many of them the server's second engine would run.
    on_slots: usize,
}

/// Documents, one after the other.
pub type Documents<'a> = Box<dyn Iterator<Item = Result<RawDocumentBuf>> + 'a>;

/// The other collections of the database, for `$lookup`.
pub trait Collections: fmt::Debug {
    /// The documents of the collection `name` that match `filter`, or a superset of them; none where there is no such
    /// collection. The implementation may use an index for the filter; the caller filters again.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn documents<'a>(&'a self, name: &str, filter: Option<&RawDocument>) -> Result<Documents<'a>>;
}

/// What the first stages of a pipeline ask of its source. A source that does some of it, by an index, tells
/// [`Pipeline::run_after`] how many stages it has done.
#[derive(Clone, Debug)]
pub struct Leading<'a> {
    /// The filters of the `$match` stages that come first, one for each stage.
    pub filters: Vec<&'a Filter>,
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
        environment.parse(|environment| Self::parse_inner(stages.get(), environment, 0))
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
        stages.iter().try_for_each(|stage| Stage::check_shape(stage, depth))
    }

    /// Parses a pipeline in `depth` others.
    fn parse_inner(stages: Value<'_>, environment: &Environment, depth: usize) -> Result<Self> {
        let parsed = stages
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, stage)| Stage::parse(stage, Place { environment, depth, index }));
        let mut parsed: Vec<_> = parsed.collect::<Result<_>>()?;
        let on_slots = engine::stages_on_slots(stages, &parsed);
        let is_whole = on_slots == parsed.len();
        for (index, stage) in parsed.iter_mut().enumerate().take(on_slots) {
            stage.run_on_slots(!is_whole && index + 1 == on_slots);
        }
        let (first, others) = parsed.split_at_mut(on_slots);
        filter_before_sorting(first);
        filter_before_sorting(others);
        Ok(Self { stages: parsed, on_slots })
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
    pub fn run<'a>(
        &'a self,
        source: Documents<'a>,
        collections: &'a dyn Collections,
    ) -> Documents<'a> {
        self.run_after(0, source, collections)
    }

    /// The documents that come out when `source` goes in, which has done what the first `done` stages do.
    pub fn run_after<'a>(
        &'a self,
        done: usize,
        source: Documents<'a>,
        collections: &'a dyn Collections,
    ) -> Documents<'a> {
        let (on_slots, others) = self.stages.split_at(self.on_slots);
        let mut documents = source;
        if done < on_slots.len() {
            let first = run::run(&on_slots[done..], documents, collections);
            documents = Box::new(first.map(|document| document.map_err(engine::error_on_slots)));
        }
        let done = done.saturating_sub(on_slots.len());
        let documents = run::run(others.get(done..).unwrap_or_default(), documents, collections);
        Box::new(documents.map(|document| document.and_then(result)))
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
        let (streaming, _) = Streaming::take(&self.stages, &NoCollections, limits::DEPTH_MAX);
        let changed = streaming.run(document.to_owned(), &Arena::new())?;
        result(changed.unwrap_or_default())
    }
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

/// A database without collections.
#[derive(Debug)]
struct NoCollections;

impl Collections for NoCollections {
    fn documents<'a>(&'a self, _: &str, _: Option<&RawDocument>) -> Result<Documents<'a>> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// What goes into a stage.
struct Input<'a>(Documents<'a>);

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Input")
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

/// How many bytes `$sort`, `$group` and each accumulator may take.
const MEMORY_BYTES_MAX: usize = 100 * 1024 * 1024;

/// How long a document may be between two stages, in bytes. Only what comes out at the end must be short.
const INNER_BYTES_MAX: usize = 128 * 1024 * 1024;
