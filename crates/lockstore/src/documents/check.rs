//! Whether the documents agree with their indexes, both ways, and with what is known of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use docquery::limits::check_document;

use super::{Collection, CollectionId, Edge, Index, IndexId, Reading};
use crate::disk::{Direction, DiskError, ScannedDocument, Snapshot, StoredDocument};
use crate::document_locks;
use crate::maintenance::CheckReport;
use crate::rows::{RowKey, TableId};

/// What is checked: the documents of one commit, and what the writer knows of them at that moment.
#[derive(Debug)]
pub(crate) struct DocumentCheck {
    pub(crate) reading: Reading,
    /// The collections that were dropped, and the indexes, and may have rows still.
    pub(crate) cleared: Vec<(Option<CollectionId>, Vec<IndexId>)>,
    /// The snapshot of the reading; also where it has no collections.
    pub(crate) rows: std::sync::Arc<Snapshot>,
}

impl DocumentCheck {
    /// Compares everything with everything. Others are served meanwhile.
    pub(crate) fn run(&self, report: &mut CheckReport) -> Result<(), DiskError> {
        for problem in document_locks::check::problems(&self.reading)? {
            note(report, problem);
        }
        let (documents_before, entries_before) = (report.documents, report.index_entries);
        for collection in self.reading.catalog().iter() {
            self.check_collection(collection, report)?;
        }
        let (mut documents, mut entries) =
            (report.documents - documents_before, report.index_entries - entries_before);
        for (collection, indexes) in &self.cleared {
            documents += match collection {
                Some(collection) => self.count_documents(*collection)?,
                None => 0,
            };
            for index in indexes {
                entries += self.count_entries(*index)?;
            }
        }
        for (table, found) in [(TableId::Documents, documents), (TableId::IndexEntries, entries)] {
            let rows = self.rows.count(table)?;
            if rows != found {
                let problem =
                    format!("table {table} has {rows} rows, where {found} belong to something");
                note(report, problem);
            }
        }
        Ok(())
    }

    fn check_collection(
        &self,
        collection: &Collection,
        report: &mut CheckReport,
    ) -> Result<(), DiskError> {
        let namespace = collection.namespace();
        let mut found = BTreeMap::new();
        let mut documents = 0;
        let all = (Bound::Unbounded, Bound::Unbounded);
        for document in self.rows.documents(collection.id(), all, Direction::Forward)? {
            documents += 1;
            match document.and_then(ScannedDocument::read) {
                Ok(document) => self.check_keys(collection, &document, &mut found, report)?,
                Err(DiskError::Record(error)) => note(report, format!("{namespace}: {error}")),
                Err(error) => return Err(error),
            }
        }
        report.documents += documents;
        let counted = self.reading.count(collection)?;
        if counted != documents {
            note(
                report,
                format!("{namespace} counts {counted} documents, and {documents} are there"),
            );
        }
        for index in collection.indexes() {
            let found = found.get(&index.id()).copied().unwrap_or(0);
            self.check_entries(collection, index, found, report)?;
        }
        Ok(())
    }

    /// Every key of a document must have its entry.
    fn check_keys(
        &self,
        collection: &Collection,
        document: &StoredDocument<'_>,
        found: &mut BTreeMap<IndexId, u64>,
        report: &mut CheckReport,
    ) -> Result<(), DiskError> {
        let name = || format!("{}: record {}", collection.namespace(), document.record());
        if let Err(error) = check_document(document.raw()) {
            note(report, format!("{}: {error}", name()));
        }
        for index in collection.indexes() {
            let keys = match index.keys(document.raw()) {
                Ok(keys) => keys,
                Err(error) if index.is_ready() => {
                    note(report, format!("{}: has no keys: {error}", name()));
                    continue;
                }
                Err(_) => continue,
            };
            if keys.multikey & !index.multikey() != 0 && index.is_ready() {
                let problem = format!(
                    "{} has an array, which the index '{}' does not know",
                    name(),
                    index.name()
                );
                note(report, problem);
            }
            for key in &keys.keys {
                let row = RowKey::entry(index.id(), key, document.record());
                if self.rows.get(TableId::IndexEntries, &row)?.is_some() {
                    *found.entry(index.id()).or_default() += 1;
                } else if index.is_ready() {
                    note(report, format!("{} is not in the index '{}'", name(), index.name()));
                }
            }
        }
        Ok(())
    }

    /// Every entry must be one of those that were found, and no two of a unique index may have one key.
    fn check_entries(
        &self,
        collection: &Collection,
        index: &Index,
        found: u64,
        report: &mut CheckReport,
    ) -> Result<(), DiskError> {
        let name = format!("the index '{}' of {}", index.name(), collection.namespace());
        let mut entries = 0;
        let mut before: Vec<u8> = Vec::new();
        for entry in self.rows.entries(index.id(), (Edge::Open, Edge::Open), Direction::Forward)? {
            let entry = entry?;
            if entries > 0
                && entry.key() == before
                && (index.is_unique() || index.is_id())
                && index.is_ready()
            {
                let record = entry.record();
                note(report, format!("{name} has one key for two documents: record {record}"));
            }
            before.clear();
            before.extend_from_slice(entry.key());
            entries += 1;
        }
        report.index_entries += entries;
        if entries != found {
            note(report, format!("{name} has {entries} entries, and {found} have a document"));
        }
        Ok(())
    }

    fn count_documents(&self, collection: CollectionId) -> Result<u64, DiskError> {
        let (mut counted, mut behind) = (0, Bound::Unbounded);
        loop {
            let bounds = (behind, Bound::Unbounded);
            let records = self.rows.records(collection, bounds, RECORDS_AT_ONCE)?;
            let Some(last) = records.last() else { return Ok(counted) };
            counted += records.len() as u64;
            behind = Bound::Excluded(*last);
        }
    }

    fn count_entries(&self, index: IndexId) -> Result<u64, DiskError> {
        let entries = self.rows.entries(index, (Edge::Open, Edge::Open), Direction::Forward)?;
        let mut counted = 0;
        for entry in entries {
            entry?;
            counted += 1;
        }
        Ok(counted)
    }
}

fn note(report: &mut CheckReport, problem: String) {
    if report.problems.len() < PROBLEMS_MAX {
        report.problems.push(problem);
    }
}

/// How many problems are told: when there are more, the first ones say enough.
const PROBLEMS_MAX: usize = 1_000;

/// How many records are counted at once.
const RECORDS_AT_ONCE: usize = 4_096;
