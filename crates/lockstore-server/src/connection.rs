//! One client: its messages, and the replies to them.
//!
//! A driver's connection has one message answered after the other. One that has said `lockHello` has many calls outstanding:
//! what can be answered at once is, and what must wait does so beside (`waiting.rs`), so that replies come in any order.

mod blocking;
mod output;
mod waiting;

use std::cell::OnceCell;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::{self, Scope};
use std::time::Instant;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{ErrorCode, Started, Store, Waits};

use crate::commands::{self, Context, failure};
use crate::memory::Memory;
use crate::options::ServerOptions;
use crate::presence::{Joined, Presence, Presences};
use crate::wire::{Header, Message, Query, Request, WireError};
use output::Output;
use waiting::Waiting;

/// What all connections of a server share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service<'s> {
    pub(crate) store: &'s Store,
    pub(crate) memory: &'s Memory,
    pub(crate) presences: &'s Presences,
    pub(crate) options: &'s ServerOptions,
    /// How many calls wait, on all connections.
    pub(crate) waiting: &'s Arc<AtomicUsize>,
}

/// A connection, served by a thread of its own.
#[derive(Debug)]
pub(crate) struct Connection<'s> {
    service: Service<'s>,
    stream: &'s UnixStream,
    output: &'s Output<'s>,
    number: i32,
    kind: Kind<'s>,
    /// The presence of its client, if it is a control connection. It ends with the connection.
    presence: OnceCell<Presence>,
    /// Whose it is, once it has said so.
    joined: OnceCell<Joined>,
}

/// What a client does with its connection.
#[derive(Debug)]
enum Kind<'s> {
    /// It waits for each reply before it sends the next message, as drivers do.
    Ordinary,
    /// It has many calls outstanding. Those that wait are here once there was one.
    Control(Option<Waiting<'s>>),
}

/// Why a connection has ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    #[error("the connection broke: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("the client hung up before it had its reply")]
    HungUp,
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::HungUp,
            _ => Self::Io(error),
        }
    }
}

/// Answers message by message, until the client hangs up.
pub(crate) fn serve(service: Service<'_>, stream: &UnixStream, number: i32) -> Result<(), Ended> {
    stream.set_read_timeout(Some(service.options.patience))?;
    let output = Output::new(stream, service.memory, service.options.patience)?;
    thread::scope(|scope| {
        let kind = Kind::Ordinary;
        let output = &output;
        // What waits ends with it.
        let (presence, joined) = (OnceCell::new(), OnceCell::new());
        Connection { service, stream, output, number, kind, presence, joined }.serve(scope)
    })
}

impl<'s> Connection<'s> {
    fn serve<'e>(mut self, scope: &'s Scope<'s, 'e>) -> Result<(), Ended> {
        let patience = self.service.options.patience;
        let mut reader = BufReader::new(self.stream);
        while has_begun(&mut reader)? {
            let mut message = Hurried { inner: &mut reader, until: Instant::now() + patience };
            let header = Header::read(&mut message)??;
            let _share = self.service.memory.take(header.body_len);
            let body = header.read_body(&mut message)?;
            self.answer(header.request_id, header.understand(body)?, scope)?;
        }
        Ok(())
    }

    fn answer<'e>(
        &mut self,
        request_id: i32,
        request: Request,
        scope: &'s Scope<'s, 'e>,
    ) -> Result<(), Ended> {
        let (begun, style) = match request {
            Request::Message(Message { command, more_to_come }) => {
                let style = if more_to_come { Style::Silent } else { Style::Message };
                (self.begin(request_id, &command), style)
            }
            Request::Query(Query { database, command }) => {
                let started = commands::start_in(self.context(), &database, &command);
                (Begun::Here(started), Style::Query)
            }
        };
        let Begun::Here(started) = begun else { return Ok(()) };
        let reply = match (started, &mut self.kind) {
            (Started::Reply(reply), _) => reply,
            (Started::Pending(call), Kind::Control(waiting)) => {
                let output = self.output;
                let waiting =
                    waiting.get_or_insert_with(|| Waiting::start(self.service, output, scope));
                match waiting.add(request_id, call) {
                    Ok(()) => return Ok(()),
                    Err(refusal) => refusal,
                }
            }
            (Started::Pending(call), Kind::Ordinary) => {
                let Some(reply) = blocking::wait(call, self.stream)? else {
                    // To who has only shut down its own half, or when it is the server that ends.
                    let _ = self.output.send(request_id, &interrupted(), style);
                    return Err(Ended::HungUp);
                };
                reply
            }
        };
        Ok(self.output.send(request_id, &reply, style)?)
    }

    /// Begins a command: those about this connection are answered here.
    fn begin(&mut self, request_id: i32, command: &RawDocument) -> Begun {
        let first = command.iter().next().and_then(Result::ok);
        let reply = match first.map(|(name, value)| (name.as_str(), value)) {
            Some(("lockHello", _)) => self.hello(command),
            Some(("lockKill", killed)) => match self.kill(killed.as_i32(), request_id) {
                Some(reply) => reply,
                None => return Begun::Elsewhere,
            },
            Some(_) | None => return Begun::Here(commands::start(self.context(), command)),
        };
        Begun::Here(Started::Reply(reply))
    }

    /// `lockHello`: the client is one of ours, and has many calls outstanding from here on.
    fn hello(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let reply = commands::greet(self.context(), command);
        if self.presence.get().is_some()
            && let Kind::Ordinary = self.kind
        {
            self.kind = Kind::Control(None);
        }
        reply
    }

    /// `lockKill`: the client gives up the wait of a request. The executor answers, where there is one.
    fn kill(&mut self, killed: Option<i32>, request_id: i32) -> Option<RawDocumentBuf> {
        let (Kind::Control(waiting), Some(killed)) = (&mut self.kind, killed) else {
            let message =
                "lockKill takes the number of a request on a connection that has said lockHello";
            return Some(failure(ErrorCode::FAILED_TO_PARSE, message));
        };
        match waiting {
            Some(waiting) => waiting.kill(killed, request_id),
            None => return Some(rawdoc! { "ok": 1.0 }),
        }
        None
    }

    fn context(&self) -> Context<'_> {
        Context {
            store: self.service.store,
            connection: self.number,
            stream: self.stream,
            waits: match self.kind {
                Kind::Ordinary => Waits::Commits,
                Kind::Control(_) => Waits::Nothing,
            },
            presences: self.service.presences,
            joined: &self.joined,
            presence: &self.presence,
        }
    }
}

/// Where a command is answered.
enum Begun {
    Here(Started),
    /// By the executor.
    Elsewhere,
}

/// How a message is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Message,
    Query,
    /// Not at all: the client does not want to know.
    Silent,
}

/// The reply of a call whose wait ends with its connection, or with the server: drivers ask again.
fn interrupted() -> RawDocumentBuf {
    let mut reply = failure(ErrorCode::new(INTERRUPTED_AT_SHUTDOWN), "the server stops");
    reply.append(bson::cstr!("errorLabels"), bson::RawArrayBuf::from_iter(["RetryableWriteError"]));
    reply
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

/// What must have come by some time: whoever sends a byte now and then is too slow all the same. What has come is read, though this thread be
/// late.
struct Hurried<'r, R> {
    inner: &'r mut BufReader<R>,
    until: Instant,
}

impl<R: Read> Read for Hurried<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inner.buffer().is_empty() && Instant::now() >= self.until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.inner.read(buffer)
    }
}

/// MongoDB's code for what a server that stops has not done.
const INTERRUPTED_AT_SHUTDOWN: i32 = 11600;

#[cfg(test)]
mod tests;
