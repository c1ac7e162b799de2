//! How long a scan may go on.

use std::time::Duration;

use docquery::Error;
use lockcore::Instant;

use crate::clock::Clock;
use crate::documents::Deadline;

/// Watches the time of a scan on one reading.
pub(super) struct Pace<'c> {
    clock: &'c dyn Clock,
    deadline: Option<&'c Deadline>,
    /// Until when it may stay on its reading.
    until: Instant,
    /// How many rows it may look at before it looks at the clock again.
    rows: u32,
}

/// What a scan does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    GoOn,
    /// It leaves its reading, and goes on on a newer one.
    Leave,
}

impl<'c> Pace<'c> {
    pub(super) fn new(clock: &'c dyn Clock, deadline: Option<&'c Deadline>) -> Self {
        let until = clock.now().saturating_add(READING_MAX);
        // A deadline that has passed already is noticed at the first row.
        let rows = if deadline.is_some() { 0 } else { ROWS };
        Self { clock, deadline, until, rows }
    }

    /// One row more. Every row counts, also one that is not given to anybody.
    ///
    /// # Errors
    ///
    /// It is later than the deadline.
    pub(super) fn step(&mut self) -> Result<Step, Error> {
        if let Some(rows) = self.rows.checked_sub(1) {
            self.rows = rows;
            return Ok(Step::GoOn);
        }
        self.rows = ROWS;
        let now = self.clock.now();
        if let Some(deadline) = self.deadline {
            deadline.check(now)?;
        }
        Ok(if now >= self.until { Step::Leave } else { Step::GoOn })
    }
}

/// How long a scan stays on one reading. As long as it does, what others delete or replace takes room in the file.
const READING_MAX: Duration = Duration::from_millis(500);

/// How many rows are looked at between two looks at the clock.
const ROWS: u32 = 63;
