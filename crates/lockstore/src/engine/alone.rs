//! Having the file alone: a compaction and a check of its pages need that nobody reads it.

use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use super::{Engine, Seat};
use crate::disk::DiskError;
use crate::documents::DocumentCheck;
use crate::error::StoreError;

impl Engine {
    /// Runs `f` in the seat, again and again until it finds that nobody reads the file any more: new readers wait
    /// meanwhile, and those of before have [`READERS_WAIT_MAX`] to finish. The writer goes on in between.
    ///
    /// # Errors
    ///
    /// [`DiskError::Busy`] when somebody still reads after that time; else what `f` says.
    pub(crate) fn without_readers<T>(
        &self,
        mut f: impl FnMut(&mut Seat) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _one_at_a_time = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_seat(|_| self.published.withhold_rows());
        let start = StdInstant::now();
        let result = loop {
            let result = self.in_seat(&mut f);
            if !is_busy(&result) || start.elapsed() >= READERS_WAIT_MAX {
                break result;
            }
            thread::sleep(READERS_POLL);
        };
        self.in_seat(|seat| {
            let shown = self.with_disk(|disk| Ok::<_, StoreError>(self.published.show_rows(disk)?));
            match shown {
                Ok(()) | Err(StoreError::Closed | StoreError::Poisoned { .. }) => {}
                Err(error) => self.stop(&format!("the rows cannot be read: {error}"), seat),
            }
        });
        result
    }
}

impl Engine {
    /// What a check of the documents needs, all of one moment.
    pub(crate) fn document_check(&self) -> Result<DocumentCheck, StoreError> {
        // Nobody withholds the rows meanwhile.
        let _one_at_a_time = self.alone.lock().unwrap_or_else(PoisonError::into_inner);
        self.in_seat(|seat| {
            let reading = self.reading()?;
            let rows = match reading.view().try_rows() {
                Some(rows) => Arc::clone(rows),
                None => Arc::new(self.with_disk(|disk| Ok::<_, StoreError>(disk.snapshot()?))?),
            };
            Ok(DocumentCheck { reading, cleared: seat.writer.documents().cleared(), rows })
        })
    }
}

fn is_busy<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Disk(error)) if matches!(**error, DiskError::Busy { .. }))
}

/// How long readers may go on when the file is to be had alone: longer than any of them may take.
const READERS_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether they are done.
const READERS_POLL: Duration = Duration::from_millis(2);
