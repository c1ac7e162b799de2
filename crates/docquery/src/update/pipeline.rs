//! Updates by a pipeline.

use bson::{RawArray, RawBsonRef, RawDocument};

use super::replacement::replace;
use super::storage::TopLevelNames;
use super::walk::Purpose;
use crate::pipeline::{Collections, Documents};
use crate::{Environment, Error, ErrorCode, Pipeline, Result};

/// An update like `[{$set: {..}}, {$unset: ..}]`.
#[derive(Clone, Debug)]
pub(super) struct PipelineUpdate(Pipeline);

impl PipelineUpdate {
    /// Parses the stages.
    ///
    /// # Errors
    ///
    /// Those of pipelines, and [`ErrorCode::INVALID_OPTIONS`] for a stage that does not make one document of one.
    pub(super) fn parse(stages: &RawArray, environment: &Environment) -> Result<Self> {
        let pipeline = Pipeline::parse(stages, &environment.clone().without_folding())?;
        for stage in stages.into_iter().flatten() {
            let RawBsonRef::Document(stage) = stage else {
                continue;
            };
            let name = stage.into_iter().flatten().next().map(|(name, _)| name.as_str());
            if let Some(name) = name.filter(|name| !STAGES.contains(name)) {
                return Err(Error::new(
                    ErrorCode::INVALID_OPTIONS,
                    format!(
                        "the stage {name} is not allowed in an update; allowed are {}",
                        STAGES.join(", ")
                    ),
                ));
            }
        }
        Ok(Self(pipeline))
    }

    /// What takes the place of `document`; `None` if nothing changes.
    ///
    /// # Errors
    ///
    /// A stage failed; or see [`replace`].
    pub(super) fn apply(
        &self,
        document: &RawDocument,
        purpose: Purpose,
    ) -> Result<Option<Vec<u8>>> {
        let source: Documents<'_> = Box::new(std::iter::once(Ok(document.to_owned())));
        let Some(after) = self.0.run(source, &NoCollections).next().transpose()? else {
            return Ok(None);
        };
        replace(document.into(), (&*after).into(), TopLevelNames::Any, purpose)
    }
}

/// The stages that an update may have: each makes one document of one.
const STAGES: &[&str] =
    &["$addFields", "$project", "$replaceRoot", "$replaceWith", "$set", "$unset"];

/// What an update sees of other collections.
#[derive(Debug)]
struct NoCollections;

impl Collections for NoCollections {
    fn documents<'a>(
        &'a self,
        _name: &str,
        _filter: Option<&RawDocument>,
    ) -> Result<Documents<'a>> {
        Ok(Box::new(std::iter::empty()))
    }
}
