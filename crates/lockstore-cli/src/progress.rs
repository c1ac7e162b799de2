//! How far a long command has come, for who watches it on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// A line on stderr that shows how far it is; nothing where stderr is no terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of documents; `total` is how many there will be, if that is known.
    pub(crate) fn of_documents(total: Option<u64>) -> Self {
        Self::new(total, "{bar:32} {human_pos} of {human_len} documents, {eta} left", DOCUMENTS)
    }

    /// Of documents that are compared; `total` is about how many there will be.
    pub(crate) fn of_comparisons(total: u64) -> Self {
        Self::new(Some(total), "{bar:32} {human_pos} of {human_len} compared, {eta} left", "")
    }

    /// Whether anybody can see it.
    pub(crate) fn is_shown(&self) -> bool {
        !self.0.is_hidden()
    }

    /// Of bytes that are read.
    pub(crate) fn of_bytes(total: Option<u64>) -> Self {
        Self::new(total, "{bar:32} {bytes} of {total_bytes}, {eta} left", BYTES)
    }

    fn new(total: Option<u64>, known: &str, unknown: &str) -> Self {
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), known),
            None => (ProgressBar::no_length(), unknown),
        };
        let style = ProgressStyle::with_template(template);
        Self(bar.with_style(style.expect("the templates are ours")))
    }

    /// So much more is done.
    pub(crate) fn advance(&self, by: u64) {
        self.0.inc(by);
    }

    /// Writes a line to stderr, above the progress.
    pub(crate) fn warn(&self, sentence: &str) {
        self.0.suspend(|| output::warn(sentence));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

const DOCUMENTS: &str = "{spinner} {human_pos} documents, {elapsed}";

const BYTES: &str = "{spinner} {bytes}, {elapsed}";
