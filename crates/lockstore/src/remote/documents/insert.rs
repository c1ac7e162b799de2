//! Insertions: `insert`.

use std::borrow::Cow;

use bson::{RawBson, RawDocumentBuf};
use docquery::Value;

use super::{Place, Reply};
use crate::error::DocumentError;
use crate::operations::{InsertOutcome, InsertRequest, completed, id};

impl Place<'_> {
    /// Inserts documents, in as few commands as hold them. What was inserted before an error stays.
    pub(crate) fn insert(&self, request: InsertRequest) -> InsertOutcome {
        let InsertRequest { documents, ordered } = request;
        let mut outcome = InsertOutcome::default();
        let (mut indexes, mut sound, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (index, document) in documents.iter().enumerate() {
            // The time in timestamps is filled in where they are stored.
            match completed(document, || 0) {
                Ok(document) => {
                    indexes.push(index);
                    sound.push(document);
                }
                Err(error) => refused.push((index, error.into())),
            }
            if ordered && !refused.is_empty() {
                break;
            }
        }
        let mut first = 0;
        while first < sound.len() {
            let written =
                self.insert_some(&indexes[first..], &sound[first..], ordered, &mut outcome);
            if outcome.failure().is_some() || (ordered && !outcome.errors.is_empty()) {
                return outcome;
            }
            first += written;
        }
        outcome.errors.extend(refused);
        outcome.errors.sort_by_key(|(index, _)| *index);
        outcome
    }

    /// Inserts as many as one command holds, and tells how many these are.
    fn insert_some(
        &self,
        indexes: &[usize],
        documents: &[RawDocumentBuf],
        ordered: bool,
        outcome: &mut InsertOutcome,
    ) -> usize {
        let mut command = self.command("insert");
        command.field("ordered", Value::Bool(ordered));
        let written = command.items("documents", documents, |document| Cow::Borrowed(document));
        let inserted =
            self.run(command).and_then(|reply| inserted(&reply, &documents[..written], ordered));
        match inserted {
            Ok((inserted, errors)) => {
                let at = |index: usize| indexes.get(index).copied().unwrap_or(index);
                let inserted = inserted.into_iter().map(|(index, id)| (at(index), id));
                outcome.inserted.extend(inserted);
                outcome.errors.extend(errors.into_iter().map(|(index, error)| (at(index), error)));
            }
            Err(error) => {
                let tried = if ordered || error.is_final() { 1 } else { written };
                let failed = indexes.iter().take(tried).map(|index| (*index, error.clone()));
                outcome.errors.extend(failed);
            }
        }
        written
    }
}

/// The `_id` of what a command has inserted, and why it has not inserted others, by their index in it.
type Inserted = (Vec<(usize, RawBson)>, Vec<(usize, DocumentError)>);

fn inserted(
    reply: &Reply,
    documents: &[RawDocumentBuf],
    ordered: bool,
) -> Result<Inserted, DocumentError> {
    let errors: Vec<_> =
        reply.write_errors()?.into_iter().map(|(index, _, error)| (index, error)).collect();
    let tried = match errors.first() {
        Some((first, _)) if ordered => *first,
        _ => documents.len(),
    };
    let is_inserted = |index: &usize| errors.iter().all(|(failed, _)| failed != index);
    let inserted = (0..tried).filter(is_inserted);
    let inserted = inserted.filter_map(|index| Some((index, id(documents.get(index)?))));
    Ok((inserted.collect(), errors))
}
