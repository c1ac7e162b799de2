//! Stages that make at most one document of each: they run one behind the other on values in an arena, and only what
//! comes out at the end is written.

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::engine::error_on_slots;
use super::lookup::Kept;
use super::stage::Stage;
use super::steps::Steps;
use super::{Database, Documents, INNER_BYTES_MAX, Source, Visit, replace_root};
use crate::write::encoded_bytes;
use crate::{Arena, Document, Error, ErrorCode, Result, Value, limits};

/// Such stages, side by side in a pipeline.
#[derive(Debug)]
pub(crate) struct Streaming {
    /// The stages, and what each keeps, if it is a `$lookup`.
    stages: Vec<(Stage, Kept)>,
    /// How many of them, from the first on, run on the second engine.
    on_slots: usize,
    database: Arc<dyn Database>,
    steps: Steps,
    /// How deep the documents may be nested that come in.
    depth_max: usize,
}

impl Streaming {
    /// The first of `stages` that are streaming, and those that follow.
    pub(crate) fn take<'s>(
        stages: &'s [Stage],
        on_slots: usize,
        database: &Arc<dyn Database>,
        depth_max: usize,
    ) -> (Self, &'s [Stage]) {
        let count = stages.iter().take_while(|stage| stage.is_streaming()).count();
        let (stages, rest) = stages.split_at(count);
        // What $lookup brings in may be nested as deeply as what comes out of a pipeline.
        let looks_up = stages.iter().any(Stage::looks_up);
        let depth_max = if looks_up { NESTING_MAX } else { depth_max };
        let stages = stages.iter().map(|stage| (stage.clone(), Kept::default())).collect();
        let (database, steps) = (Arc::clone(database), Steps::default());
        (Self { stages, on_slots, database, steps, depth_max }, rest)
    }

    /// What the stages make of `document`; `None` if one of them leaves it out.
    fn apply<'d>(
        &'d self,
        mut document: Document<'d>,
        arena: &'d Arena,
    ) -> Result<Option<Document<'d>>> {
        self.steps.take(1, &*self.database)?;
        for (index, (stage, kept)) in self.stages.iter().enumerate() {
            let applied = self.apply_stage(stage, kept, document, arena);
            let applied =
                if index < self.on_slots { applied.map_err(error_on_slots) } else { applied };
            let Some(next) = applied? else { return Ok(None) };
            document = next;
            // What was computed may hold the same values many times: whoever reads or writes it walks over all of them.
            if document.built_depth() > 0
                && encoded_bytes(Value::Document(document), INNER_BYTES_MAX).is_none()
            {
                return Err(too_large(INNER_BYTES_MAX));
            }
        }
        Ok(Some(document))
    }

    fn apply_stage<'d>(
        &'d self,
        stage: &'d Stage,
        kept: &Kept,
        document: Document<'d>,
        arena: &'d Arena,
    ) -> Result<Option<Document<'d>>> {
        match stage {
            Stage::Match(filter) => Ok(filter.find(document)?.map(|_| document)),
            Stage::Transform(transformation) => transformation.apply(document, arena).map(Some),
            Stage::ReplaceRoot(expression) => {
                replace_root::apply(expression, document, arena).map(Some)
            }
            Stage::Lookup(lookup) => {
                lookup.apply(document, &self.database, kept, &self.steps, arena).map(Some)
            }
            Stage::GraphLookup(lookup) => {
                lookup.apply(document, &self.database, &self.steps, arena).map(Some)
            }
            Stage::Redact(redact) => redact.apply(document, arena),
            Stage::Unwind(_)
            | Stage::Sort(_)
            | Stage::Limit(_)
            | Stage::Skip(_)
            | Stage::Group(_)
            | Stage::Count(_)
            | Stage::Documents(_)
            | Stage::BucketAuto(_)
            | Stage::Facet(_)
            | Stage::Union(_)
            | Stage::Sample(_)
            | Stage::Statistics(_)
            | Stage::Windows(_)
            | Stage::Densify(_)
            | Stage::Output(_) => unreachable!("these stages are not streaming"),
        }
    }

    /// What the stages make of `document`, written.
    pub(crate) fn finish<'d>(
        &'d self,
        document: Document<'d>,
        arena: &'d Arena,
    ) -> Result<Option<RawDocumentBuf>> {
        match self.apply(document, arena)? {
            Some(document) => self.write(document).map(Some),
            None => Ok(None),
        }
    }

    /// What the stages make of `document`; the same bytes if they change nothing.
    pub(crate) fn run(
        &self,
        document: RawDocumentBuf,
        arena: &Arena,
    ) -> Result<Option<RawDocumentBuf>> {
        let whole = document.as_bytes();
        match self.apply(Document::from(&*document), arena)? {
            None => Ok(None),
            Some(found) if found.raw_bytes().is_some_and(|bytes| std::ptr::eq(bytes, whole)) => {
                Ok(Some(document))
            }
            Some(found) => self.write(found).map(Some),
        }
    }

    /// Shows what the stages make of `document` to `visit`. It is not written for that, unless it could be too deep.
    pub(crate) fn show(
        &self,
        document: Document<'_>,
        arena: &Arena,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        match self.apply(document, arena)? {
            Some(found) if self.may_be_too_deep(found) => {
                visit(Document::from(&*self.write(found)?))
            }
            Some(found) => visit(found),
            None => Ok(()),
        }
    }

    fn may_be_too_deep(&self, document: Document<'_>) -> bool {
        document.built_depth() > 0
            && self.depth_max + usize::from(document.built_depth()) > NESTING_MAX
    }

    /// Writes a document.
    fn write(&self, document: Document<'_>) -> Result<RawDocumentBuf> {
        let raw = document.to_raw();
        if self.may_be_too_deep(document) {
            limits::check_bson(&raw, NESTING_MAX)?;
        }
        Ok(raw)
    }
}

/// The documents that come out of streaming stages.
#[derive(Debug)]
pub(crate) struct Transformed {
    input: Documents,
    streaming: Streaming,
    arena: Arena,
}

impl Transformed {
    pub(crate) fn new(input: Documents, streaming: Streaming) -> Self {
        Self { input, streaming, arena: Arena::new() }
    }
}

impl Source for Transformed {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        while let Some(document) = self.input.next()? {
            self.arena.reset();
            if let Some(found) = self.streaming.run(document, &self.arena)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        let Self { input, streaming, arena } = self;
        input.for_each(&mut |document| {
            arena.reset();
            streaming.show(document, arena, visit)
        })
    }
}

/// How deep a document may be nested that comes out of stages.
pub(crate) const NESTING_MAX: usize = 200;

pub(crate) fn too_large(bytes_max: usize) -> Error {
    Error::new(
        ErrorCode::BSON_OBJECT_TOO_LARGE,
        format!("a document of a pipeline is longer than {bytes_max} bytes"),
    )
}
