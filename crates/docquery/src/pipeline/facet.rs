//! `$facet`: several pipelines over the same documents, each in a field of one document.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::buffered::Buffered;
use super::stage::{Place, Within};
use super::{Database, Documents, Pipeline, buffer, check_size};
use crate::path::Path;
use crate::{Document, Error, Result, Value, Writer};

/// `$facet`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Facet {
    pipelines: Vec<(Box<str>, Pipeline)>,
}

impl Facet {
    /// Checks what is found wrong with it before any stage of the pipeline is parsed.
    pub(crate) fn check_shape(spec: Value<'_>, depth: usize) -> Result<()> {
        for (name, pipeline) in fields(spec)? {
            let Value::Array(stages) = pipeline else {
                let message = format!(
                    "'{name}' of $facet is an array of stages, not {}",
                    pipeline.type_name()
                );
                return Err(Error::location(40170, message));
            };
            if let Some(wrong) = stages.iter().find(|stage| !is_object(*stage)) {
                let message = format!(
                    "each stage in '{name}' of $facet is an object that is not empty, unlike {wrong:?}"
                );
                return Err(Error::location(40171, message));
            }
            Pipeline::check_shape_in(pipeline, depth + 1)?;
        }
        Ok(())
    }

    pub(crate) fn parse(spec: Value<'_>, place: Place<'_>) -> Result<Self> {
        let pipelines = fields(spec)?.iter().map(|(name, stages)| {
            check_name(name)?;
            let pipeline = Pipeline::parse_inner(stages, place.inside(Within::Facet)?)?;
            Ok((name.into(), pipeline))
        });
        Ok(Self { pipelines: pipelines.collect::<Result<_>>()? })
    }

    /// The document with what comes out of each pipeline.
    pub(crate) fn run(
        &self,
        mut input: Documents,
        database: &Arc<dyn Database>,
    ) -> Result<RawDocumentBuf> {
        let mut shared = Buffered::new("$facet", &**database);
        input.for_each(&mut |document| shared.push(document))?;
        let shared = shared.finish()?;
        let mut writer = Writer::new();
        for (name, pipeline) in &self.pipelines {
            writer.open_array(name);
            pipeline.run(shared.documents(), database).for_each(&mut |document| {
                writer.item(Value::Document(document));
                check_size(writer.len())
            })?;
            writer.close();
        }
        buffer(writer)
    }
}

fn fields(spec: Value<'_>) -> Result<Document<'_>> {
    match spec {
        Value::Document(fields) if !fields.is_empty() => Ok(fields),
        _ => Err(Error::location(40169, "$facet takes an object that is not empty")),
    }
}

fn is_object(stage: Value<'_>) -> bool {
    stage.as_document().is_some_and(|stage| !stage.is_empty())
}

/// Checks the name of a field of the result.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::location(15998, "a field of $facet has a name"));
    }
    if name.contains('.') {
        let message = format!("the field '{name}' of $facet must not contain '.'");
        return Err(Error::location(16412, message));
    }
    Path::field(name).map(|_| ())
}
