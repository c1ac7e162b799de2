//! `$sort`: all documents in order, or the first of them.

use super::sorted::Sorted;
use super::source::Documents;
use super::{Database, stage::object};
use crate::{Error, Result, Sort, Value};

/// `$sort`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct SortStage {
    sort: Sort,
}

impl SortStage {
    pub(crate) fn parse(spec: Value<'_>) -> Result<Self> {
        let pattern = object("$sort", spec, 15973)?;
        if pattern.is_empty() {
            return Err(Error::location(15976, "$sort names at least one field"));
        }
        Ok(Self { sort: Sort::parse(&pattern.to_raw())? })
    }

    /// The order.
    pub(crate) fn sort(&self) -> &Sort {
        &self.sort
    }

    /// The documents of `input` in order; the first `limit` of them, if only they are asked for.
    pub(crate) fn run(
        &self,
        mut input: Documents,
        limit: Option<usize>,
        database: &dyn Database,
    ) -> Result<Documents> {
        let mut sorted = Sorted::new("$sort", limit, database);
        input.for_each(&mut |document| sorted.push_document(self.sort.key(document)?, document))?;
        sorted.documents()
    }
}
