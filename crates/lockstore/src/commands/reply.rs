//! Replies.

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, Value, Writer};

use super::failure;
use crate::error::DocumentError;

/// A reply that is being written. `ok` comes last.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) fields: Writer,
    tells_of: TellsOf,
}

/// What a reply tells of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum TellsOf {
    #[default]
    Success,
    /// Of writes, some have failed: such a command has succeeded all the same.
    WriteErrors,
    Failure,
}

impl Reply {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A reply with these fields.
    pub(super) fn of(fields: Writer) -> Self {
        Self { fields, tells_of: TellsOf::Success }
    }

    /// Adds a field.
    pub(super) fn with(mut self, name: &str, value: Value<'_>) -> Self {
        self.fields.field(name, value);
        self
    }

    /// Adds a count, as the 32-bit integer that the server counts with; one that is too large as 64 bits.
    pub(super) fn with_count(self, name: &str, count: u64) -> Self {
        self.with(name, count_value(count))
    }

    /// A reply with a part of a result, and the cursor that has the rest; 0 if there is none.
    pub(super) fn batch(
        namespace: &str,
        name: &str,
        batch: &[RawDocumentBuf],
        cursor: i64,
    ) -> Self {
        let mut fields = Writer::with_capacity(
            batch.iter().map(|document| document.as_bytes().len() + 8).sum::<usize>() + 128,
        );
        fields.open_document("cursor");
        fields.open_array(name);
        for document in batch {
            fields.item(Value::from(&**document));
        }
        fields.close();
        fields.field("id", Value::Int64(cursor));
        fields.field("ns", Value::String(namespace));
        fields.close();
        Self::of(fields)
    }

    /// A reply that was written elsewhere, and tells of a failure.
    pub(super) fn failed(failure: &RawDocument) -> Self {
        Self { tells_of: TellsOf::Failure, ..Self::default() }.with_all_of(failure)
    }

    /// Adds the fields of another reply, but `ok`.
    pub(super) fn with_all_of(mut self, other: &RawDocument) -> Self {
        for (name, value) in Document::from(other) {
            if name != "ok" {
                self.fields.field(name, value);
            }
        }
        self
    }

    /// Whether it tells that something has failed.
    pub(super) fn tells_of_failure(&self) -> bool {
        self.tells_of != TellsOf::Success
    }

    /// The whole reply.
    pub(super) fn finish(mut self) -> RawDocumentBuf {
        let ok = if self.tells_of == TellsOf::Failure { 0.0 } else { 1.0 };
        self.fields.field("ok", Value::Double(ok));
        document(self.fields)
    }

    /// The reply of a command that failed.
    pub(super) fn failure(error: &DocumentError, labels: &[&str]) -> RawDocumentBuf {
        let mut fields = Writer::new();
        fields.field("ok", Value::Double(0.0));
        fields.field("errmsg", Value::String(&error.to_string()));
        fields.field("code", Value::Int32(error.code().value()));
        fields.field("codeName", Value::String(&error.code_name()));
        failure::write_details(error, &mut fields);
        if !labels.is_empty() {
            fields.open_array("errorLabels");
            for label in labels {
                fields.item(Value::String(label));
            }
            fields.close();
        }
        document(fields)
    }

    /// Adds that a write concern asks for more than there is, if it does.
    pub(super) fn with_write_concern_error(
        mut self,
        concern: Document<'_>,
        error: Option<&Error>,
    ) -> Self {
        if let Some(error) = error {
            self.fields.open_document("writeConcernError");
            self.fields.field("code", Value::Int32(error.code().value()));
            self.fields.field("codeName", Value::String(&error.code().name()));
            self.fields.field("errmsg", Value::String(error.message()));
            self.fields.open_document("errInfo");
            self.fields.field("writeConcern", Value::Document(concern));
            self.fields.close();
            self.fields.close();
        }
        self
    }

    /// Adds which statements were done before, if there are any.
    pub(super) fn with_retried(mut self, statements: &[i32]) -> Self {
        if !statements.is_empty() {
            self.fields.open_array("retriedStmtIds");
            for statement in statements {
                self.fields.item(Value::Int32(*statement));
            }
            self.fields.close();
        }
        self
    }

    /// Adds the errors of single writes, if there are any.
    pub(super) fn with_write_errors(mut self, errors: &[(usize, DocumentError)]) -> Self {
        if errors.is_empty() {
            return self;
        }
        self.tells_of = TellsOf::WriteErrors;
        self.fields.open_array("writeErrors");
        for (index, error) in errors {
            self.fields.open_document_item();
            self.fields.field("index", count_value(*index as u64));
            self.fields.field("code", Value::Int32(error.code().value()));
            failure::write_details(error, &mut self.fields);
            self.fields.field("errmsg", Value::String(&failure::sentence(error)));
            self.fields.close();
        }
        self.fields.close();
        self
    }
}

/// A count as a value.
pub(super) fn count_value(count: u64) -> Value<'static> {
    match i32::try_from(count) {
        Ok(count) => Value::Int32(count),
        Err(_) => Value::Int64(i64::try_from(count).unwrap_or(i64::MAX)),
    }
}

fn document(fields: Writer) -> RawDocumentBuf {
    RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document")
}
