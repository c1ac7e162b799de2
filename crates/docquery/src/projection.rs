//! Projections: which parts of a document are given, and what is computed for it.
//!
//! A projection is read into a tree of field names ([`tree`]). `find`, `$project`, `$unset` and `$set` share the tree and
//! how it is applied; they differ in what they may say, and in what becomes of fields that they do not name.

mod apply;
mod find;
mod parse;
mod set;
mod tree;

use bson::{RawDocument, RawDocumentBuf};

use crate::{Arena, Document, Environment, Filter, Result};
use apply::{Application, Rest};
use parse::{Kind, Language, Parsed};
use tree::Branch;

/// A projection of `find` or `findAndModify`, parsed.
#[derive(Clone, Debug)]
pub struct Projection(Parsed);

/// What a stage makes of each document: `$project`, `$unset`, `$set`.
#[derive(Clone, Debug)]
pub(crate) struct Transformation {
    tree: Branch,
    rest: Rest,
}

impl Projection {
    /// Parses a projection. An empty one gives documents as they are.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no projection: 31249 and 31250 where paths collide, 31253 and 31254 where what is
    /// included and what is excluded is mixed, and so on.
    pub fn parse(projection: &RawDocument, environment: &Environment) -> Result<Self> {
        parse::parse(projection.into(), environment, Language::Find).map(Self)
    }

    /// Whether it has the positional `$`, whose place the filter of the command gives.
    pub fn is_positional(&self) -> bool {
        self.0.rewrites.iter().any(|rewrite| matches!(rewrite, find::Rewrite::Positional(_)))
    }

    /// The projected document. `filter` has found it, and gives the positional `$` its place.
    ///
    /// # Errors
    ///
    /// An expression failed, or the filter gives no place (51246, 51247).
    pub fn apply(&self, document: &RawDocument, filter: &Filter) -> Result<RawDocumentBuf> {
        let arena = Arena::new();
        let root = Document::from(document);
        let application = Application { arena: &arena, root, rest: self.0.kind.into() };
        let mut projected = application.run(&self.0.tree)?;
        let position = if self.is_positional() {
            filter.find(root)?.and_then(|matched| matched.projected)
        } else {
            None
        };
        for rewrite in &self.0.rewrites {
            projected = rewrite.apply(projected, position, &arena)?;
        }
        Ok(projected.to_raw())
    }
}

impl Transformation {
    /// `$project`: like a projection of `find`, without what only that knows.
    pub(crate) fn project(spec: Document<'_>, environment: &Environment) -> Result<Self> {
        let Parsed { tree, kind, .. } = parse::parse(spec, environment, Language::Stage)?;
        Ok(Self { tree, rest: kind.into() })
    }

    /// `$set`: fields are computed, the others stay.
    pub(crate) fn set(spec: Document<'_>, environment: &Environment) -> Result<Self> {
        Ok(Self { tree: set::parse(spec, environment)?, rest: Rest::Kept })
    }

    /// Whether it names what stays.
    pub(crate) fn is_inclusion(&self) -> bool {
        self.rest == Rest::Dropped
    }

    /// What it makes of `document`.
    pub(crate) fn apply<'a>(
        &'a self,
        document: Document<'a>,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        Application { arena, root: document, rest: self.rest }.run(&self.tree)
    }
}

impl From<Kind> for Rest {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Inclusion => Self::Dropped,
            Kind::Exclusion => Self::Kept,
        }
    }
}
