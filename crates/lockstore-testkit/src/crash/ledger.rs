//! What a process has acknowledged: lines on its standard output.
//!
//! Each record is written in one piece as `"\n" MARK text "\n"`. The line break in front ends
//! whatever else was printed, such as the name of a test without its result; a line without the
//! mark, or without its end, is no record.

use std::io::{self, Write};

/// One line of a ledger.
///
/// Implemented for [`String`] and [`u64`], which are enough for most tests.
pub trait Record: Sized + Send + 'static {
    /// The record as text without line breaks.
    fn to_line(&self) -> String;

    /// The record that [`Record::to_line`] made into `line`; none when it made none such.
    fn parse(line: &str) -> Option<Self>;
}

impl Record for String {
    fn to_line(&self) -> String {
        self.clone()
    }

    fn parse(line: &str) -> Option<Self> {
        Some(line.to_owned())
    }
}

impl Record for u64 {
    fn to_line(&self) -> String {
        self.to_string()
    }

    fn parse(line: &str) -> Option<Self> {
        line.parse().ok()
    }
}

/// The ledger of this process, where it is the one to be killed. Threads may share it.
#[derive(Debug)]
pub struct Ledger {
    seed: u64,
    round: u64,
}

impl Ledger {
    /// The ledger, or none in a process that no [`CrashTest`](super::CrashTest) started.
    pub fn from_env() -> Option<Self> {
        let value = std::env::var(ENVIRONMENT).ok()?;
        let (seed, round) = value.split_once(':')?;
        let ledger = Self { seed: seed.parse().ok()?, round: round.parse().ok()? };
        // Should the parent be gone, the first record says so.
        write_line(START).ok();
        Some(ledger)
    }

    /// The seed of the test, so that the work can be drawn from it too.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Which round this is, counted from 1.
    pub fn round(&self) -> u64 {
        self.round
    }

    /// Tells the parent that `record` happened. Call it after the library answered, and before
    /// the next step of the same thread.
    ///
    /// # Errors
    ///
    /// When the parent is gone; the process had better end then.
    ///
    /// # Panics
    ///
    /// When the record's text has a line break.
    pub fn acknowledge<R: Record>(&self, record: &R) -> io::Result<()> {
        let line = record.to_line();
        assert!(!line.contains('\n'), "a record is one line, not {line:?}");
        write_line(&format!("{MARK}{line}"))
    }
}

/// What a parent reads from one line of output.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'line> {
    Start,
    Record(&'line str),
    Other,
}

impl<'line> Line<'line> {
    pub(super) fn read(line: &'line str) -> Self {
        match line.strip_prefix(MARK) {
            Some(record) => Self::Record(record),
            None if line == START => Self::Start,
            None => Self::Other,
        }
    }
}

pub(super) fn environment(seed: u64, round: u64) -> String {
    format!("{seed}:{round}")
}

/// In one piece, so that lines of several threads do not mix.
fn write_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes())?;
    out.flush()
}

pub(super) const ENVIRONMENT: &str = "LOCKSTORE_TESTKIT_CRASH";
const MARK: &str = "@acknowledged ";
const START: &str = "@started";
