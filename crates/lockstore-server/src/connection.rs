//! One client: its messages, one after the other.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bson::RawDocument;
use lockstore::Store;

use crate::commands::{self, Context};
use crate::memory::Memory;
use crate::options::ServerOptions;
use crate::wire::{Header, Message, Query, Request, WireError};

/// A connection, served by a thread of its own.
#[derive(Debug)]
pub(crate) struct Connection<'s> {
    stream: UnixStream,
    number: i32,
    store: &'s Store,
    memory: &'s Memory,
    patience: Duration,
    /// The number of the last reply.
    replies: i32,
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
}

impl<'s> Connection<'s> {
    pub(crate) fn new(
        stream: UnixStream,
        number: i32,
        store: &'s Store,
        memory: &'s Memory,
        options: &ServerOptions,
    ) -> io::Result<Self> {
        stream.set_read_timeout(Some(options.patience))?;
        stream.set_write_timeout(Some(options.patience))?;
        let patience = options.patience;
        Ok(Self { stream, number, store, memory, patience, replies: 0 })
    }

    /// Answers message by message, until the client hangs up.
    pub(crate) fn serve(mut self) -> Result<(), Ended> {
        let mut reader = BufReader::new(self.stream.try_clone()?);
        while has_begun(&mut reader)? {
            let mut message = Hurried { inner: &mut reader, until: Instant::now() + self.patience };
            let header = Header::read(&mut message)??;
            let _share = self.memory.take(header.body_len);
            let body = header.read_body(&mut message)?;
            self.answer(header.request_id, header.understand(body)?)?;
        }
        Ok(())
    }

    fn answer(&mut self, request_id: i32, request: Request) -> Result<(), Ended> {
        let context = Context { store: self.store, connection: self.number, stream: &self.stream };
        match request {
            Request::Message(Message { command, more_to_come }) => {
                let reply = commands::run(context, &command);
                if !more_to_come {
                    self.reply(request_id, &reply, Message::of)?;
                }
            }
            Request::Query(Query { database, command }) => {
                let reply = commands::run_in(context, &database, &command);
                self.reply(request_id, &reply, Query::reply)?;
            }
        }
        Ok(())
    }

    fn reply(
        &mut self,
        request_id: i32,
        reply: &RawDocument,
        bytes: fn(i32, i32, &RawDocument) -> Vec<u8>,
    ) -> io::Result<()> {
        self.replies = self.replies.wrapping_add(1);
        let until = Instant::now() + self.patience;
        Hurried { inner: &self.stream, until }.write_all(&bytes(self.replies, request_id, reply))
    }
}

/// Waits for the next message, for as long as it takes. `false` when the client has hung up.
fn has_begun(reader: &mut impl BufRead) -> io::Result<bool> {
    loop {
        match reader.fill_buf() {
            Ok(bytes) => return Ok(!bytes.is_empty()),
            Err(error) if has_paused(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn has_paused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// What must be done with by some time: whoever sends or takes a byte now and then is too slow all the same.
struct Hurried<S> {
    inner: S,
    until: Instant,
}

impl<S> Hurried<S> {
    fn check(&self) -> io::Result<()> {
        if Instant::now() < self.until { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

impl<R: Read> Read for Hurried<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.read(buffer)
    }
}

impl<W: Write> Write for Hurried<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
