//! Replies of commands.

use bson::{RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use docquery::number::Number;
use docquery::{Array, Document, Value};

use crate::commands::failure;
use crate::error::{DocumentError, StoreError};

/// The reply of a command that was carried out.
#[derive(Debug)]
pub(crate) struct Reply(RawDocumentBuf);

impl Reply {
    /// The reply, or the error that it tells of.
    pub(crate) fn checked(reply: RawDocumentBuf) -> Result<Self, DocumentError> {
        if has_succeeded(&reply) { Ok(Self(reply)) } else { Err(failure::read(&reply)) }
    }

    pub(super) fn document(&self) -> Document<'_> {
        Document::from(&*self.0)
    }

    /// A count.
    pub(super) fn count(&self, name: &str) -> Result<u64, DocumentError> {
        count(self.document(), name).ok_or_else(|| senseless(name))
    }

    /// An array; one that is not there is empty.
    pub(crate) fn array(&self, name: &str) -> Result<Array<'_>, DocumentError> {
        match self.document().get(name) {
            Value::Missing => Ok(Array::EMPTY),
            value => value.as_array().ok_or_else(|| senseless(name)),
        }
    }

    /// The errors of single writes, by their index in the command.
    pub(super) fn write_errors(
        &self,
    ) -> Result<Vec<(usize, Document<'_>, DocumentError)>, DocumentError> {
        let errors = self.array("writeErrors")?.iter().map(|item| {
            let item = item.as_document().ok_or_else(|| senseless("writeErrors"))?;
            Ok((index(item)?, item, failure::read(&item.to_raw())))
        });
        errors.collect()
    }
}

/// Whether a command was carried out.
pub(crate) fn has_succeeded(reply: &RawDocument) -> bool {
    Document::from(reply).get("ok").is_truthy()
}

/// Which write of a command an item is about.
pub(super) fn index(item: Document<'_>) -> Result<usize, DocumentError> {
    let index = count(item, "index").and_then(|index| usize::try_from(index).ok());
    index.ok_or_else(|| senseless("index"))
}

pub(super) fn count(fields: Document<'_>, name: &str) -> Option<u64> {
    Number::of(fields.get(name)).and_then(|number| u64::try_from(number.saturating_i64()).ok())
}

/// The value of a field, if it is there and sound.
pub(super) fn sound_field(document: &RawDocument, name: &str) -> Result<RawBson, DocumentError> {
    let field: Option<RawBsonRef<'_>> = document.get(name).map_err(|_| senseless(name))?;
    field.map(RawBson::from).ok_or_else(|| senseless(name))
}

/// The reply does not have in it what every such reply has.
pub(crate) fn senseless(name: &str) -> DocumentError {
    let what = format!("a reply that makes no sense: its '{name}'");
    StoreError::Internal { what: what.into() }.into()
}
