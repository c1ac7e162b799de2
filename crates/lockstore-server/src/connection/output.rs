//! What goes to a client.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bson::RawDocument;

use super::{Style, has_paused};
use crate::memory::Memory;
use crate::wire::{Message, Query};

/// The sending half of a connection. Several threads answer on it, a whole message at a time.
#[derive(Debug)]
pub(super) struct Output<'s> {
    stream: &'s UnixStream,
    memory: &'s Memory,
    patience: Duration,
    /// The number of the last reply. Who has it locked writes.
    replies: Mutex<i32>,
}

impl<'s> Output<'s> {
    pub(super) fn new(
        stream: &'s UnixStream,
        memory: &'s Memory,
        patience: Duration,
    ) -> io::Result<Self> {
        stream.set_write_timeout(Some(patience.min(SHORT_PATIENCE)))?;
        Ok(Self { stream, memory, patience, replies: Mutex::new(0) })
    }

    /// Sends the reply to a request.
    ///
    /// # Errors
    ///
    /// The client is gone, or does not read. Nothing more can be sent then.
    pub(super) fn send(
        &self,
        request_id: i32,
        reply: &RawDocument,
        style: Style,
    ) -> io::Result<()> {
        let bytes: fn(i32, i32, &RawDocument) -> Vec<u8> = match style {
            Style::Message => Message::of,
            Style::Query => Query::reply,
            Style::Silent => return Ok(()),
        };
        let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
        *replies = replies.wrapping_add(1);
        let bytes = bytes(*replies, request_id, reply);
        let _share = self.memory.overdraw(bytes.len());
        let sent = self.write(&bytes);
        if sent.is_err() {
            // Part of a message may be out: nobody must send another behind it, and who reads is to stop.
            let _ = self.stream.shutdown(std::net::Shutdown::Both);
        }
        sent
    }

    fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        let until = Instant::now() + self.patience;
        while !bytes.is_empty() {
            match (&mut &*self.stream).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if !has_paused(&error) => return Err(error),
                Err(_) if self.memory.is_short() => return Err(io::ErrorKind::TimedOut.into()),
                Err(_) => {}
            }
            if !bytes.is_empty() && Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }
}

/// How long a client may pause in reading while memory is short.
const SHORT_PATIENCE: Duration = Duration::from_secs(1);
