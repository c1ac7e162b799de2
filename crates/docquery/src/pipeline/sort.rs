//! `$sort`: all documents in order, or the first of them.

use std::collections::BinaryHeap;

use bson::RawDocumentBuf;

use super::{Documents, MEMORY_BYTES_MAX, stage::object};
use crate::sort::SortKey;
use crate::{Document, Error, ErrorCode, Result, Sort, Value};

/// `$sort`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct SortStage {
    sort: Sort,
}

/// A document and its place. Equal keys keep the order in which they came.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: SortKey,
    arrival: usize,
    document: Bytes,
}

/// A document, of no order: keys and arrivals decide before it would be asked.
#[derive(Debug)]
struct Bytes(RawDocumentBuf);

impl SortStage {
    pub(crate) fn parse(spec: Value<'_>) -> Result<Self> {
        let pattern = object("$sort", spec, 15973)?;
        if pattern.is_empty() {
            return Err(Error::location(15976, "$sort names at least one field"));
        }
        let sort = Sort::parse(&pattern.to_raw())?;
        Ok(Self { sort })
    }

    /// The order.
    pub(crate) fn sort(&self) -> &Sort {
        &self.sort
    }

    /// The documents of `input` in order; the first `limit` of them, if only they are asked for.
    pub(crate) fn run(
        &self,
        input: Documents<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let limit = limit.unwrap_or(usize::MAX);
        // The greatest is on top: it goes when there are too many.
        let mut heap = BinaryHeap::new();
        let mut bytes = 0;
        for (arrival, document) in input.enumerate() {
            let document = document?;
            let key = self.sort.key(Document::from(&*document))?;
            bytes += size_of::<Entry>() + document.as_bytes().len();
            heap.push(Entry { key, arrival, document: Bytes(document) });
            if heap.len() > limit
                && let Some(Entry { document: Bytes(last), .. }) = heap.pop()
            {
                bytes -= size_of::<Entry>() + last.as_bytes().len();
            }
            if bytes > MEMORY_BYTES_MAX {
                return Err(Error::new(
                    ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT,
                    format!(
                        "$sort takes more than {MEMORY_BYTES_MAX} bytes; a $limit behind it, or fewer fields, would help"
                    ),
                ));
            }
        }
        Ok(heap.into_sorted_vec().into_iter().map(|entry| entry.document.0).collect())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}
