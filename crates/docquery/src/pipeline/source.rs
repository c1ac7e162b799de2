//! Where documents come from: each stage is the source of the next.

use std::fmt;

use bson::RawDocumentBuf;

use crate::{Document, Result};

/// Documents, one after the other. They are found when they are asked for, and a source may rest in between as long as it
/// likes: it holds what it needs and borrows nothing.
pub trait Source: fmt::Debug + Send {
    /// The next document; `None` after the last. After an error it is asked for no more.
    ///
    /// # Errors
    ///
    /// A stage fails, or a document cannot be read.
    fn next(&mut self) -> Result<Option<RawDocumentBuf>>;

    /// Shows all documents that are left to `visit`, up to its first error. A source that can show one without a copy
    /// does so here.
    ///
    /// # Errors
    ///
    /// As [`Source::next`], and what `visit` gives.
    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        while let Some(document) = self.next()? {
            visit(Document::from(&*document))?;
        }
        Ok(())
    }
}

/// Looks at a document.
pub type Visit<'v> = dyn FnMut(Document<'_>) -> Result<()> + 'v;

/// A source of any kind.
pub type Documents = Box<dyn Source>;

/// The documents that an iterator gives.
pub fn documents<I>(documents: impl IntoIterator<IntoIter = I>) -> Documents
where
    I: Iterator<Item = Result<RawDocumentBuf>> + Send + 'static,
{
    Box::new(Given(documents.into_iter()))
}

/// Documents that are there already.
pub(crate) fn ready<I>(ready: impl IntoIterator<IntoIter = I>) -> Documents
where
    I: Iterator<Item = RawDocumentBuf> + Send + 'static,
{
    documents(ready.into_iter().map(Ok))
}

/// The source that `begin` makes when the first document is asked for.
pub(crate) fn later(begin: impl FnOnce() -> Result<Documents> + Send + 'static) -> Documents {
    Box::new(Later::Waiting(Some(Box::new(begin))))
}

struct Given<I>(I);

impl<I: Iterator<Item = Result<RawDocumentBuf>> + Send> Source for Given<I> {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        self.0.next().transpose()
    }
}

impl<I> fmt::Debug for Given<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given")
    }
}

enum Later {
    /// What makes the source; nothing once that has failed.
    Waiting(Option<Begin>),
    Begun(Documents),
}

type Begin = Box<dyn FnOnce() -> Result<Documents> + Send>;

impl Later {
    fn begun(&mut self) -> Result<Option<&mut Documents>> {
        if let Self::Waiting(begin) = self {
            let Some(begin) = begin.take() else { return Ok(None) };
            *self = Self::Begun(begin()?);
        }
        Ok(match self {
            Self::Begun(source) => Some(source),
            Self::Waiting(_) => None,
        })
    }
}

impl Source for Later {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        match self.begun()? {
            Some(source) => source.next(),
            None => Ok(None),
        }
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        match self.begun()? {
            Some(source) => source.for_each(visit),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting(_) => f.write_str("Waiting"),
            Self::Begun(source) => source.fmt(f),
        }
    }
}
