//! Documents that are printed once the store is closed.

use std::io::{self, ErrorKind, Seek as _, Write as _};

use lockstore::Cursor;
use lockstore::bson::RawDocumentBuf;
use tempfile::SpooledTempFile;

use crate::extended::{Form, text};
use crate::failure::{Failure, Kind};
use crate::output::unwritten;

/// Documents as text, kept until the store is closed: whoever reads them slowly keeps nobody waiting. What is more than a few
/// megabytes is kept in a temporary file without a name.
pub(crate) struct Spool {
    kept: SpooledTempFile,
    form: Form,
}

impl Spool {
    pub(crate) fn new(form: Form) -> Self {
        Self { kept: tempfile::spooled_tempfile(MEMORY_BYTES_MAX), form }
    }

    /// Keeps all that a search finds.
    pub(crate) fn take(&mut self, found: Cursor<RawDocumentBuf>) -> Result<(), Failure> {
        found.into_iter().try_for_each(|document| self.keep(&document?))
    }

    /// Keeps a document.
    pub(crate) fn keep(&mut self, document: &RawDocumentBuf) -> Result<(), Failure> {
        let text = text(document, self.form)?;
        self.kept.write_all(text.as_bytes()).map_err(|error| not_kept(&error))
    }

    /// Prints them. A reader that has read enough is no failure.
    pub(crate) fn print(mut self) -> Result<(), Failure> {
        self.kept.rewind().map_err(|error| not_kept(&error))?;
        let mut stdout = io::stdout().lock();
        match io::copy(&mut self.kept, &mut stdout).and_then(|_| stdout.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            printed => printed.map_err(|error| unwritten(&error)),
        }
    }
}

fn not_kept(error: &io::Error) -> Failure {
    Failure::new(
        Kind::Output,
        format!(
            "the output could not be kept in a temporary file until the store is closed: {error}"
        ),
    )
}

const MEMORY_BYTES_MAX: usize = 8 << 20;
