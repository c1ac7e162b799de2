//! How documents are found: with which index, within which bounds, in which order.
//!
//! There are no statistics. Of the indexes that are ready, not hidden and complete for the filter that one is taken whose
//! keys the filter binds the most: a unique key; the most fields in front bound to single values; a range behind
//! them; the order of the sort; conditions on fields further behind; the fewer fields; the older index. `$or` is
//! such a candidate too where each of its branches has one. An index that only gives the order of the sort is taken
//! if none serves the filter, and else the whole collection is looked through.
//!
//! Bounds may hold more than what matches, never less: what is found is matched again, unless the bounds are known to
//! be exact.

mod between;
mod candidate;
mod condition;
mod explain;

mod order;
mod scan;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::order::compare_documents;
use docquery::{Document, Error, Filter, Sort, Value};

pub(crate) use explain::{Explanation, Verbosity};
pub(crate) use scan::{Access, IndexScan};

use super::{Collection, Index};
use crate::disk::Direction;
use candidate::Candidate;
use condition::Condition;

/// Which documents are asked for, and in which order.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    pub(crate) filter: Arc<Filter>,
    pub(crate) order: Order,
    pub(crate) hint: Hint,
    pub(crate) between: Between,
}

/// In which order documents come.
#[derive(Clone, Debug, Default)]
pub(crate) enum Order {
    /// As they are found.
    #[default]
    Found,
    /// The order of their insertion, or against it: `{$natural: 1}`.
    Natural(Direction),
    /// By what they hold.
    By {
        sort: Arc<Sort>,
        /// The same as it was written.
        written: RawDocumentBuf,
    },
}

/// Which index must be used.
#[derive(Clone, Debug, Default)]
pub(crate) enum Hint {
    /// The best.
    #[default]
    None,
    /// That with this name.
    Name(Box<str>),
    /// That with this key pattern.
    Key(RawDocumentBuf),
    /// None, but a scan of the collection: `{$natural: 1}`.
    Natural(Direction),
}

/// The keys of the hinted index that are looked at: `min` and `max` of a find.
#[derive(Clone, Debug, Default)]
pub(crate) struct Between {
    /// The first key.
    pub(crate) min: Option<RawDocumentBuf>,
    /// The first key behind the last.
    pub(crate) max: Option<RawDocumentBuf>,
}

/// How a query is answered.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    access: Access,
    filter: Arc<Filter>,
    /// Whether all that is found matches, so that the filter need not be asked.
    is_exact: bool,
    /// What is to be sorted by once all is found.
    sort: Option<Arc<Sort>>,
    /// What `explain` shows of it.
    sort_written: Option<RawDocumentBuf>,
}

impl Query {
    /// All that match `filter`.
    pub(crate) fn new(filter: Arc<Filter>) -> Self {
        Self { filter, order: Order::Found, hint: Hint::None, between: Between::default() }
    }
}

impl Order {
    /// Parses the sort of a command; `{}` is none.
    ///
    /// # Errors
    ///
    /// MongoDB's, for what is no sort.
    pub(crate) fn parse(sort: &RawDocument) -> Result<Self, Error> {
        match natural(sort)? {
            Some(direction) => Ok(Self::Natural(direction)),
            None if Document::from(sort).is_empty() => Ok(Self::Found),
            None => Ok(Self::By { sort: Arc::new(Sort::parse(sort)?), written: sort.to_owned() }),
        }
    }
}

impl Hint {
    /// Reads the hint of a command that is a document; `{}` is none.
    ///
    /// # Errors
    ///
    /// `$natural` has no direction.
    pub(crate) fn parse(hint: &RawDocument) -> Result<Self, Error> {
        match natural(hint)? {
            Some(direction) => Ok(Self::Natural(direction)),
            None if Document::from(hint).is_empty() => Ok(Self::None),
            None => Ok(Self::Key(hint.to_owned())),
        }
    }

    /// The index of `collection` that it names.
    fn index<'c>(&self, collection: &'c Collection) -> Result<Option<&'c Arc<Index>>, Error> {
        let is_meant = |index: &Index| match self {
            Self::Name(name) => index.name() == &**name,
            Self::Key(key) => compare_documents((&**key).into(), index.key().into()).is_eq(),
            Self::None | Self::Natural(_) => false,
        };
        if matches!(self, Self::None | Self::Natural(_)) {
            return Ok(None);
        }
        let mut indexes = usable(collection).filter(|index| is_meant(index));
        indexes.next().map(Some).ok_or_else(|| {
            let names: Vec<_> = usable(collection).map(|index| index.name()).collect();
            Error::bad_value(format!(
                "the hint {self} does not correspond to an existing index; there are {}",
                names.join(", ")
            ))
        })
    }
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("{}"),
            Self::Name(name) => write!(f, "'{name}'"),
            Self::Key(key) => write!(f, "{:?}", Document::from(&**key)),
            Self::Natural(Direction::Forward) => f.write_str("{$natural: 1}"),
            Self::Natural(Direction::Backward) => f.write_str("{$natural: -1}"),
        }
    }
}

impl Plan {
    /// The plan for `query` in `collection`.
    ///
    /// # Errors
    ///
    /// The hint names no index, or `min` and `max` do not fit it.
    pub(crate) fn new(collection: &Collection, query: &Query) -> Result<Self, Error> {
        let condition = Condition::of(query.filter.predicates());
        let hinted = query.hint.index(collection)?;
        let sort = match &query.order {
            Order::By { written, .. } => order::sort_fields(written),
            Order::Found | Order::Natural(_) => None,
        };
        let sort = sort.as_deref();
        let natural = match (&query.hint, &query.order) {
            (_, Order::Natural(direction)) | (Hint::Natural(direction), _) => Some(*direction),
            _ => None,
        };
        let found = if !query.between.is_open() {
            let index = hinted.ok_or_else(between::no_hint)?;
            Some(between::candidate(index, &query.between, sort)?)
        } else if let Some(index) = hinted {
            Some(candidate::hinted(index, &condition, sort))
        } else if natural.is_some() {
            None
        } else if condition.never {
            return Ok(Self::of_access(Access::Nothing, query));
        } else {
            choose(collection, &condition, sort)
        };
        Ok(if let Some(Candidate { scans, gives_order, is_exact, .. }) = found {
            let mut plan = Self::of_access(Access::Indexes(scans), query);
            plan.is_exact = is_exact;
            if gives_order {
                plan.sort = None;
            }
            plan
        } else {
            let direction = natural.unwrap_or(Direction::Forward);
            let mut plan = Self::of_access(Access::Collection(direction), query);
            plan.is_exact = condition.is_always_true();
            plan
        })
    }

    fn of_access(access: Access, query: &Query) -> Self {
        let (sort, sort_written) = match &query.order {
            Order::By { sort, written } => (Some(Arc::clone(sort)), Some(written.clone())),
            Order::Found | Order::Natural(_) => (None, None),
        };
        Self { access, filter: Arc::clone(&query.filter), is_exact: false, sort, sort_written }
    }

    /// The plan for a collection that is not there.
    pub(crate) fn nothing(query: &Query) -> Self {
        Self::of_access(Access::Nothing, query)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn filter(&self) -> &Arc<Filter> {
        &self.filter
    }

    /// Whether all that is found matches.
    pub(crate) fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// By what the documents are to be sorted when all are found; `None` if they come in the order that was asked for.
    pub(crate) fn sort(&self) -> Option<&Arc<Sort>> {
        self.sort.as_ref()
    }
}

impl Between {
    fn is_open(&self) -> bool {
        self.min.is_none() && self.max.is_none()
    }
}

/// The best candidate, if there is one.
fn choose(
    collection: &Collection,
    condition: &Condition<'_>,
    sort: Option<&[(&str, docquery::key::Direction)]>,
) -> Option<Candidate> {
    let indexes: Vec<_> = usable(collection).collect();
    let found = candidate::best(candidate::candidates(&indexes, condition, sort));
    let Some(sort) = sort else { return found };
    match found {
        // It looks at all keys of its index: one that gives the order as well is better.
        Some(found) if found.rank.is_bound() || found.gives_order => Some(found),
        found => candidate::in_order(&indexes, condition, sort).or(found),
    }
}

/// The indexes that may be used.
fn usable(collection: &Collection) -> impl Iterator<Item = &Arc<Index>> {
    collection.indexes().iter().filter(|index| index.is_ready() && !index.is_hidden())
}

/// The direction of `{$natural: 1}`, if it is that.
fn natural(document: &RawDocument) -> Result<Option<Direction>, Error> {
    let value = Document::from(document).get("$natural");
    let number = match value {
        Value::Missing => return Ok(None),
        value => docquery::number::Number::of(value).map(docquery::number::Number::to_double),
    };
    match number {
        Some(1.0) => Ok(Some(Direction::Forward)),
        Some(-1.0) => Ok(Some(Direction::Backward)),
        _ => Err(Error::bad_value(format!("$natural must be 1 or -1, not {value:?}"))),
    }
}
