//! Stages that make at most one document of each: they run one behind the other on values in an arena, and only what
//! comes out at the end is written.

use bson::RawDocumentBuf;

use super::lookup::Kept;
use super::stage::Stage;
use super::{Collections, Documents, INNER_BYTES_MAX, Input, replace_root};
use crate::write::encoded_bytes;
use crate::{Arena, Document, Error, ErrorCode, Result, Value, limits};

/// Such stages, side by side in a pipeline.
#[derive(Debug)]
pub(crate) struct Streaming<'a> {
    stages: &'a [Stage],
    /// What each of the stages keeps, if it is a `$lookup`.
    kept: Vec<Kept>,
    collections: &'a dyn Collections,
    /// How deep the documents may be nested that come in.
    depth_max: usize,
}

impl<'a> Streaming<'a> {
    /// The first of `stages` that are streaming, and those that follow.
    pub(crate) fn take(
        stages: &'a [Stage],
        collections: &'a dyn Collections,
        depth_max: usize,
    ) -> (Self, &'a [Stage]) {
        let count = stages.iter().take_while(|stage| stage.is_streaming()).count();
        let (stages, rest) = stages.split_at(count);
        // What $lookup brings in may be nested as deeply as what comes out of a pipeline.
        let looks_up = stages.iter().any(|stage| matches!(stage, Stage::Lookup(_)));
        let depth_max = if looks_up { NESTING_MAX } else { depth_max };
        let kept = stages.iter().map(|_| Kept::default()).collect();
        (Self { stages, kept, collections, depth_max }, rest)
    }

    /// What the stages make of `document`; `None` if a `$match` leaves it out.
    fn apply<'d>(
        &'d self,
        mut document: Document<'d>,
        arena: &'d Arena,
    ) -> Result<Option<Document<'d>>> {
        for (stage, kept) in self.stages.iter().zip(&self.kept) {
            document = match stage {
                Stage::Match(filter) => match filter.find(document)? {
                    Some(_) => document,
                    None => return Ok(None),
                },
                Stage::Transform(transformation) => transformation.apply(document, arena)?,
                Stage::ReplaceRoot(expression) => replace_root::apply(expression, document, arena)?,
                Stage::Lookup(lookup) => lookup.apply(document, self.collections, kept, arena)?,
                Stage::Unwind(_)
                | Stage::Sort(_)
                | Stage::Limit(_)
                | Stage::Skip(_)
                | Stage::Group(_)
                | Stage::Count(_)
                | Stage::Documents(_) => unreachable!("these stages are not streaming"),
            };
            // What was computed may hold the same values many times: whoever reads or writes it walks over all of them.
            if encoded_bytes(Value::Document(document), INNER_BYTES_MAX).is_none() {
                return Err(too_large(INNER_BYTES_MAX));
            }
        }
        Ok(Some(document))
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

    /// Writes a document.
    fn write(&self, document: Document<'_>) -> Result<RawDocumentBuf> {
        let raw = document.to_raw();
        let built = usize::from(document.built_depth());
        if self.depth_max + built > NESTING_MAX {
            limits::check_bson(&raw, NESTING_MAX)?;
        }
        Ok(raw)
    }
}

/// The documents that come out of streaming stages.
#[derive(Debug)]
pub(crate) struct Transformed<'a> {
    input: Input<'a>,
    streaming: Streaming<'a>,
    arena: Arena,
}

impl<'a> Transformed<'a> {
    pub(crate) fn new(input: Documents<'a>, streaming: Streaming<'a>) -> Self {
        Self { input: Input(input), streaming, arena: Arena::new() }
    }
}

impl Iterator for Transformed<'_> {
    type Item = Result<RawDocumentBuf>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let document = match self.input.0.next()? {
                Ok(document) => document,
                Err(error) => return Some(Err(error)),
            };
            self.arena.reset();
            if let Some(found) = self.streaming.run(document, &self.arena).transpose() {
                return Some(found);
            }
        }
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
