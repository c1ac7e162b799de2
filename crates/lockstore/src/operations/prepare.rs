//! Changes that may be much work for each document: they are worked out here, on the caller's thread, and the writer
//! makes those whose document is still the same. The others are worked out anew.

use std::time::Duration;

use bson::RawDocumentBuf;

use super::Place;
use super::modify::ModifyOutcome;
use crate::documents::plan::Query;
use crate::documents::{
    After, Apply, Ask, Attempt, BYTES_PER_TASK, CollectionId, DOCUMENTS_PER_TASK, Found,
    Modification, Reading, RecordId,
};
use crate::error::DocumentError;

/// What was worked out on one reading.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The sequence of the reading.
    pub(super) seen: u64,
    pub(super) changes: Vec<(RecordId, After)>,
    /// How many have had their turn.
    pub(super) looked_at: usize,
    /// Why the one behind them could not have it.
    pub(super) error: Option<DocumentError>,
}

impl Place<'_> {
    /// Changes each of the records that matches.
    pub(super) fn modify_prepared(
        &self,
        query: &Query,
        change: &Modification,
        collection: CollectionId,
        records: Vec<RecordId>,
    ) -> ModifyOutcome {
        let mut outcome = ModifyOutcome::default();
        let mut rest = records;
        while !rest.is_empty() && outcome.error.is_none() {
            let prepared = self.prepare(&rest, |reading, record| {
                let worked_out = self.worked_out(query, change, reading, collection, *record)?;
                Ok(worked_out.map(|(_, after)| (*record, after)))
            });
            let mut again = rest.split_off(prepared.looked_at);
            outcome.error = prepared.error;
            if !prepared.changes.is_empty() {
                let (seen, changes) = (prepared.seen, prepared.changes);
                let records: Vec<_> = changes.iter().map(|(record, _)| *record).collect();
                match self.scope().apply(Apply { collection, seen, changes }) {
                    Ok(Attempt::Done(modified)) => {
                        outcome.matched += modified.matched;
                        outcome.modified += modified.modified;
                        again.extend(&modified.left);
                        again.extend(&records[modified.taken..]);
                        outcome.error = modified.error.or(outcome.error);
                    }
                    // A collection that was dropped meanwhile has no documents that match.
                    Ok(Attempt::Again) => break,
                    Err(error) => outcome.error = Some(error),
                }
            }
            rest = again;
        }
        outcome
    }

    /// Changes the first of the records that matches; `None` if none does, or it has changed meanwhile.
    pub(super) fn modify_first_prepared(
        &self,
        query: &Query,
        change: &Modification,
        collection: CollectionId,
        records: &[RecordId],
    ) -> Result<Option<ModifyOutcome>, DocumentError> {
        for record in records {
            self.check_time()?;
            let reading = self.scope().reading()?;
            let Some((before, after)) =
                self.worked_out(query, change, &reading, collection, *record)?
            else {
                continue;
            };
            let seen = reading.sequence();
            drop(reading);
            let changes = vec![(*record, after.clone())];
            let scope = self.remembering(|statement| statement.of_changed(&before, &after));
            let Attempt::Done(done) = scope.apply(Apply { collection, seen, changes })? else {
                return Ok(None);
            };
            if let Some(error) = done.error {
                return Err(error);
            }
            if !done.left.is_empty() {
                return Ok(None);
            }
            let after = match after {
                After::Same => Some(before.clone()),
                After::Becomes(after) => Some(after),
                After::Deleted => None,
            };
            let found = Some(Found { before, after });
            let (matched, modified) = (done.matched, done.modified);
            return Ok(Some(ModifyOutcome {
                matched,
                modified,
                found,
                ..ModifyOutcome::default()
            }));
        }
        Ok(None)
    }

    /// Has `work_out` say what becomes of the first of `waiting`: of as many as one task takes, and no longer than a reading
    /// is held.
    pub(super) fn prepare<W>(
        &self,
        waiting: &[W],
        work_out: impl Fn(&Reading, &W) -> Result<Option<(RecordId, After)>, DocumentError>,
    ) -> Prepared {
        let mut prepared = Prepared::default();
        let reading = match self.scope().reading() {
            Ok(reading) => reading,
            Err(error) => return Prepared { error: Some(error), ..prepared },
        };
        prepared.seen = reading.sequence();
        let clock = &self.engine().clock;
        let until = clock.now().saturating_add(READING_MAX);
        let mut bytes = 0;
        for one in waiting {
            let full = prepared.changes.len() >= DOCUMENTS_PER_TASK || bytes >= BYTES_PER_TASK;
            if full || (prepared.looked_at > 0 && clock.now() >= until) {
                break;
            }
            match self.check_time().and_then(|()| work_out(&reading, one)) {
                Ok(None) => {}
                Ok(Some((record, after))) => {
                    if let After::Becomes(document) = &after {
                        bytes += document.as_bytes().len();
                    }
                    prepared.changes.push((record, after));
                }
                Err(error) => {
                    prepared.error = Some(error);
                    break;
                }
            }
            prepared.looked_at += 1;
        }
        prepared
    }

    /// A document that matches, and what it is to be.
    pub(super) fn worked_out(
        &self,
        query: &Query,
        change: &Modification,
        reading: &Reading,
        collection: CollectionId,
        record: RecordId,
    ) -> Result<Option<(RawDocumentBuf, After)>, DocumentError> {
        let document = reading.document(collection, record);
        let document = document.map_err(|error| self.engine().read_failed(error))?;
        let Some(document) = document else { return Ok(None) };
        let before = document.raw();
        if !query.filter.matches(before)? {
            return Ok(None);
        }
        let after = change.of(before, &query.filter)?;
        Ok(Some((before.to_owned(), after)))
    }
}

/// How long one reading is held: what others delete or replace takes room in the file as long. A change that was
/// worked out long ago is also more likely to be out of date.
const READING_MAX: Duration = Duration::from_millis(100);
