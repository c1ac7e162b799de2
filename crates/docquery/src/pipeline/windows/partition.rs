//! The documents of a partition, in order.

use bson::RawDocumentBuf;

use crate::expression::Context;
use crate::{Arena, Document, Expression, OwnedValue, Result, Value};

/// The documents of a partition.
#[derive(Debug, Default)]
pub(super) struct Partition {
    documents: Vec<RawDocumentBuf>,
    /// What they are sorted by, where that is one field.
    sorted_by: Vec<OwnedValue>,
    bytes: usize,
}

impl Partition {
    pub(super) fn push(&mut self, document: RawDocumentBuf) {
        self.bytes += document.as_bytes().len() + DOCUMENT_BYTES;
        self.documents.push(document);
    }

    /// Finds out what each is sorted by.
    pub(super) fn evaluate(&mut self, by: &Expression) -> Result<()> {
        let mut arena = Arena::new();
        for document in &self.documents {
            arena.reset();
            let root = Value::Document(Document::from(&**document));
            self.sorted_by.push(by.evaluate(Context::new(&arena, root))?.into());
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.documents.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// How much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn document(&self, index: usize) -> Document<'_> {
        Document::from(&*self.documents[index])
    }

    /// What the document is sorted by; `Missing` where that is not one field.
    pub(super) fn sorted_by(&self, index: usize) -> Value<'_> {
        self.sorted_by.get(index).map_or(Value::Missing, OwnedValue::get)
    }

    /// The value of an expression.
    pub(super) fn value(&self, expression: &Expression, index: usize) -> Result<OwnedValue> {
        let arena = Arena::new();
        let context = Context::new(&arena, Value::Document(self.document(index)));
        Ok(expression.evaluate(context)?.into())
    }
}

/// What a document takes besides its bytes.
const DOCUMENT_BYTES: usize = 96;
