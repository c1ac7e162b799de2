//! Operations that are statements of a write that may come again: what they do is remembered in the commit that does it.

use std::borrow::Cow;

use bson::RawDocument;
use docquery::{Document, Writer};

use super::Place;
use crate::client_sessions::{Image, Memo, Numbered};
use crate::documents::{After, Scope};
use crate::records::{AnswerV1, RememberedV1};

impl<'s> Place<'s> {
    /// The operation as a statement of a write that may come again, if it is one.
    pub(crate) fn of(&self, statement: Option<Numbered<'s>>) -> Self {
        let namespace = self.namespace.clone();
        Self { statement, ..self.neighbour(namespace) }
    }

    /// Whom it asks for what it changes, so that it is remembered as `memo` says if it is such a statement.
    pub(super) fn remembering(
        &self,
        memo: impl FnOnce(&Numbered<'s>) -> Memo,
    ) -> Cow<'_, Scope<'s>> {
        match &self.statement {
            Some(statement) => Cow::Owned(self.scope.remembered(statement.write, memo(statement))),
            None => Cow::Borrowed(&self.scope),
        }
    }
}

impl Numbered<'_> {
    /// It changes a document that the writer finds.
    pub(super) fn of_found(&self) -> Memo {
        Memo::Found { statement: self.number, image: self.image }
    }

    /// It changes this document.
    pub(super) fn of_changed(&self, before: &RawDocument, after: &After) -> Memo {
        let after = match after {
            After::Same => Some(before),
            After::Becomes(after) => Some(&**after),
            After::Deleted => None,
        };
        self.of_written(AnswerV1::Nothing, Some(before), after)
    }

    /// It inserts this document.
    pub(super) fn of_upserted(&self, document: &RawDocument) -> Memo {
        let mut id = Writer::new();
        id.field("_id", Document::from(document).get("_id"));
        let id = bson::RawDocumentBuf::from_bytes(id.finish());
        let id = id.expect("what was written is a document");
        self.of_written(AnswerV1::of(Some(&id)), None, Some(document))
    }

    fn of_written(
        &self,
        upserted: AnswerV1,
        before: Option<&RawDocument>,
        after: Option<&RawDocument>,
    ) -> Memo {
        let image = self.image.map(|image| match image {
            Image::Before => AnswerV1::of(before),
            Image::After => AnswerV1::of(after),
        });
        Memo::Made(RememberedV1::Written { statement: self.number, upserted, image })
    }
}
