//! A process that is to be killed, and the thread that reads its ledger.

use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Signal;

use super::ledger::Line;
use super::{Ending, Record, Round};

/// A process under test, while it runs. Dropping it kills the process.
#[derive(Debug)]
pub struct Running<R> {
    child: Child,
    name: String,
    read: Arc<Reading<R>>,
    reader: Option<JoinHandle<()>>,
}

impl<R: Record> Running<R> {
    pub(super) fn start(command: &mut Command, name: &str) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let read = Arc::new(Reading::default());
        let progress = Arc::clone(&read);
        let reader = std::thread::spawn(move || progress.read(output));
        Ok(Self { child, name: name.to_owned(), read, reader: Some(reader) })
    }

    /// The process's id, for [`pause`](super::pause).
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many records were read so far.
    pub fn records(&self) -> u64 {
        let read = self.read.state.lock();
        read.unwrap_or_else(PoisonError::into_inner).records.len() as u64
    }

    /// Waits until `records` were read or the process closed its ledger; false after `patience`.
    pub fn wait_for_records(&self, records: u64, patience: Duration) -> bool {
        self.read.wait(patience, |state| state.ended || state.records.len() as u64 >= records)
    }

    /// Waits until the process closed its ledger, as it does when it ends; false after `patience`.
    pub fn wait_for_end(&self, patience: Duration) -> bool {
        self.read.wait(patience, |state| state.ended)
    }

    /// Kills the process with `SIGKILL`, unless it has ended, and reads its ledger to the end.
    ///
    /// # Errors
    ///
    /// When the process cannot be killed, ended without opening its ledger, or wrote a line to it
    /// that is no record.
    pub fn kill(mut self) -> io::Result<Round<R>> {
        let status = self.end()?;
        let ending = if status.signal() == Some(Signal::KILL.as_raw()) {
            Ending::Killed
        } else {
            Ending::Exited(status)
        };
        let read =
            std::mem::take(&mut *self.read.state.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(line) = read.no_record {
            let message = format!("{} acknowledged what is no record: {line:?}", self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if !read.started && ending != Ending::Killed {
            let message =
                format!("{} ended without opening its ledger; is the name right?", self.name);
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        Ok(Round { records: read.records, ending })
    }
}

impl<R> Running<R> {
    /// Kills the process and reads what is left. One that has closed its ledger is about to end by
    /// itself, and gets a moment to do so: how it ends is worth knowing.
    fn end(&mut self) -> io::Result<ExitStatus> {
        for _ in 0..EXIT_POLLS {
            let closed = self.read.wait(Duration::ZERO, |state| state.ended);
            if !closed || self.child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(EXIT_POLL);
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        if let Some(reader) = self.reader.take() {
            reader.join().map_err(|_| io::Error::other("the reader of the ledger panicked"))?;
        }
        Ok(status)
    }
}

impl<R> Drop for Running<R> {
    fn drop(&mut self) {
        if self.reader.is_some() {
            // The process is gone or about to go; there is nobody left to tell.
            self.end().ok();
        }
    }
}

/// What was read of a ledger so far.
#[derive(Debug)]
struct Reading<R> {
    state: Mutex<State<R>>,
    progressed: Condvar,
}

#[derive(Debug)]
struct State<R> {
    started: bool,
    records: Vec<R>,
    /// The first marked line that does not parse.
    no_record: Option<String>,
    ended: bool,
}

impl<R: Record> Reading<R> {
    /// Reads to the end. A last line without a line break was cut by the kill, and is dropped.
    fn read(&self, output: impl Read) {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while matches!(output.read_until(b'\n', &mut line), Ok(1..)) && line.ends_with(b"\n") {
            line.pop();
            self.take(&String::from_utf8_lossy(&line));
            line.clear();
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ended = true;
        self.progressed.notify_all();
    }

    fn take(&self, line: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match Line::read(line) {
            Line::Start => state.started = true,
            Line::Record(text) => match R::parse(text) {
                Some(record) => state.records.push(record),
                None => {
                    state.no_record.get_or_insert_with(|| text.to_owned());
                }
            },
            Line::Other => return,
        }
        self.progressed.notify_all();
    }
}

impl<R> Reading<R> {
    fn wait(&self, patience: Duration, until: impl Fn(&State<R>) -> bool) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .progressed
            .wait_timeout_while(state, patience, |state| !until(state))
            .unwrap_or_else(PoisonError::into_inner);
        until(&state)
    }
}

impl<R> Default for Reading<R> {
    fn default() -> Self {
        Self { state: Mutex::default(), progressed: Condvar::new() }
    }
}

impl<R> Default for State<R> {
    fn default() -> Self {
        Self { started: false, records: Vec::new(), no_record: None, ended: false }
    }
}

const EXIT_POLL: Duration = Duration::from_millis(1);
const EXIT_POLLS: u32 = 5_000;
