//! `$sort`: all documents in order, or the first of them.

use bson::RawDocumentBuf;

use super::{Documents, MEMORY_BYTES_MAX, stage::object};
use crate::sort::Sorter;
use crate::{Document, Error, ErrorCode, Result, Sort, Value};

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
        input: Documents<'_>,
        limit: Option<usize>,
    ) -> Result<Vec<RawDocumentBuf>> {
        let mut sorter = Sorter::new(limit);
        let mut bytes = 0;
        for document in input {
            let document = document?;
            let key = self.sort.key(Document::from(&*document))?;
            let taken = key.bytes() + document.as_bytes().len() + ENTRY_BYTES;
            bytes += taken;
            if let Some((given_back, _)) = sorter.push(key, (taken, document)) {
                bytes -= given_back;
            }
            if bytes > MEMORY_BYTES_MAX {
                let message = format!(
                    "$sort takes more than {MEMORY_BYTES_MAX} bytes; a $limit behind it would help, or fewer fields"
                );
                return Err(Error::new(ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT, message));
            }
        }
        Ok(sorter.into_sorted().into_iter().map(|(_, document)| document).collect())
    }
}

/// What a document takes besides its bytes and those of its key.
const ENTRY_BYTES: usize = 64;
