//! What a pipeline asks of the database that it runs in, and what whoever sorts asks of where it works.

use std::fmt;
use std::sync::Arc;

use super::scratch::Scratch;
use super::source::{Documents, ready};
use crate::{Filter, Result};

/// The database that a pipeline runs in: its other collections, and where it works.
pub trait Database: Workspace {
    /// The documents of the collection `name` that `filter` matches, and no others; none where there is no such
    /// collection. The implementation may use an index for the filter.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn documents(&self, name: &str, filter: Option<&Arc<Filter>>) -> Result<Documents>;
}

/// How much may be held in memory, where the rest goes, and how long it may take.
pub trait Workspace: fmt::Debug + Send + Sync {
    /// Room for what a stage cannot hold in memory; `None` where it must do without, which is an error of the stage
    /// (`QueryExceededMemoryLimitNoDiskUseAllowed`). The default has none.
    ///
    /// # Errors
    ///
    /// There is room, but it cannot be used.
    fn scratch(&self) -> Result<Option<Box<dyn Scratch>>> {
        Ok(None)
    }

    /// Whether the work may go on. A stage asks this while it works, at least once for every 64 documents that it takes, makes or goes
    /// through again, and once before each run of a pipeline inside it: where a stage makes many documents of one, as `$unwind` does, nothing else
    /// may be asked for long. An error ends the pipeline. By default it goes on for ever.
    ///
    /// # Errors
    ///
    /// Why it must end: [`ErrorCode::MAX_TIME_MS_EXPIRED`](crate::ErrorCode::MAX_TIME_MS_EXPIRED), or that the database is gone.
    fn check_for_interrupt(&self) -> Result<()> {
        Ok(())
    }

    /// How many bytes one stage may hold in memory: 100 MiB, as MongoDB's.
    fn memory_bytes(&self) -> usize {
        MEMORY_BYTES_MAX
    }
}

/// A database without collections.
#[derive(Debug)]
pub(crate) struct NoDatabase;

impl Workspace for NoDatabase {}

impl Database for NoDatabase {
    fn documents(&self, _: &str, _: Option<&Arc<Filter>>) -> Result<Documents> {
        Ok(ready(None))
    }
}

/// How many bytes `$sort`, `$group` and the like, and each accumulator, may take.
pub(crate) const MEMORY_BYTES_MAX: usize = 100 * 1024 * 1024;
