//! Documents that are read line by line, ahead of who takes them.

use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use lockstore::bson::RawDocumentBuf;

use crate::extended::{Misread, document_of_line};
use crate::failure::Failure;

/// Some lines that follow each other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The documents, each with the number of its line.
    pub(crate) documents: Vec<(u64, RawDocumentBuf)>,
    /// The lines that are no documents.
    pub(crate) misread: Vec<(u64, Misread)>,
    /// The number of the last line, counted from 1.
    pub(crate) last_line: u64,
    /// How many bytes its lines have.
    pub(crate) bytes: u64,
    /// Why there are no further lines, if they cannot be read.
    pub(crate) broken: Option<io::Error>,
}

/// How lines are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// How many documents a batch has at most.
    pub(crate) documents_max: usize,
    /// Whether the first line that is no document is the last that is read.
    pub(crate) stop_on_error: bool,
}

impl Reading {
    /// Reads the lines of `input` on a thread of its own. A batch comes when it is full, or as soon as the input has no more
    /// for the moment, so that a slow one is not held back. The last batch is followed by the end of the channel.
    pub(crate) fn start(
        self,
        input: impl Read + Send + 'static,
    ) -> Result<Receiver<Batch>, Failure> {
        let (sender, batches) = sync_channel(1);
        let mut lines =
            Lines { input: BufReader::with_capacity(BUFFER_BYTES, input), reading: self, sender };
        let started = thread::Builder::new().name("lines".to_owned()).spawn(move || lines.read());
        started.map_err(|error| Failure::store(format!("no thread can be started: {error}")))?;
        Ok(batches)
    }
}

struct Lines<R> {
    input: BufReader<R>,
    reading: Reading,
    sender: SyncSender<Batch>,
}

impl<R: Read> Lines<R> {
    fn read(&mut self) {
        let (mut batch, mut line) = (Batch::default(), Vec::new());
        loop {
            match self.read_line(&mut line) {
                Ok(0) => break,
                Ok(bytes) => batch.take(&line, bytes),
                Err(error) => {
                    batch.broken = Some(error);
                    break;
                }
            }
            if self.reading.stop_on_error && !batch.misread.is_empty() {
                break;
            }
            batch = match self.pass_on(batch) {
                Some(batch) => batch,
                None => return,
            };
        }
        if batch.bytes > 0 || batch.broken.is_some() {
            // Nobody takes it when the import has ended already.
            let _ = self.sender.send(batch);
        }
    }

    /// Passes a batch on if its time has come, and answers the one to go on with; `None` when nobody takes it any more.
    fn pass_on(&self, batch: Batch) -> Option<Batch> {
        let empty = Batch { last_line: batch.last_line, ..Batch::default() };
        let lines = batch.documents.len() + batch.misread.len();
        if lines >= self.reading.documents_max || batch.bytes >= BATCH_BYTES_MAX {
            return self.sender.send(batch).ok().map(|()| empty);
        }
        if lines == 0 || !self.input.buffer().is_empty() {
            return Some(batch);
        }
        match self.sender.try_send(batch) {
            Ok(()) => Some(empty),
            Err(TrySendError::Full(batch)) => Some(batch),
            Err(TrySendError::Disconnected(_)) => None,
        }
    }

    /// Reads a line with its end, and answers how many bytes it has; of one that is too long the rest is passed over.
    fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<u64> {
        line.clear();
        let input = &mut self.input;
        let mut bytes = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', line)? as u64;
        if bytes > LINE_BYTES_MAX && !line.ends_with(b"\n") {
            bytes += input.skip_until(b'\n')? as u64;
        }
        Ok(bytes)
    }
}

impl Batch {
    /// Takes in the next line. Empty ones only count.
    fn take(&mut self, line: &[u8], bytes: u64) {
        self.last_line += 1;
        self.bytes += bytes;
        if line.trim_ascii().is_empty() {
            return;
        }
        let read = if bytes > LINE_BYTES_MAX {
            let reason = format!("it has {bytes} bytes; at most {LINE_BYTES_MAX} are read");
            Err(Misread { column: 0, reason })
        } else {
            document_of_line(line)
        };
        match read {
            Ok(document) => self.documents.push((self.last_line, document)),
            Err(misread) => self.misread.push((self.last_line, misread)),
        }
    }
}

/// The text of a document of 16 MiB may be some times longer: six bytes for a control character.
const LINE_BYTES_MAX: u64 = 128 << 20;

const BATCH_BYTES_MAX: u64 = 16 << 20;

const BUFFER_BYTES: usize = 256 << 10;
