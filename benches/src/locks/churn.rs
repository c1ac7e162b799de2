//! The file under churn: few locks at a time, very many in the end.

use std::collections::VecDeque;
use std::fs;
use std::time::Instant;

use super::{Scale, live};
use crate::measure::float;
use crate::place::Place;
use crate::report::{Section, count, mebibytes, rate};
use crate::{Result, bulk};

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let path = place.file("churn.lockstore");
    let store = live::store(&path, 0)?;
    let mut held = VecDeque::from(bulk::acquire(&store, 0..LIVE));
    let start_bytes = fs::metadata(&path)?.len();
    let mut largest = start_bytes;
    let start = Instant::now();
    for first in (LIVE..LIVE + scale.churned).step_by(AT_ONCE) {
        held.extend(bulk::acquire(&store, first..first + AT_ONCE));
        // A guard that is dropped queues its release, which shares a commit with the next acquisitions.
        held.drain(..AT_ONCE);
        largest = largest.max(fs::metadata(&path)?.len());
    }
    let took = start.elapsed();
    let bytes = fs::metadata(&path)?.len();
    let calls = 2.0 * float(scale.churned as u64);

    let mut section = Section::new(
        format!(
            "churn: {} acquisitions and releases, {} locks at a time",
            count(scale.churned),
            count(LIVE)
        ),
        &["file before", "largest", "at the end", "calls/s"],
    );
    section.row([
        mebibytes(float(start_bytes)),
        mebibytes(float(largest)),
        mebibytes(float(bytes)),
        rate(calls / took.as_secs_f64()),
    ]);
    section.figure("churn.file_bytes", float(bytes));
    section.figure("churn.largest_bytes", float(largest));
    section.figure("churn.calls_per_s", calls / took.as_secs_f64());
    Ok(section)
}

const LIVE: usize = 1_000;
/// How many locks are acquired at once, and released.
const AT_ONCE: usize = 500;
