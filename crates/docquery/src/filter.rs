//! Filters: which documents are meant.

mod argument;
mod bits;
mod comparison;
mod equalities;
mod evaluate;
mod in_list;
mod object;
mod optimize;
mod parse;
mod predicate;
mod regex_argument;
#[cfg(test)]
mod tests;
mod traverse;
mod types;

use bson::RawDocument;

pub use bits::BitTest;
pub use in_list::InList;
pub use object::ObjectPredicate;
pub use predicate::{Comparison, FieldPredicate, Predicate, Test};
pub use types::TypeSet;

use evaluate::Notes;

use crate::expression::{Context, Scope};
use crate::path::Path;
use crate::{Arena, Cost, Document, Environment, Error, Result, Value};

/// A filter, parsed.
///
/// ```
/// use bson::rawdoc;
/// use docquery::{Environment, Filter};
///
/// let filter = Filter::parse(&rawdoc! { "tags": "new", "n": { "$gte": 3 } }, &Environment::new(0))?;
/// assert!(filter.matches(&rawdoc! { "n": 5, "tags": ["old", "new"] })?);
/// assert!(!filter.matches(&rawdoc! { "n": "5", "tags": "new" })?);
/// # Ok::<(), docquery::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    predicate: ObjectPredicate,
    /// As it was written: a part that can never hold may be gone from the predicate.
    has_expression: bool,
    cost: Cost,
}

/// What a match found besides: the place in an array that the positional operator `$` stands for.
///
/// It is the index of the item of the first array on a path that made a condition match. Conditions in `$or`, `$nor`
/// and `$not` give none. Of several the last one counts, and the server has two orders for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// For updates: the last in the order of [`Predicate`].
    pub position: Option<usize>,
    /// For projections: the last in the order in which the filter was written.
    pub projected: Option<usize>,
}

impl Filter {
    /// Parses a filter.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no filter. Mostly [`ErrorCode::BAD_VALUE`](crate::ErrorCode::BAD_VALUE), also for operators
    /// that do not exist or are not supported; those of [`Expression::parse`](crate::Expression::parse) for `$expr`.
    pub fn parse(filter: &RawDocument, environment: &Environment) -> Result<Self> {
        environment.parse(|environment| Self::parse_in(filter.into(), &Scope::new(environment)))
    }

    /// Parses a filter whose expressions may use the variables of `scope`.
    ///
    /// # Errors
    ///
    /// As [`Filter::parse`]; [`ErrorCode::TYPE_MISMATCH`](crate::ErrorCode::TYPE_MISMATCH) for what is no document.
    pub fn parse_in(filter: Value<'_>, scope: &Scope<'_>) -> Result<Self> {
        let Value::Document(filter) = filter else {
            return Err(Error::type_mismatch(format!(
                "a filter must be a document, not {}",
                filter.type_name()
            )));
        };
        let predicate = parse::parse(filter, scope)?;
        let has_expression = predicate.has_expression();
        let predicate = ObjectPredicate::new(optimize::optimize(predicate));
        Ok(Self { predicate, has_expression, cost: Cost::of_filter(filter) })
    }

    /// The filter `{path: {$eq: value}}`.
    pub(crate) fn equal(path: &str, value: Value<'_>) -> Result<Self> {
        let predicate = parse::compare(path, Comparison::Equal, value)?;
        let predicate = ObjectPredicate::new(predicate);
        Ok(Self { predicate, has_expression: false, cost: Cost::Unbounded })
    }

    /// The filter that matches what all of `filters` match.
    pub(crate) fn all_of(filters: &[impl AsRef<Self>]) -> Self {
        let parts = filters.iter().map(|filter| filter.as_ref().predicates().clone());
        let predicate = Predicate::And(parts.collect());
        let has_expression = filters.iter().any(|filter| filter.as_ref().has_expression);
        let cost =
            filters.iter().fold(Cost::PerByte(0), |cost, filter| cost.and(filter.as_ref().cost));
        let predicate = ObjectPredicate::new(optimize::optimize(predicate));
        Self { predicate, has_expression, cost }
    }

    /// Whether `document` matches.
    ///
    /// # Errors
    ///
    /// An expression failed, or a regular expression took too many steps.
    pub fn matches(&self, document: &RawDocument) -> Result<bool> {
        Ok(self.find(document.into())?.is_some())
    }

    /// How `document` matches, if it does.
    ///
    /// # Errors
    ///
    /// As [`Filter::matches`].
    pub fn find(&self, document: Document<'_>) -> Result<Option<Matched>> {
        let arena = Arena::new();
        self.find_in(document, Context::new(&arena, Value::Document(document)))
    }

    /// Whether `document` matches, where `context` binds the variables of the filter's scope.
    ///
    /// # Errors
    ///
    /// As [`Filter::matches`].
    pub fn matches_in<'a>(
        &'a self,
        document: Document<'a>,
        context: Context<'_, 'a>,
    ) -> Result<bool> {
        Ok(self.find_in(document, context)?.is_some())
    }

    /// What the filter asks, as a tree.
    pub fn predicates(&self) -> &Predicate {
        self.predicate.root()
    }

    /// The values that the filter fixes: an upsert begins with them. `$eq`, `$in` and `$all` of one value, also in `$and` and in
    /// `$or` of one branch. They may contradict each other.
    pub fn equalities(&self) -> Vec<(&Path, Value<'_>)> {
        equalities::equalities(self.predicate.root())
    }

    /// Whether it has a `$expr`, which is not allowed in an upsert.
    pub fn has_expression(&self) -> bool {
        self.has_expression
    }

    /// How much work it is to evaluate.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    fn find_in<'a>(
        &'a self,
        document: Document<'a>,
        context: Context<'_, 'a>,
    ) -> Result<Option<Matched>> {
        let mut notes = Notes::default();
        let matches = self.predicate.matches(document, context, &mut notes)?;
        Ok(matches.then_some(notes.matched))
    }
}
