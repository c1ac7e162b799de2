//! The documents of groups, one after the other.

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::super::scratch::Room;
use super::super::source::Source;
use super::table::{Met, Part, Parts, Table};
use super::{Database, Group};
use crate::{Document, Error, ErrorCode, Result};

/// The documents of all groups.
#[derive(Debug)]
pub(super) struct Grouped {
    group: Arc<Group>,
    database: Arc<dyn Database>,
    giving: std::vec::IntoIter<Met>,
    /// What is to be gone through yet, for each time that groups were divided.
    parts: Vec<(Room, std::vec::IntoIter<Part>)>,
}

impl Grouped {
    pub(super) fn new(
        group: Arc<Group>,
        database: Arc<dyn Database>,
        met: Vec<Met>,
        parts: Option<Parts>,
    ) -> Self {
        let parts = parts.into_iter().map(|Parts { room, parts }| (room, parts.into_iter()));
        let parts = parts.collect();
        Self { group, database, giving: met.into_iter(), parts }
    }

    /// Takes up the next part; `false` if there is none.
    fn next_part(&mut self) -> Result<bool> {
        let Some((room, parts)) = self.parts.last_mut() else { return Ok(false) };
        let Some(part) = parts.next() else {
            self.parts.pop();
            return Ok(true);
        };
        let (mut table, documents) = Table::of_part(&self.group, &*self.database, part);
        let mut documents = documents.into_reader();
        while documents.advance(room)? {
            let document = RawDocument::from_bytes(documents.item())
                .map_err(|error| Error::new(ErrorCode::INTERNAL_ERROR, error.to_string()))?;
            table.add(Document::from(document))?;
        }
        let (met, divided) = table.finish()?;
        self.giving = met.into_iter();
        self.parts.extend(divided.map(|Parts { room, parts }| (room, parts.into_iter())));
        Ok(true)
    }
}

impl Source for Grouped {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        loop {
            if let Some(met) = self.giving.next() {
                return self.group.document(&met.id, &met.accumulators).map(Some);
            }
            if !self.next_part()? {
                return Ok(None);
            }
        }
    }
}
