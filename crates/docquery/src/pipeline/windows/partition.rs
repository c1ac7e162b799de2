//! The documents of a partition, in order.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::super::Database;
use super::super::scratch::Room;
use super::super::spilled::Spilled;
use super::super::steps::Steps;
use crate::expression::Context;
use crate::{Arena, Document, Error, ErrorCode, Expression, OwnedValue, Result, Value};

/// The documents of a partition: the first of them in memory, those for which it has no room in a scratch.
#[derive(Debug)]
pub(super) struct Partition {
    database: Arc<dyn Database>,
    steps: Steps,
    /// What they are sorted by, where that is one field.
    by: Option<Expression>,
    ready: Vec<RawDocumentBuf>,
    bytes: usize,
    away: Option<RefCell<Spilled>>,
}

impl Partition {
    pub(super) fn new(by: Option<Expression>, database: Arc<dyn Database>) -> Self {
        let steps = Steps::default();
        Self { database, steps, by, ready: Vec::new(), bytes: 0, away: None }
    }

    /// The same without documents.
    pub(super) fn clear(&mut self) {
        self.ready.clear();
        self.bytes = 0;
        self.away = None;
    }

    /// Adds a document behind the others.
    ///
    /// # Errors
    ///
    /// There is no room (5643011).
    pub(super) fn push(&mut self, document: RawDocumentBuf) -> Result<()> {
        self.steps.take(1, &*self.database)?;
        let bytes = document.as_bytes().len() + DOCUMENT_BYTES;
        if self.away.is_none() && self.bytes + bytes <= self.database.memory_bytes() {
            self.bytes += bytes;
            self.ready.push(document);
            return Ok(());
        }
        if self.away.is_none() {
            self.away = Some(RefCell::new(Spilled::new(self.room()?)));
        }
        self.away.as_mut().map_or(Ok(()), |away| away.get_mut().push(&document))
    }

    fn room(&self) -> Result<Room> {
        Room::new("$setWindowFields", &*self.database).map_err(|error| match error.code() {
            ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT => {
                Error::location(5_643_011, error.message().to_owned())
            }
            _ => error,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.away.as_ref().map_or(0, |away| away.borrow().len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.away.is_none()
    }

    pub(super) fn document(&self, index: usize) -> Result<Cow<'_, RawDocument>> {
        // A wide window looks at all of them again for each.
        self.steps.take(1, &*self.database)?;
        match (self.ready.get(index), &self.away) {
            (None, Some(away)) => away.borrow_mut().get(index - self.ready.len()).map(Cow::Owned),
            _ => Ok(Cow::Borrowed(&self.ready[index])),
        }
    }

    /// What the document is sorted by; `Missing` where that is not one field.
    pub(super) fn sorted_by(&self, index: usize) -> Result<OwnedValue> {
        match &self.by {
            Some(by) => self.value(by, index),
            None => Ok(Value::Missing.into()),
        }
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &Expression, index: usize) -> Result<OwnedValue> {
        let arena = Arena::new();
        let document = self.document(index)?;
        let context = Context::new(&arena, Value::Document(Document::from(&*document)));
        Ok(expression.evaluate(context)?.into())
    }
}

/// What a document takes besides its bytes.
const DOCUMENT_BYTES: usize = 96;
