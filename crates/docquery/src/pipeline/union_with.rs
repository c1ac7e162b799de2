//! `$unionWith`: the documents of another collection behind those that come in.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::stage::{Place, Within};
use super::sub_pipeline::run_over;
use super::{Database, Documents, Pipeline, Source, Visit};
use crate::{Error, ErrorCode, OwnedValue, Result, Value};

/// `$unionWith`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct UnionWith {
    /// The other collection; none where the pipeline brings documents of its own.
    from: Option<Box<str>>,
    pipeline: Pipeline,
}

/// How it is written.
struct Written<'v> {
    from: Option<&'v str>,
    pipeline: Option<Value<'v>>,
}

impl UnionWith {
    /// Checks what is found wrong with it before any stage of the pipeline is parsed.
    pub(crate) fn check_shape(spec: Value<'_>, depth: usize) -> Result<()> {
        match Written::parse(spec)?.pipeline {
            Some(pipeline) => Pipeline::check_shape_in(pipeline, depth + 1),
            None => Ok(()),
        }
    }

    pub(crate) fn parse(spec: Value<'_>, place: Place<'_>) -> Result<Self> {
        let Written { from, pipeline } = Written::parse(spec)?;
        let empty = OwnedValue::from(Value::Array(crate::Array::EMPTY));
        let pipeline = pipeline.unwrap_or(empty.get());
        let pipeline = Pipeline::parse_inner(pipeline, place.inside(Within::Union)?)?;
        if from.is_some_and(|from| from.is_empty() || from.starts_with('.') || from.contains('\0'))
        {
            let message = format!("{from:?} is no name of a collection");
            return Err(Error::new(ErrorCode::INVALID_NAMESPACE, message));
        }
        Ok(Self { from: from.map(Into::into), pipeline })
    }

    /// The pipeline that the other documents run through.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(crate) fn run(self: Arc<Self>, input: Documents, database: Arc<dyn Database>) -> Documents {
        Box::new(Union { documents: input, then: Some((self, database)) })
    }
}

impl<'v> Written<'v> {
    fn parse(spec: Value<'v>) -> Result<Self> {
        let spec = match spec {
            Value::String(from) => return Ok(Self { from: Some(from), pipeline: None }),
            Value::Document(spec) => spec,
            _ => {
                let message =
                    format!("$unionWith takes a string or an object, not {}", spec.type_name());
                return Err(Error::failed_to_parse(message));
            }
        };
        let mut written = Self { from: None, pipeline: None };
        for (name, value) in spec {
            match (name, value) {
                ("coll", Value::String(from)) => written.from = Some(from),
                ("pipeline", Value::Array(_)) => written.pipeline = Some(value),
                ("pipeline", Value::Null) => {
                    return Err(Error::location(10065, "the pipeline of $unionWith is an array"));
                }
                ("coll" | "pipeline", _) => {
                    let expected = if name == "coll" { "a string" } else { "an array" };
                    return Err(Error::type_mismatch(format!(
                        "'{name}' of $unionWith is {expected}, not {}",
                        value.type_name()
                    )));
                }
                _ => {
                    let message =
                        format!("$unionWith has no option '{name}'; it takes coll, pipeline");
                    return Err(Error::location(40415, message));
                }
            }
        }
        if written.from.is_none() && !begins_with_documents(written.pipeline) {
            let message =
                "$unionWith without coll needs a pipeline with $documents as its first stage";
            return Err(Error::failed_to_parse(message));
        }
        Ok(written)
    }
}

fn begins_with_documents(pipeline: Option<Value<'_>>) -> bool {
    let first = pipeline.and_then(|stages| Some(stages.as_array()?.get(0)));
    let first = first.and_then(|stage| stage.as_document());
    first.is_some_and(|stage| !stage.get("$documents").is_missing())
}

/// Documents, and then others.
#[derive(Debug)]
struct Union {
    documents: Documents,
    then: Option<(Arc<UnionWith>, Arc<dyn Database>)>,
}

impl Union {
    /// Goes on to the others; `false` if that was done before.
    fn go_on(&mut self) -> Result<bool> {
        let Some((union, database)) = self.then.take() else { return Ok(false) };
        self.documents = run_over(&union.pipeline, union.from.as_deref(), None, &database)?;
        Ok(true)
    }
}

impl Source for Union {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        loop {
            let next = self.documents.next()?;
            if next.is_some() || !self.go_on()? {
                return Ok(next);
            }
        }
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        self.documents.for_each(visit)?;
        if self.go_on()? { self.documents.for_each(visit) } else { Ok(()) }
    }
}
