//! Updates by a pipeline.

use bson::{RawArray, RawDocument};

use super::replacement::replace;
use super::storage::TopLevelNames;
use super::walk::Purpose;
use crate::{Environment, Pipeline, Result};

/// An update like `[{$set: {..}}, {$unset: ..}]`.
#[derive(Clone, Debug)]
pub(super) struct PipelineUpdate(Pipeline);

impl PipelineUpdate {
    /// Parses the stages.
    ///
    /// # Errors
    ///
    /// Those of pipelines, and those of [`Pipeline::check_update`] for a stage that does not make one document of one.
    pub(super) fn parse(stages: &RawArray, environment: &Environment) -> Result<Self> {
        let pipeline = Pipeline::parse(stages, &environment.clone().without_folding())?;
        pipeline.check_update()?;
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
        let after = self.0.apply_to_document(document)?;
        replace(document.into(), (&*after).into(), TopLevelNames::Any, purpose)
    }
}
