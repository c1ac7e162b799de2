//! Projections: which parts of a document are given, and what is computed for it.
//!
//! A projection is read into a tree of field names (`tree.rs`). `find`, `$project`, `$unset` and `$set` share the tree
//! and how it is applied; they differ in what they may say, and in what becomes of fields that they do not name.

mod apply;
mod find;
mod parse;
mod set;
mod tree;

use bson::{RawDocument, RawDocumentBuf};

use crate::{Arena, Document, Environment, Error, ErrorCode, Filter, Result};
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
        environment.parse(|environment| {
            parse::parse(projection.into(), environment, Language::Find).map(Self)
        })
    }

    /// Whether it names what is given, and not what is left out.
    pub fn is_inclusion(&self) -> bool {
        self.0.kind == Kind::Inclusion
    }

    /// Whether it has the positional `$`, whose place the filter of the command gives.
    pub fn is_positional(&self) -> bool {
        self.0.rewrites.iter().any(|rewrite| matches!(rewrite, find::Rewrite::Positional(_)))
    }

    /// Checks that the positional `$`, if there is one, may take its place from `filter`.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::QUERY_FEATURE_NOT_ALLOWED`]: the filter has a `$expr`.
    pub fn check_filter(&self, filter: &Filter) -> Result<()> {
        if self.is_positional() && filter.has_expression() {
            return Err(Error::new(
                ErrorCode::QUERY_FEATURE_NOT_ALLOWED,
                "a filter with $expr gives a positional projection no place in an array",
            ));
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    fn project(
        projection: &RawDocument,
        filter: &RawDocument,
        document: &RawDocument,
    ) -> Result<RawDocumentBuf, i32> {
        let environment = Environment::new(0);
        let filter = Filter::parse(filter, &environment).unwrap();
        Projection::parse(projection, &environment)
            .and_then(|projection| {
                projection.check_filter(&filter)?;
                projection.apply(document, &filter)
            })
            .map_err(|error| error.code().value())
    }

    #[track_caller]
    fn check(projection: &RawDocument, document: &RawDocument, expected: &RawDocument) {
        let found = project(projection, &rawdoc! {}, document);
        assert_eq!(found.as_deref(), Ok(expected), "{projection:?} of {document:?}");
    }

    #[track_caller]
    fn check_error(projection: &RawDocument, code: i32) {
        let found = project(projection, &rawdoc! {}, &rawdoc! {});
        assert_eq!(found, Err(code), "{projection:?}");
    }

    #[test]
    fn what_is_included_keeps_the_order_of_the_document() {
        let document = rawdoc! {"_id": 1, "a": 2, "b": {"c": 3, "d": 4}};
        check(&rawdoc! {}, &document, &document);
        check(
            &rawdoc! {"b.d": 1, "a": true},
            &document,
            &rawdoc! {"_id": 1, "a": 2, "b": {"d": 4}},
        );
        check(&rawdoc! {"b": {"d": 1}, "_id": 0}, &document, &rawdoc! {"b": {"d": 4}});
        check(&rawdoc! {"_id": 1}, &document, &rawdoc! {"_id": 1});
        check(&rawdoc! {"a.x": 1}, &document, &rawdoc! {"_id": 1});
    }

    #[test]
    fn what_is_excluded_leaves_the_rest() {
        let document = rawdoc! {"_id": 1, "a": 2, "b": {"c": 3, "d": 4}};
        check(&rawdoc! {"a": 0, "b.c": false}, &document, &rawdoc! {"_id": 1, "b": {"d": 4}});
        check(&rawdoc! {"_id": 0}, &document, &rawdoc! {"a": 2, "b": {"c": 3, "d": 4}});
        check(&rawdoc! {"_id": 1, "b": 0}, &document, &rawdoc! {"_id": 1, "a": 2});
    }

    #[test]
    fn arrays_are_entered() {
        let document = rawdoc! {"a": [1, {"b": 2, "c": 3}, [{"b": 4}, 5], {}]};
        check(&rawdoc! {"a.b": 1}, &document, &rawdoc! {"a": [{"b": 2}, [{"b": 4}], {}]});
        check(&rawdoc! {"a.b": 0}, &document, &rawdoc! {"a": [1, {"c": 3}, [{}, 5], {}]});
        check(
            &rawdoc! {"a.n": "$x"},
            &rawdoc! {"x": 7, "a": [1, {"b": 2}]},
            &rawdoc! {"a": [{"n": 7}, {"n": 7}]},
        );
    }

    #[test]
    fn computed_fields_follow_the_others() {
        let document = rawdoc! {"_id": 1, "a": 2, "b": 3};
        check(
            &rawdoc! {"c": "$b", "a": {"$literal": 5}, "b": 1},
            &document,
            &rawdoc! {"_id": 1, "b": 3, "c": 3, "a": 5},
        );
        check(&rawdoc! {"a": "text"}, &document, &rawdoc! {"_id": 1, "a": "text"});
        check(&rawdoc! {"a": "$none", "b": 1}, &document, &rawdoc! {"_id": 1, "b": 3});
    }

    #[test]
    fn find_takes_parts_of_arrays() {
        let document = rawdoc! {"_id": 1, "a": [1, 2, 3], "b": {"a": [4, 5]}};
        check(
            &rawdoc! {"a": {"$slice": -2}},
            &document,
            &rawdoc! {"_id": 1, "a": [2, 3], "b": {"a": [4, 5]}},
        );
        check(
            &rawdoc! {"a": {"$slice": [1, 1]}, "_id": 1},
            &document,
            &rawdoc! {"_id": 1, "a": [2]},
        );
        check(
            &rawdoc! {"b.a": {"$slice": 1}, "a": 0},
            &document,
            &rawdoc! {"_id": 1, "b": {"a": [4]}},
        );
        check(&rawdoc! {"a": {"$elemMatch": {"$gt": 1}}}, &document, &rawdoc! {"_id": 1, "a": [2]});
        check(&rawdoc! {"a": {"$elemMatch": {"$gt": 9}}}, &document, &rawdoc! {"_id": 1});
    }

    #[test]
    fn the_positional_operator_gives_the_item_that_matched() {
        let document = rawdoc! {"_id": 1, "a": [1, 2, 3], "b": {"c": [5, 6, 7]}};
        let project = |projection: RawDocumentBuf, filter: RawDocumentBuf| {
            project(&projection, &filter, &document)
        };
        assert_eq!(
            project(rawdoc! {"a.$": 1}, rawdoc! {"a": {"$gte": 2}}),
            Ok(rawdoc! {"_id": 1, "a": [2]})
        );
        assert_eq!(
            project(rawdoc! {"b.c.$": 1}, rawdoc! {"a": 3}),
            Ok(rawdoc! {"_id": 1, "b": {"c": [7]}})
        );
        assert_eq!(project(rawdoc! {"a.$": 1}, rawdoc! {"_id": 1}), Err(51246));
        assert_eq!(project(rawdoc! {"a.$": 1}, rawdoc! {"$expr": true}), Err(224));
    }

    #[test]
    fn what_is_no_projection_is_refused() {
        check_error(&rawdoc! {"a": 1, "b": 0}, 31254);
        check_error(&rawdoc! {"a": 0, "b": 1}, 31253);
        check_error(&rawdoc! {"a": 0, "b": "x"}, 31310);
        check_error(&rawdoc! {"a": 0, "b": {"$add": [1, 2]}}, 31252);
        check_error(&rawdoc! {"a": 1, "a.b": 1}, 31249);
        check_error(&rawdoc! {"a.b": 1, "a": 1}, 31250);
        check_error(&rawdoc! {"a": {}}, 51270);
        check_error(&rawdoc! {"a": {"$no": 1}}, 31325);
        check_error(&rawdoc! {"": 1}, 40352);
        check_error(&rawdoc! {"$a": 1}, 16410);
        check_error(&rawdoc! {"a.$": 0}, 31395);
        check_error(&rawdoc! {"a.$": "x"}, 31308);
        check_error(&rawdoc! {"a.$": {"b": 1}}, 31271);
        check_error(&rawdoc! {"a.$.b": 1}, 31394);
        check_error(&rawdoc! {"a.$": 1, "b.$": 1}, 31276);
        check_error(&rawdoc! {"a.$": 1, "b": {"$elemMatch": {}}}, 31255);
        check_error(&rawdoc! {"b": {"$elemMatch": {}}, "a.$": 1}, 31256);
        check_error(&rawdoc! {"a": {"$elemMatch": 1}}, 31274);
        check_error(&rawdoc! {"a.b": {"$elemMatch": {}}}, 31275);
    }

    #[test]
    fn stages_know_less_and_set_keeps_what_it_does_not_name() {
        let environment = Environment::new(0);
        let project = |spec: &RawDocument| {
            Transformation::project(spec.into(), &environment).map_err(|error| error.code().value())
        };
        assert_eq!(project(&rawdoc! {}).unwrap_err(), 51272);
        assert_eq!(project(&rawdoc! {"a.$": 1}).unwrap_err(), 31324);
        let set = |spec: &RawDocument| {
            Transformation::set(spec.into(), &environment).map_err(|error| error.code().value())
        };
        assert_eq!(set(&rawdoc! {"a": 1, "a.b": 1}).unwrap_err(), 40176);
        assert_eq!(set(&rawdoc! {"a": {"b.c": 1}}).unwrap_err(), 40183);
        assert_eq!(set(&rawdoc! {"a": {"b": 1, "$add": 1}}).unwrap_err(), 40181);
        let set = set(&rawdoc! {"a.b": "$c", "d": {"e": 1}}).unwrap();
        let (document, arena) = (rawdoc! {"a": [1, {"x": 2}], "c": 3, "d": 4}, Arena::new());
        let found = set.apply((&*document).into(), &arena).unwrap().to_raw();
        assert_eq!(found, rawdoc! {"a": [{"b": 3}, {"x": 2, "b": 3}], "c": 3, "d": {"e": 1}});
    }
}
