//! Commands that are being written.

use std::borrow::Cow;
use std::time::Duration;

use bson::{RawArray, RawDocument, RawDocumentBuf};
use docquery::raw::Elements;
use docquery::{Document, Value, Writer};

use crate::commands::fences;
use crate::disk::Direction;
use crate::documents::plan::Hint;
use crate::fence::Fence;
use crate::operations::Selector;

/// A command that is being written, field by field.
#[derive(Debug)]
pub(crate) struct Command {
    pub(in crate::remote) writer: Writer,
}

impl Command {
    /// A command of this name, about `target`.
    pub(crate) fn new(name: &str, target: Value<'_>) -> Self {
        let mut writer = Writer::new();
        writer.field(name, target);
        Self { writer }
    }

    /// A command that a caller has written.
    pub(crate) fn of(command: &RawDocument) -> Self {
        let mut writer = Writer::with_capacity(command.as_bytes().len() + 256);
        writer.fields(Document::from(command));
        Self { writer }
    }

    /// Adds a field.
    pub(crate) fn field(&mut self, name: &str, value: Value<'_>) {
        self.writer.field(name, value);
    }

    /// Adds a document, if there is one.
    pub(in crate::remote) fn document(&mut self, name: &str, document: Option<&RawDocumentBuf>) {
        write_document(&mut self.writer, name, document);
    }

    /// Adds a number, if there is one.
    pub(super) fn count(&mut self, name: &str, count: Option<u64>) {
        if let Some(count) = count {
            self.field(name, Value::Int64(i64::try_from(count).unwrap_or(i64::MAX)));
        }
    }

    /// Adds all fields of `document`.
    pub(super) fn fields(&mut self, document: &RawDocument) {
        self.writer.fields(Document::from(document));
    }

    /// Adds which documents the command is about; their filter is called `filter` in it.
    pub(in crate::remote) fn selector(&mut self, filter: &str, selector: &Selector) {
        write_selector(&mut self.writer, filter, selector);
        self.document("let", selector.variables.as_ref());
    }

    /// Adds which index must be used.
    pub(super) fn hint(&mut self, hint: &Hint) {
        write_hint(&mut self.writer, hint);
    }

    /// Adds the stages of a pipeline.
    pub(super) fn stages(&mut self, name: &str, stages: &RawArray) {
        self.writer.open_array(name);
        for stage in Elements::of(stages.as_bytes()) {
            self.writer.copy_item(&stage);
        }
        self.writer.close();
    }

    /// Adds as many of the items, as the documents that `written` makes of them, as one command may have, one at least, and tells how
    /// many these are.
    pub(super) fn items<T>(
        &mut self,
        name: &str,
        items: &[T],
        written: impl for<'i> Fn(&'i T) -> Cow<'i, RawDocument>,
    ) -> usize {
        self.writer.open_array(name);
        let mut count = 0;
        for item in items.iter().take(ITEMS_MAX) {
            let item = written(item);
            if count > 0 && self.writer.len() + item.as_bytes().len() > BYTES_MAX {
                break;
            }
            self.writer.item(Value::from(&*item));
            count += 1;
        }
        self.writer.close();
        count
    }

    /// Adds which items of arrays an update is about, if it says so.
    pub(in crate::remote) fn array_filters(&mut self, filters: &[RawDocumentBuf]) {
        write_array_filters(&mut self.writer, filters);
    }

    /// Adds how long it may take: whole milliseconds, one at least, for none are no limit.
    pub(in crate::remote) fn max_time(&mut self, left: Duration) {
        let millis = left.as_micros().div_ceil(1_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX).max(1);
        self.field("maxTimeMS", Value::Int32(millis));
    }

    /// Adds what its writes rely on.
    pub(crate) fn fences(&mut self, fences: &[Fence]) {
        fences::write(fences, &mut self.writer);
    }

    /// The whole command.
    pub(crate) fn finish(self) -> RawDocumentBuf {
        RawDocumentBuf::from_bytes(self.writer.finish()).expect("what was written is a document")
    }
}

/// Writes which documents a command or a statement is about, but for the variables.
pub(super) fn write_selector(writer: &mut Writer, filter: &str, selector: &Selector) {
    writer.field(filter, Value::from(&*selector.filter));
    write_document(writer, "sort", selector.sort.as_ref());
    write_hint(writer, &selector.hint);
    write_document(writer, "min", selector.between.min.as_ref());
    write_document(writer, "max", selector.between.max.as_ref());
}

fn write_hint(writer: &mut Writer, hint: &Hint) {
    match hint {
        Hint::None => {}
        Hint::Name(name) => writer.field("hint", Value::String(name)),
        Hint::Key(keys) => writer.field("hint", Value::from(&**keys)),
        Hint::Natural(direction) => {
            writer.open_document("hint");
            let direction = match direction {
                Direction::Forward => 1,
                Direction::Backward => -1,
            };
            writer.field("$natural", Value::Int32(direction));
            writer.close();
        }
    }
}

/// Writes which items of arrays an update is about, if it says so.
pub(super) fn write_array_filters(writer: &mut Writer, filters: &[RawDocumentBuf]) {
    if !filters.is_empty() {
        write_documents(writer, "arrayFilters", filters);
    }
}

/// Writes an array of documents.
pub(super) fn write_documents(writer: &mut Writer, name: &str, documents: &[RawDocumentBuf]) {
    writer.open_array(name);
    for document in documents {
        writer.item(Value::from(&**document));
    }
    writer.close();
}

fn write_document(writer: &mut Writer, name: &str, document: Option<&RawDocumentBuf>) {
    if let Some(document) = document {
        writer.field(name, Value::from(&**document));
    }
}

/// How many documents, updates or deletions one command may have.
const ITEMS_MAX: usize = 100_000;

/// How many bytes a command has at most, if it has more than one item: those of a message, but for some room for the other fields.
const BYTES_MAX: usize = 48_000_000 - 64 * 1024;
