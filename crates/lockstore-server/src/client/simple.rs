//! The other end of a connection.

use std::io::{self, BufReader, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bson::{RawDocument, RawDocumentBuf};

use crate::wire::{Header, Message, Request, WireError};

/// A connection to a server: commands go out, replies come in, one after the other.
///
/// ```
/// use bson::rawdoc;
/// use lockstore::Store;
/// use lockstore_server::{Client, Server, ServerOptions};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("jobs.redb");
/// let server = Server::start(Store::open(&path)?, &path, ServerOptions::new())?;
/// let mut client = Client::connect(server.socket())?;
/// let reply = client.run_command(&rawdoc! { "insert": "jobs", "documents": [{ "_id": 1 }], "$db": "factory" })?;
/// assert_eq!(reply.get_i32("n")?, 1); // durable
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
    requests: i32,
}

/// Why there is no reply. Whether the command was done is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection is broken.
    #[error("the connection to the server is broken: {0}")]
    Broken(#[from] io::Error),
    /// What came is no reply.
    #[error("the server sent what is no reply: {reason}")]
    NoReply {
        /// What is wrong with it.
        reason: String,
    },
}

impl Client {
    /// Connects to the socket of a server.
    ///
    /// # Errors
    ///
    /// Nobody listens there, or we may not come in.
    pub fn connect(socket: impl AsRef<Path>) -> io::Result<Self> {
        let stream = BufReader::new(UnixStream::connect(socket)?);
        Ok(Self { stream, requests: 0 })
    }

    /// Runs a command, which names its database in `$db`, and waits for the reply, which tells of errors too.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. The connection is of no use any more.
    pub fn run_command(&mut self, command: &RawDocument) -> Result<RawDocumentBuf, ClientError> {
        self.requests = self.requests.wrapping_add(1);
        self.stream.get_mut().write_all(&Message::of(self.requests, 0, command))?;
        let header = Header::read(&mut self.stream)??;
        let body = header.read_body(&mut self.stream)?;
        match header.understand(body)? {
            Request::Message(message) if header.response_to == self.requests => Ok(message.command),
            Request::Message(_) | Request::Query(_) => {
                Err(ClientError::NoReply { reason: "it answers something else".into() })
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.get_ref().as_fd()
    }
}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        Self::NoReply { reason: error.to_string() }
    }
}
