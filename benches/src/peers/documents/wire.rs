//! MongoDB's wire protocol, as much of it as a bench needs: one command, one reply.

use std::io::{Read, Write};
use std::net::TcpStream;

use bson::{RawDocument, RawDocumentBuf};

use crate::Result;

/// A connection to a server.
#[derive(Debug)]
pub(in crate::peers) struct Connection {
    stream: TcpStream,
    message: Vec<u8>,
    requests: i32,
}

impl Connection {
    /// Connects to a server on this machine.
    pub(in crate::peers) fn new(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, message: Vec::new(), requests: 0 })
    }

    /// Runs a command, which names its database in `$db`. Gives the reply if it tells of no error.
    pub(in crate::peers) fn run(&mut self, command: &RawDocument) -> Result<RawDocumentBuf> {
        self.requests = self.requests.wrapping_add(1);
        let body = command.as_bytes();
        let length = i32::try_from(HEADER_BYTES + body.len())?;
        self.message.clear();
        // Length, request, the request that is answered, kind of message; flags; kind of section.
        for word in [length, self.requests, 0, OP_MSG, 0] {
            self.message.extend_from_slice(&word.to_le_bytes());
        }
        self.message.push(0);
        self.message.extend_from_slice(body);
        self.stream.write_all(&self.message)?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_le_bytes(length))?;
        self.message.resize(length.saturating_sub(4), 0);
        self.stream.read_exact(&mut self.message)?;
        let body = self.message.get(HEADER_BYTES - 4..).ok_or("the reply is too short")?;
        let reply = RawDocumentBuf::from_bytes(body.to_vec())?;
        let failed = reply.get("writeErrors")?.is_some();
        if failed || reply.get_f64("ok")? < 1.0 {
            return Err(format!("mongod answers {reply:?}").into());
        }
        Ok(reply)
    }
}

/// What stands before the document of a message.
const HEADER_BYTES: usize = 21;
const OP_MSG: i32 = 2013;
