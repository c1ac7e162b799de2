//! The greeting: what a driver may expect of this server.

use bson::{DateTime, RawDocument, RawDocumentBuf, cstr, rawdoc};

use super::Context;
use crate::wire::MESSAGE_BYTES_MAX;

/// `hello`.
pub(super) fn hello(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    greet(context, command, rawdoc! { "isWritablePrimary": true })
}

/// `isMaster`, its older name.
pub(super) fn is_master(context: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    greet(context, command, rawdoc! { "ismaster": true })
}

fn greet(context: Context<'_>, command: &RawDocument, mut reply: RawDocumentBuf) -> RawDocumentBuf {
    if command.get_bool("helloOk").unwrap_or(false) {
        reply.append(cstr!("helloOk"), true);
    }
    let message_bytes = i32::try_from(MESSAGE_BYTES_MAX).unwrap_or(i32::MAX);
    reply.append(cstr!("maxBsonObjectSize"), DOCUMENT_BYTES_MAX);
    reply.append(cstr!("maxMessageSizeBytes"), message_bytes);
    reply.append(cstr!("maxWriteBatchSize"), WRITES_MAX);
    reply.append(cstr!("localTime"), DateTime::now());
    reply.append(cstr!("logicalSessionTimeoutMinutes"), SESSION_MINUTES);
    reply.append(cstr!("connectionId"), context.connection);
    reply.append(cstr!("minWireVersion"), 0_i32);
    reply.append(cstr!("maxWireVersion"), WIRE_VERSION);
    reply.append(cstr!("readOnly"), false);
    reply.append(cstr!("ok"), 1.0);
    reply
}

/// The largest document.
pub(super) const DOCUMENT_BYTES_MAX: i32 = 16 << 20;

/// How many writes one command may have.
const WRITES_MAX: i32 = 100_000;

/// How long a client session lives that nobody uses.
const SESSION_MINUTES: i32 = 30;

/// The language of MongoDB 6.0.
const WIRE_VERSION: i32 = 17;
