//! MongoDB's wire protocol: bytes to messages, and back. Nothing here does anything with a message.
//!
//! Every message has a header of 16 bytes: its length, a number of its own, the number of what it answers, and its
//! kind. Drivers speak `OP_MSG`, and `OP_QUERY` for the first greeting.

mod message;
mod query;

use std::io::{self, Read};

pub(crate) use message::Message;
pub(crate) use query::Query;

/// What a client sends.
#[derive(Debug)]
pub(crate) enum Request {
    Message(Message),
    Query(Query),
}

/// Says in one line what a message asks or answers, header included, for tools that look at what goes over a socket. Takes
/// any bytes whatever.
///
/// ```
/// let error = lockstore_server::describe_message(&[0; 16]).unwrap_err();
/// assert!(error.starts_with("a message says that it is 0 bytes long"));
/// ```
///
/// # Errors
///
/// What is wrong with the message, in a sentence.
pub fn describe_message(mut bytes: &[u8]) -> Result<String, String> {
    let header = Header::read(&mut bytes).map_err(|_| "the header is cut off".to_owned())?;
    let header = header.map_err(|error| error.to_string())?;
    let body = header.read_body(&mut bytes).map_err(|_| "the body is cut off".to_owned())?;
    let (number, answers) = (header.request_id, header.response_to);
    match header.understand(body).map_err(|error| error.to_string())? {
        Request::Message(Message { command, more_to_come }) => {
            let waits = if more_to_come { ", waits for no reply" } else { "" };
            Ok(format!("message {number} to {answers}{waits}: {command:?}"))
        }
        Request::Query(Query { database, command }) => {
            Ok(format!("query {number} of {database:?}: {command:?}"))
        }
    }
}

/// A header, its length checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// How many bytes come behind the header.
    pub(crate) body_len: usize,
    pub(crate) request_id: i32,
    /// The message that it answers.
    pub(crate) response_to: i32,
    op_code: i32,
    /// As it came: the checksum of a message counts it too.
    received: [u8; HEADER_LEN],
}

/// Why a message cannot be understood: the client and we do not speak the same language, and must part.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(
        "a message says that it is {0} bytes long; {HEADER_LEN} to {MESSAGE_BYTES_MAX} are allowed"
    )]
    Length(i32),
    #[error(
        "messages of the kind {0} are not understood, only OP_MSG (2013) and a greeting by OP_QUERY (2004)"
    )]
    OpCode(i32),
    #[error("the checksum of a message is {found:#010x} and should be {expected:#010x}")]
    Checksum { found: u32, expected: u32 },
    #[error("a message is malformed: {0}")]
    Malformed(&'static str),
}

impl Header {
    /// Reads a header.
    pub(crate) fn read(reader: &mut impl Read) -> io::Result<Result<Self, WireError>> {
        let mut bytes = [0; HEADER_LEN];
        reader.read_exact(&mut bytes)?;
        Ok(Self::parse(bytes))
    }

    fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, WireError> {
        let [length, request_id, response_to, op_code] = numbers(bytes);
        let whole = usize::try_from(length).unwrap_or(0);
        if !(HEADER_LEN..=MESSAGE_BYTES_MAX).contains(&whole) {
            return Err(WireError::Length(length));
        }
        let body_len = whole - HEADER_LEN;
        Ok(Self { body_len, request_id, response_to, op_code, received: bytes })
    }

    /// Reads what comes behind the header. Memory grows with what has come, and not with what was announced.
    pub(crate) fn read_body(&self, reader: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut body = Vec::with_capacity(self.body_len.min(TRUSTED));
        reader.take(self.body_len as u64).read_to_end(&mut body)?;
        if body.len() < self.body_len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(body)
    }

    /// What the message says whose body this is.
    pub(crate) fn understand(&self, body: Vec<u8>) -> Result<Request, WireError> {
        match self.op_code {
            OP_MSG => Message::parse(self, body).map(Request::Message),
            OP_QUERY => Query::parse(&body).map(Request::Query),
            other => Err(WireError::OpCode(other)),
        }
    }
}

/// A message of `op_code` that answers `response_to`.
fn assemble(op_code: i32, request_id: i32, response_to: i32, parts: &[&[u8]]) -> Vec<u8> {
    let length = HEADER_LEN + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    let length = i32::try_from(length).expect("a message has less than 2 GiB");
    for number in [length, request_id, response_to, op_code] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn numbers(bytes: [u8; HEADER_LEN]) -> [i32; 4] {
    let number =
        |at: usize| i32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    [number(0), number(4), number(8), number(12)]
}

/// Takes the first bytes off, if there are so many.
fn split_array<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    Some((*first, rest))
}

/// Takes a document off the front, without looking into it: its length is checked, its fields are not.
fn split_document(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, _) = split_array::<4>(bytes)?;
    let length = usize::try_from(i32::from_le_bytes(length)).ok()?;
    let fits = (DOCUMENT_LEN_MIN..=bytes.len()).contains(&length);
    fits.then(|| bytes.split_at(length))
}

/// Takes a C string off the front.
fn split_name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

/// The longest message, as MongoDB tells drivers.
pub(crate) const MESSAGE_BYTES_MAX: usize = 48_000_000;

const HEADER_LEN: usize = 16;
const DOCUMENT_LEN_MIN: usize = 5;

/// So many bytes are made room for before any has come.
const TRUSTED: usize = 64 << 10;

const OP_REPLY: i32 = 1;
const OP_QUERY: i32 = 2004;
const OP_MSG: i32 = 2013;

#[cfg(test)]
mod tests;
