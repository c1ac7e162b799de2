//! MongoDB's wire protocol, as much of it as a test needs: one command, one reply.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use lockstore::bson::{RawDocument, RawDocumentBuf};

/// Runs a command on the server of a port, on a connection of its own. A server that is stopped takes connections and answers nothing.
pub(super) fn run(
    port: u16,
    command: &RawDocument,
    timeout: Duration,
) -> io::Result<RawDocumentBuf> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let body = command.as_bytes();
    let length = i32::try_from(HEADER_BYTES + body.len()).map_err(io::Error::other)?;
    let mut message = Vec::with_capacity(HEADER_BYTES + body.len());
    // Length, request, the request that is answered, kind of message; flags; kind of section.
    for word in [length, 1, 0, OP_MSG, 0] {
        message.extend_from_slice(&word.to_le_bytes());
    }
    message.push(0);
    message.extend_from_slice(body);
    stream.write_all(&message)?;

    let mut header = [0; HEADER_BYTES];
    stream.read_exact(&mut header)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let rest = usize::try_from(i32::from_le_bytes(length)).map_err(io::Error::other)?;
    let mut document = vec![0; rest.max(length.len())];
    document[..length.len()].copy_from_slice(&length);
    stream.read_exact(&mut document[length.len()..])?;
    RawDocumentBuf::from_bytes(document).map_err(io::Error::other)
}

/// What stands before the document of a message.
const HEADER_BYTES: usize = 21;
const OP_MSG: i32 = 2013;
