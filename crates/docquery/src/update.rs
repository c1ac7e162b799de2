//! Updates: how a document is changed.

mod add_to_set;
mod arithmetic;
mod array_filter;
mod change;
mod find;
mod modifier;
mod operators;
mod pipeline;
mod pull;
mod push;
mod rename;
mod replacement;
mod set;
mod site;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod upsert;
mod walk;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};

use self::operators::Operators;
use self::pipeline::PipelineUpdate;
use self::replacement::Replacement;
use self::walk::Purpose;
use crate::expression::Scope;
use crate::{Array, Cost, Document, Environment, Error, ErrorCode, Filter, Result, Value};

/// An update, parsed: operators, a pipeline, or a replacement.
///
/// ```
/// use bson::{RawBsonRef, rawdoc};
/// use docquery::{Environment, Filter, Update};
///
/// let environment = Environment::new(0);
/// let filter = Filter::parse(&rawdoc! { "tags": "old" }, &environment)?;
/// let update = rawdoc! { "$inc": { "n": 1 }, "$set": { "tags.$": "new" } };
/// let update = Update::parse(RawBsonRef::Document(&update), &[], &environment)?;
/// let changed = update.apply(&rawdoc! { "n": 1, "tags": ["red", "old"] }, &filter)?;
/// assert_eq!(changed, Some(rawdoc! { "n": 2, "tags": ["red", "new"] }));
/// assert_eq!(update.upsert(&filter).unwrap_err().code().name(), "BadValue");
/// # Ok::<(), docquery::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Update {
    kind: Kind,
    cost: Cost,
}

#[derive(Clone, Debug)]
enum Kind {
    Operators(Operators),
    Pipeline(PipelineUpdate),
    Replacement(Replacement),
}

impl Update {
    /// Parses an update: a document of operators or a replacement, or an array of pipeline stages. `array_filters` are
    /// for the positional `$[identifier]`. A document is a replacement unless its first field begins with `$`.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no update.
    pub fn parse(
        update: RawBsonRef<'_>,
        array_filters: &[&RawDocument],
        environment: &Environment,
    ) -> Result<Self> {
        let (kind, cost) = match update {
            RawBsonRef::Document(document) if is_replacement(document.into()) => {
                let replacement = Replacement::parse(document.into(), environment.now_ms());
                (Kind::Replacement(replacement), Cost::PerByte(1))
            }
            RawBsonRef::Document(document) => {
                let operators = Operators::parse(document.into(), array_filters, environment)?;
                (Kind::Operators(operators), Cost::of_operators(document.into(), array_filters))
            }
            RawBsonRef::Array(_) if !array_filters.is_empty() => {
                return Err(Error::failed_to_parse(
                    "arrayFilters are for update operators; an update that is a pipeline has none",
                ));
            }
            RawBsonRef::Array(stages) => {
                let pipeline = PipelineUpdate::parse(stages, environment)?;
                (Kind::Pipeline(pipeline), Cost::of_pipeline(Array::of_bytes(stages.as_bytes())))
            }
            other => {
                return Err(Error::failed_to_parse(format!(
                    "an update is a document or an array of pipeline stages, not of the type {:?}",
                    other.element_type()
                )));
            }
        };
        Ok(Self { kind, cost })
    }

    /// Whether it replaces the whole document. Only operators and pipelines may change many.
    pub fn is_replacement(&self) -> bool {
        matches!(self.kind, Kind::Replacement(_))
    }

    /// Whether it is a pipeline. Only pipelines take constants.
    pub fn is_pipeline(&self) -> bool {
        matches!(self.kind, Kind::Pipeline(_))
    }

    /// How much work it is to apply to a document that `filter` has found.
    pub fn cost(&self, filter: &Filter) -> Cost {
        if self.is_positional() { self.cost.and(filter.cost()) } else { self.cost }
    }

    /// Whether it may change what is at `path`, or above or below it. Places in arrays count for nothing.
    pub fn touches(&self, path: &str) -> bool {
        match &self.kind {
            Kind::Operators(operators) => operators.touches(path),
            Kind::Pipeline(_) | Kind::Replacement(_) => true,
        }
    }

    /// `document` after the update; `None` if nothing changed. `filter` has found the document, and gives the
    /// positional `$` its place. What comes out may be stored as it is.
    ///
    /// # Errors
    ///
    /// MongoDB's; the document is to stay as it is.
    pub fn apply(&self, document: &RawDocument, filter: &Filter) -> Result<Option<RawDocumentBuf>> {
        let matched = if self.is_positional() { filter.find(document.into())? } else { None };
        let matched = matched.and_then(|matched| matched.position);
        self.change(document, matched, Purpose::Update)
    }

    /// The document that an upsert inserts where `filter` found none. It has an `_id`, as its first field, only where the
    /// filter or the update gives one.
    ///
    /// # Errors
    ///
    /// MongoDB's, above all for filters that contradict themselves.
    pub fn upsert(&self, filter: &Filter) -> Result<RawDocumentBuf> {
        let base = to_document(upsert::base(filter, self.is_replacement())?)?;
        let document = self.change(&base, None, Purpose::Insert)?.unwrap_or(base);
        upsert::finish((&*document).into()).and_then(to_document)
    }

    /// Whether it has the positional `$`.
    fn is_positional(&self) -> bool {
        matches!(&self.kind, Kind::Operators(operators) if operators.is_positional())
    }

    fn change(
        &self,
        document: &RawDocument,
        matched: Option<usize>,
        purpose: Purpose,
    ) -> Result<Option<RawDocumentBuf>> {
        let changed = match &self.kind {
            Kind::Operators(operators) => operators.apply(document.into(), matched, purpose)?,
            Kind::Pipeline(pipeline) => pipeline.apply(document, purpose)?,
            Kind::Replacement(replacement) => replacement.apply(document.into(), purpose)?,
        };
        changed.map(to_document).transpose()
    }
}

fn is_replacement(document: Document<'_>) -> bool {
    document.first().is_none_or(|(name, _)| !name.starts_with('$'))
}

/// A filter that asks about one value, or the fields of one document: without `$expr` and its like.
///
/// # Errors
///
/// Those of filters, and [`ErrorCode::QUERY_FEATURE_NOT_ALLOWED`].
fn restricted_filter(filter: Document<'_>, environment: &Environment) -> Result<Filter> {
    let mut left = vec![filter];
    while let Some(clauses) = left.pop() {
        for (name, value) in clauses {
            match name {
                "$expr" | "$jsonSchema" | "$text" | "$where" => {
                    return Err(Error::new(
                        ErrorCode::QUERY_FEATURE_NOT_ALLOWED,
                        format!("{name} is not allowed in a condition for the items of an array"),
                    ));
                }
                "$and" | "$or" | "$nor" => {
                    let clauses = value.as_array().into_iter().flatten();
                    left.extend(clauses.filter_map(|clause| clause.as_document()));
                }
                _ => {}
            }
        }
    }
    Filter::parse_in(Value::Document(filter), &Scope::new(environment))
}

fn to_document(bytes: Vec<u8>) -> Result<RawDocumentBuf> {
    RawDocumentBuf::from_bytes(bytes)
        .map_err(|error| Error::new(ErrorCode::INVALID_BSON, error.to_string()))
}
