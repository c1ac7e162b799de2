//! `$lookup`: documents of another collection, in an array.

mod join;

use std::cell::RefCell;
use std::sync::Arc;

use bson::RawDocumentBuf;

pub(super) use join::{Join, values_at};

use super::engine::Engine;
use super::stage::{Place, Within, check_depth, object};
use super::steps::Steps;
use super::sub_pipeline::run_over;
use super::{Database, Documents, INNER_BYTES_MAX, Pipeline, ready};
use crate::expression::{Context, Scope, check_bound_name};
use crate::path::Path;
use crate::write::encoded_bytes;
use crate::{
    Arena, Document, Environment, Error, ErrorCode, Expression, OwnedValue, Result, Value, nested,
};

/// `$lookup`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Lookup {
    /// The other collection; none where the pipeline brings documents of its own.
    from: Option<Box<str>>,
    into: Path,
    join: Option<Join>,
    sub: Option<SubPipeline>,
    environment: Environment,
    engine: Engine,
}

/// What a `$lookup` finds for every document, if it is the same for all, once it was found.
#[derive(Debug, Default)]
pub(crate) struct Kept(RefCell<Option<Vec<RawDocumentBuf>>>);

/// The pipeline that the other documents run through.
#[derive(Clone, Debug)]
struct SubPipeline {
    /// The variables of `let`, computed for each document.
    variables: Vec<(Box<str>, Expression)>,
    /// The pipeline as it was written: where it depends on variables it is parsed when they are known.
    written: OwnedValue,
    parsed: Pipeline,
    depth: usize,
}

/// The options of `$lookup`, as they are written.
#[derive(Default)]
struct Options<'v> {
    from: Option<&'v str>,
    into: &'v str,
    local: &'v str,
    foreign: &'v str,
    variables: Option<Document<'v>>,
    pipeline: Option<Value<'v>>,
}

impl Lookup {
    /// Checks what is found wrong with a `$lookup` before any stage of the pipeline is parsed.
    pub(crate) fn check_shape(spec: Value<'_>, depth: usize) -> Result<()> {
        check_depth(depth)?;
        let spec = object("$lookup", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        let pipeline = spec.get("pipeline");
        match spec.get("from") {
            Value::Missing => check_own_documents(pipeline)?,
            from => check_namespace("$lookup", from)?,
        }
        if pipeline.is_missing() { Ok(()) } else { Pipeline::check_shape_in(pipeline, depth + 1) }
    }

    pub(crate) fn parse(spec: Value<'_>, place: Place<'_>) -> Result<Self> {
        let spec = object("$lookup", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        let options = Options::parse(spec)?;
        if options.into.is_empty() {
            return Err(Error::failed_to_parse("$lookup needs the option 'as'"));
        }
        let (local, foreign) = (options.local, options.foreign);
        if local.is_empty() != foreign.is_empty() || local.is_empty() && options.pipeline.is_none()
        {
            return Err(Error::failed_to_parse(
                "$lookup needs both localField and foreignField, or a pipeline without them",
            ));
        }
        if options.pipeline.is_none() && options.variables.is_some() {
            return Err(Error::failed_to_parse("$lookup takes 'let' only with a pipeline"));
        }
        let into = Path::field(options.into)?;
        let join = if local.is_empty() { None } else { Some(Join::parse(local, foreign)?) };
        let variables = options.variables.unwrap_or(Document::EMPTY);
        let sub = options.pipeline.map(|written| SubPipeline::parse(variables, written, place));
        Ok(Self {
            from: options.from.map(Into::into),
            into,
            join,
            sub: sub.transpose()?,
            environment: place.environment.clone(),
            engine: Engine::default(),
        })
    }

    /// Where the documents go that are found.
    pub(crate) fn target(&self) -> &Path {
        &self.into
    }

    /// Whether the second engine would run it: a plain equality, whose paths name no places in arrays.
    pub(crate) fn fits_slots(&self) -> bool {
        self.sub.is_none() && self.join.as_ref().is_some_and(|join| !join.names_places())
    }

    pub(crate) fn run_on(&mut self, engine: Engine) {
        self.engine = engine;
    }

    /// `document` with what is found for it. What is the same for every document is kept in `kept`.
    pub(crate) fn apply<'a>(
        &'a self,
        document: Document<'a>,
        database: &Arc<dyn Database>,
        kept: &Kept,
        steps: &Steps,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        let found = match &self.sub {
            Some(sub) if self.join.is_none() && sub.variables.is_empty() => {
                let mut kept = kept.0.borrow_mut();
                let documents = match &mut *kept {
                    Some(documents) => documents,
                    empty => {
                        let (mut documents, mut found) =
                            (Vec::new(), self.find(document, database, arena)?);
                        collect(&mut found, |document| {
                            documents.push(document.to_raw());
                            steps.take(1, &**database)
                        })?;
                        empty.insert(documents)
                    }
                };
                steps.take(documents.len(), &**database)?;
                in_arena(documents, arena)?
            }
            _ => {
                let mut documents = Vec::new();
                let mut found = self.find(document, database, arena)?;
                collect(&mut found, |document| {
                    documents.push(copy(document, arena));
                    steps.take(1, &**database)
                })?;
                arena.array(&documents)?
            }
        };
        match self.engine {
            Engine::Classic => nested::set(document, &self.into, self.into.len(), found, arena),
            Engine::Slots => nested::append(document, &self.into, found, arena),
        }
    }

    /// What is found for `document`.
    fn find(
        &self,
        document: Document<'_>,
        database: &Arc<dyn Database>,
        arena: &Arena,
    ) -> Result<Documents> {
        let joined = self.join.as_ref().map(|join| join.filter(document)).transpose()?;
        let joined = joined.map(Arc::new);
        match &self.sub {
            None => match &self.from {
                Some(from) => database.documents(from, joined.as_ref()),
                None => Ok(ready(None)),
            },
            Some(sub) => {
                let reparsed = sub.reparse(&self.environment, document, arena)?;
                let pipeline = reparsed.as_ref().unwrap_or(&sub.parsed);
                run_over(pipeline, self.from.as_deref(), joined, database)
            }
        }
    }

    /// The pipeline that the other documents run through.
    pub(crate) fn pipeline(&self) -> Option<&Pipeline> {
        self.sub.as_ref().map(|sub| &sub.parsed)
    }
}

impl SubPipeline {
    fn parse(variables: Document<'_>, written: Value<'_>, place: Place<'_>) -> Result<Self> {
        let scope = Scope::new(place.environment);
        let mut environment = place.environment.clone();
        let mut expressions = Vec::new();
        for (name, value) in variables {
            check_bound_name(name)?;
            expressions.push((name.into(), Expression::parse(value, &scope)?));
            environment.declare(name);
        }
        let place = Place { environment: &environment, ..place.inside(Within::Lookup)? };
        let parsed = Pipeline::parse_inner(written, place)?;
        Ok(Self { variables: expressions, written: written.into(), parsed, depth: place.depth })
    }

    /// The pipeline with the variables that `document` gives; `None` if it has none.
    fn reparse(
        &self,
        environment: &Environment,
        document: Document<'_>,
        arena: &Arena,
    ) -> Result<Option<Pipeline>> {
        if self.variables.is_empty() {
            return Ok(None);
        }
        let mut inner = environment.clone();
        let context = Context::new(arena, Value::Document(document));
        for (name, expression) in &self.variables {
            inner.define(name, expression.evaluate(context)?);
        }
        let place = Place { environment: &inner, depth: self.depth, within: Within::Lookup };
        Pipeline::parse_inner(self.written.get(), place).map(Some)
    }
}

/// Gives each of `documents` to `take`; an error if they are too many.
fn collect(
    documents: &mut Documents,
    mut take: impl FnMut(Document<'_>) -> Result<()>,
) -> Result<()> {
    let mut bytes = 0;
    documents.for_each(&mut |document| {
        bytes += document.raw_bytes().map_or(0, <[u8]>::len);
        if document.raw_bytes().is_none() {
            bytes +=
                encoded_bytes(Value::Document(document), FOUND_BYTES_MAX).unwrap_or(usize::MAX / 2);
        }
        if bytes > FOUND_BYTES_MAX {
            let message =
                format!("$lookup has found more than {FOUND_BYTES_MAX} bytes of documents");
            return Err(Error::location(4568, message));
        }
        take(document)
    })
}

/// A copy of `document` in `arena`.
fn copy<'a>(document: Document<'_>, arena: &'a Arena) -> Value<'a> {
    Value::Document(Document::of_bytes(match document.raw_bytes() {
        Some(bytes) => arena.bytes(bytes),
        None => arena.bytes(document.to_raw().as_bytes()),
    }))
}

/// `documents` as an array in `arena`.
pub(super) fn in_arena<'a>(documents: &[RawDocumentBuf], arena: &'a Arena) -> Result<Value<'a>> {
    let documents = documents
        .iter()
        .map(|document| Value::Document(Document::of_bytes(arena.bytes(document.as_bytes()))));
    arena.array(&documents.collect::<Vec<_>>())
}

impl<'v> Options<'v> {
    fn parse(spec: Document<'v>) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in spec {
            match (name, value) {
                ("pipeline", value) => options.pipeline = Some(value),
                ("let", Value::Document(variables)) => options.variables = Some(variables),
                ("let", _) => {
                    let message =
                        format!("'let' of $lookup takes an object, not {}", value.type_name());
                    return Err(Error::failed_to_parse(message));
                }
                ("from", Value::String(from)) => {
                    options.from = Some(from).filter(|from| !from.is_empty());
                }
                (_, Value::String(text)) => match name {
                    "as" => options.into = text,
                    "localField" => options.local = text,
                    "foreignField" => options.foreign = text,
                    _ => {
                        return Err(Error::failed_to_parse(format!(
                            "$lookup has no option '{name}'; it takes from, localField, foreignField, let, pipeline, as"
                        )));
                    }
                },
                _ => {
                    let message =
                        format!("'{name}' of $lookup takes a string, not {}", value.type_name());
                    return Err(Error::failed_to_parse(message));
                }
            }
        }
        if options.from.is_none() {
            check_own_documents(options.pipeline.unwrap_or(Value::Missing))?;
        }
        Ok(options)
    }
}

/// Checks the pipeline of a `$lookup` without a collection: it begins with `$documents`.
fn check_own_documents(pipeline: Value<'_>) -> Result<()> {
    let first = pipeline.as_array().map(|stages| stages.get(0));
    match first.and_then(|stage| stage.as_document()) {
        Some(stage) if !stage.get("$documents").is_missing() => Ok(()),
        _ => Err(Error::failed_to_parse(
            "$lookup without 'from' needs a pipeline with $documents as its first stage",
        )),
    }
}

pub(super) fn check_namespace(stage: &str, from: Value<'_>) -> Result<()> {
    let Value::String(from) = from else {
        let message = format!("'from' of {stage} takes a string, not {}", from.type_name());
        return Err(Error::failed_to_parse(message));
    };
    if from.is_empty() || from.starts_with('.') || from.contains('\0') {
        let message = format!("'{}' is no name of a collection", from.escape_debug());
        return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message));
    }
    Ok(())
}

/// How many bytes of documents a `$lookup` may find for one document.
const FOUND_BYTES_MAX: usize = 100 * 1024 * 1024;

const _: () = assert!(FOUND_BYTES_MAX < INNER_BYTES_MAX, "what was found can be written");

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use super::super::testing::{Memory, check_error, run};

    fn others() -> Memory {
        Memory::with(
            "c",
            bson!([{"_id": 1, "f": "a", "n": 1}, {"_id": 2, "f": ["a", "b"], "n": 2}, {"_id": 3}]),
        )
    }

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
    fn check(lookup: Bson, document: Bson, expected: Bson) {
        let found = run(bson!([{"$lookup": lookup.clone()}]), bson!([document]), &others());
        assert_eq!(found, Ok(bson!([expected])), "{lookup}");
    }

    #[test]
    fn equal_documents_are_found() {
        let lookup = bson!({"from": "c", "localField": "x", "foreignField": "f", "as": "r"});
        check(
            lookup.clone(),
            bson!({"x": ["b", "c"], "r": 0, "z": 1}),
            bson!({"x": ["b", "c"], "z": 1, "r": [{"_id": 2, "f": ["a", "b"], "n": 2}]}),
        );
        check(lookup, bson!({}), bson!({"r": [{"_id": 3}]}));
        check(
            bson!({"from": "none", "localField": "x", "foreignField": "f", "as": "r.s"}),
            bson!({"r": 1, "z": 2}),
            bson!({"z": 2, "r": {"s": []}}),
        );
    }

    #[test]
    fn a_pipeline_sees_the_variables_of_each_document() {
        let lookup = bson!({
            "from": "c", "let": {"x": "$x"}, "as": "r",
            "pipeline": [{"$match": {"$expr": {"$gte": ["$n", "$$x"]}}}, {"$project": {"_id": 1, "x": "$$x"}}],
        });
        check(lookup, bson!({"x": 2}), bson!({"x": 2, "r": [{"_id": 2, "x": 2}]}));
        let lookup = bson!({
            "from": "c", "localField": "x", "foreignField": "f", "let": {"y": "$y"}, "as": "r",
            "pipeline": [
                {"$lookup": {"pipeline": [{"$documents": [{"y": "$$y"}]}], "as": "q"}},
                {"$project": {"_id": 0, "q": 1}},
            ],
        });
        check(
            lookup,
            bson!({"x": "b", "y": 7}),
            bson!({"x": "b", "y": 7, "r": [{"q": [{"y": 7}]}]}),
        );
    }

    #[test]
    fn what_is_no_lookup_is_refused() {
        let refused =
            |lookup: Bson, code| check_error(bson!([{"$lookup": lookup}]), bson!([]), code);
        refused(bson!(1), 9);
        refused(bson!({"from": "c", "as": "r"}), 9);
        refused(bson!({"from": "c", "localField": "x", "as": "r"}), 9);
        refused(bson!({"from": ".c", "localField": "x", "foreignField": "f", "as": "r"}), 73);
        refused(bson!({"from": "c", "localField": "x", "foreignField": "f", "as": "$r"}), 16410);
        refused(bson!({"from": "c", "pipeline": [{"$no": 1}], "as": "r"}), 40324);
        refused(bson!({"from": "c", "let": {"X": 1}, "pipeline": [], "as": "r"}), 9);
        refused(bson!({"pipeline": [], "as": "r"}), 9);
        let nested = (0..21).fold(
            bson!([]),
            |inner, _| bson!([{"$lookup": {"from": "c", "pipeline": inner, "as": "r"}}]),
        );
        check_error(nested, bson!([]), 232);
    }
}
