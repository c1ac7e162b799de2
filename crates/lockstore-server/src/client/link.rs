//! One connection to a server: a message goes out, and its reply comes in.

use std::fmt::Display;
use std::io::{self, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::limit::Limit;
use crate::presence::Hello;
use crate::wire::{Header, Message, Request};

/// A connection to a process of this user.
#[derive(Debug)]
pub(super) struct Link {
    reader: BufReader<UnixStream>,
    /// The process at the other end.
    pid: u32,
    requests: i32,
    /// How long a read of the socket takes at most, as it was last set.
    read_timeout: Option<Duration>,
}

/// Why there is no reply. The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// The server cannot have got the message.
    #[error("the message was not sent: {0}")]
    NotSent(io::Error),
    /// The connection broke. The server may have got the message.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// The time is over.
    #[error("no answer")]
    Silent,
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NoLink {
    /// Nobody listens.
    Nobody,
    /// So many knock already that the server has no room for one more.
    Crowded,
    /// The process that listens belongs to this user.
    Foreign(u32),
    Io(io::Error),
}

impl Link {
    /// Knocks at the socket; whoever listens need not have noticed yet. Never blocks.
    pub(super) fn knock(socket: &Path) -> Result<Self, NoLink> {
        use rustix::io::Errno;
        let address = SocketAddrUnix::new(socket).map_err(|error| NoLink::Io(error.into()))?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let stream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let stream = stream.map_err(|error| NoLink::Io(error.into()))?;
        match rustix::net::connect(&stream, &address) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::CONNREFUSED) => return Err(NoLink::Nobody),
            Err(Errno::AGAIN) => return Err(NoLink::Crowded),
            Err(error) => return Err(NoLink::Io(error.into())),
        }
        let stream = UnixStream::from(stream);
        stream.set_nonblocking(false).map_err(NoLink::Io)?;
        let peer = rustix::net::sockopt::socket_peercred(&stream);
        let peer = peer.map_err(|error| NoLink::Io(error.into()))?;
        if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
            return Err(NoLink::Foreign(peer.uid.as_raw()));
        }
        let pid = u32::try_from(peer.pid.as_raw_pid()).unwrap_or(0);
        let reader = BufReader::with_capacity(READ_BYTES, stream);
        Ok(Self { reader, pid, requests: 0, read_timeout: None })
    }

    /// The process at the other end.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Says whose connection this is, and sees whether the server has let us in: it answers. What it does not believe it refuses, and
    /// says why.
    pub(super) fn greet(
        &mut self,
        hello: &Hello,
        limit: Limit<'_>,
    ) -> Result<Result<(), String>, LinkError> {
        let reply = self.call(&hello.write_join(), limit)?;
        let refusal = reply.get_str("errmsg").map(str::to_owned);
        Ok(refusal.map_or(Ok(()), Err))
    }

    /// Sends a command, and waits for its reply.
    pub(super) fn call(
        &mut self,
        command: &RawDocument,
        limit: Limit<'_>,
    ) -> Result<RawDocumentBuf, LinkError> {
        self.requests = self.requests.wrapping_add(1);
        let requests = self.requests;
        self.send(&Message::of(requests, 0, command), limit)?;
        let (answers, reply) = self.receive(limit)?;
        if answers == requests { Ok(reply) } else { Err(nonsense("it answers something else")) }
    }

    fn send(&mut self, mut bytes: &[u8], limit: Limit<'_>) -> Result<(), LinkError> {
        let stream = self.reader.get_mut();
        let mut is_out = false;
        // Nearly always there is room: the time is set only when there is none.
        while !bytes.is_empty() {
            let sent = rustix::net::send(&*stream, bytes, SEND_FLAGS);
            match sent.map_err(io::Error::from) {
                Ok(sent) => {
                    is_out = true;
                    bytes = &bytes[sent..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for_room(stream, limit).map_err(LinkError::Broken)?;
                    if limit.is_over() {
                        return Err(LinkError::Silent);
                    }
                }
                Err(error) if is_out => return Err(LinkError::Broken(error)),
                Err(error) => return Err(LinkError::NotSent(error)),
            }
        }
        Ok(())
    }

    /// Waits for a message, and gives the number of the request that it answers.
    fn receive(&mut self, limit: Limit<'_>) -> Result<(i32, RawDocumentBuf), LinkError> {
        self.receive_timed(limit, true)
    }

    /// Waits for a message of a server that need not have anything to say.
    pub(super) fn receive_quietly(
        &mut self,
        limit: Limit<'_>,
    ) -> Result<(i32, RawDocumentBuf), LinkError> {
        self.receive_timed(limit, false)
    }

    fn receive_timed(
        &mut self,
        limit: Limit<'_>,
        warns: bool,
    ) -> Result<(i32, RawDocumentBuf), LinkError> {
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => LinkError::Silent,
            _ => LinkError::Broken(error),
        };
        let mut timed = Timed { link: self, limit, warns };
        let header = Header::read(&mut timed).map_err(broken)?.map_err(nonsense)?;
        let body = header.read_body(&mut timed).map_err(broken)?;
        match header.understand(body).map_err(nonsense)? {
            Request::Message(message) => Ok((header.response_to, message.command)),
            Request::Query(_) => Err(nonsense("it asks")),
        }
    }

    /// The same connection, for another thread to send on.
    pub(super) fn sender(&self) -> io::Result<UnixStream> {
        self.reader.get_ref().try_clone()
    }
}

/// Reads until the limit is over.
struct Timed<'l> {
    link: &'l mut Link,
    limit: Limit<'l>,
    /// Whether it is said when nothing comes for a while.
    warns: bool,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.limit.left();
            if self.link.reader.buffer().is_empty() {
                if left.is_some_and(|left| left.is_zero()) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let timeout = Some(left.map_or(LOOK, |left| left.min(LOOK)));
                if self.link.read_timeout != timeout {
                    self.link.reader.get_ref().set_read_timeout(timeout)?;
                    self.link.read_timeout = timeout;
                }
            }
            match self.link.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.warns && left.is_none() {
                        let pid = self.link.pid;
                        tracing::warn!(pid, "the server has not answered for 10 s; still waiting");
                    }
                }
                read => return read,
            }
        }
    }
}

/// Waits until the socket takes more bytes, or the limit is over.
pub(super) fn wait_for_room(stream: &UnixStream, limit: Limit<'_>) -> io::Result<()> {
    let left = limit.left().map_or(LOOK, |left| left.min(LOOK));
    let mut ready = [rustix::event::PollFd::new(stream, rustix::event::PollFlags::OUT)];
    let left = left.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    match rustix::event::poll(&mut ready, Some(&left)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends what there is room for.
pub(super) fn send_some(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    match rustix::net::send(stream, bytes, SEND_FLAGS) {
        Ok(sent) => Ok(sent),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn nonsense<W: Display>(what: W) -> LinkError {
    let message = format!("the server sent what is no reply: {what}");
    LinkError::Broken(io::Error::new(io::ErrorKind::InvalidData, message))
}

/// A signal for who is gone is not wanted, and to wait for room is ours.
const SEND_FLAGS: rustix::net::SendFlags =
    rustix::net::SendFlags::NOSIGNAL.union(rustix::net::SendFlags::DONTWAIT);

/// How long one read or write waits, before it is said that it still does.
const LOOK: Duration = Duration::from_secs(10);

/// Replies are small mostly.
const READ_BYTES: usize = 8 << 10;
