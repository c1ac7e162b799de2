//! Updates and deletions: `update` and `delete`.

use std::borrow::Cow;

use bson::{RawBson, RawDocumentBuf};
use docquery::{Value, Writer};

use super::command::{write_array_filters, write_selector};
use super::reply::{self, sound_field};
use super::{Place, Reply};
use crate::commands::failure;
use crate::error::DocumentError;
use crate::operations::{Statement, Unparsed};

/// What has become of statements, one after the other.
#[derive(Debug, Default)]
pub(crate) struct StatementsOutcome {
    /// How many documents matched updates.
    pub(crate) matched: u64,
    /// How many were updated, or deleted.
    pub(crate) modified: u64,
    /// The `_id` of what was inserted, by the index of the statement.
    pub(crate) upserted: Vec<(usize, RawBson)>,
    /// Why statements failed. What such a statement had changed before is counted.
    pub(crate) errors: Vec<(usize, DocumentError)>,
}

impl Place<'_> {
    /// Carries out statements that are all updates, or all deletions: in as few commands as hold them.
    pub(crate) fn carry_out(&self, statements: &[Statement], ordered: bool) -> StatementsOutcome {
        let mut outcome = StatementsOutcome::default();
        let (mut first, mut alone) = (0, 0);
        while let Some(statement) = statements.get(first) {
            let (name, array) =
                if statement.is_deletion() { ("delete", "deletes") } else { ("update", "updates") };
            let mut command = self.command(name);
            command.field("ordered", Value::Bool(ordered));
            command.document("let", statement.selector.variables.as_ref());
            let next =
                if first < alone { &statements[first..=first] } else { &statements[first..] };
            let written = command.items(array, next, |statement| Cow::Owned(written(statement)));
            match self.run(command).and_then(|reply| outcome.add(first, &reply)) {
                Ok(()) => {}
                // None of them was carried out, as one is none that may be: it is found by itself.
                Err(error) if written > 1 && !error.ends_request() => {
                    alone = first + written;
                    continue;
                }
                Err(error) => outcome.errors.push((first, error)),
            }
            if outcome.is_over(ordered) {
                break;
            }
            first += written;
        }
        outcome
    }
}

impl StatementsOutcome {
    /// Adds what the reply of a command says whose first statement is the one with the index `first`.
    fn add(&mut self, first: usize, reply: &Reply) -> Result<(), DocumentError> {
        let upserted = reply.array("upserted")?;
        for item in upserted.iter() {
            let item = item.as_document().ok_or_else(|| reply::senseless("upserted"))?;
            let id = sound_field(&item.to_raw(), "_id")?;
            self.upserted.push((first + reply::index(item)?, id));
        }
        let count = reply.count("n")?;
        match reply::count(reply.document(), "nModified") {
            Some(modified) => {
                self.matched += count.saturating_sub(upserted.len() as u64);
                self.modified += modified;
            }
            None => self.modified += count,
        }
        for (index, item, error) in reply.write_errors()? {
            let (matched, modified) = failure::read_done(item);
            self.matched += matched;
            self.modified += modified;
            self.errors.push((first + index, error));
        }
        Ok(())
    }

    /// Whether nothing more is to be tried.
    pub(crate) fn is_over(&self, ordered: bool) -> bool {
        self.errors.last().is_some_and(|(_, error)| ordered || error.ends_request())
    }
}

fn written(statement: &Statement) -> RawDocumentBuf {
    let Statement { selector, change, many } = statement;
    let mut writer = Writer::new();
    write_selector(&mut writer, "q", selector);
    match change {
        Unparsed::Delete => writer.field("limit", Value::Int32(i32::from(!many))),
        Unparsed::Update { update, array_filters, upsert } => {
            writer.field("u", update.value());
            write_array_filters(&mut writer, array_filters);
            writer.field("upsert", Value::Bool(*upsert));
            writer.field("multi", Value::Bool(*many));
        }
    }
    RawDocumentBuf::from_bytes(writer.finish()).expect("what was written is a document")
}
