//! The greeting: what a driver may expect of this server.
//!
//! It presents itself as a replica set of one member, since drivers use sessions, transactions and retryable writes with nothing
//! less. Nothing is said of `topologyVersion`, so that drivers ask now and then instead of waiting for a stream of greetings, nor of
//! a cluster's time, for there is no other member that could lag behind.

use bson::{
    DateTime, RawArrayBuf, RawDocument, RawDocumentBuf, Timestamp, cstr, oid::ObjectId, rawdoc,
};

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
    let me = context.address();
    reply.append(cstr!("setName"), SET_NAME);
    reply.append(cstr!("setVersion"), SET_VERSION);
    reply.append(cstr!("secondary"), false);
    reply.append(cstr!("hosts"), RawArrayBuf::from_iter([me.as_str()]));
    reply.append(cstr!("primary"), me.as_str());
    reply.append(cstr!("me"), me.as_str());
    reply.append(cstr!("electionId"), ELECTION);
    reply.append(cstr!("lastWrite"), last_write());
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

/// Up to when everything is here that was written: now.
pub(super) fn last_write() -> RawDocumentBuf {
    let now = DateTime::now();
    let time = u32::try_from(now.timestamp_millis() / 1_000).unwrap_or(u32::MAX);
    let moment = rawdoc! { "ts": Timestamp { time, increment: 1 }, "t": TERM };
    rawdoc! {
        "opTime": moment.clone(),
        "lastWriteDate": now,
        "majorityOpTime": moment,
        "majorityWriteDate": now,
    }
}

/// The name of the set, for `replicaSet=`.
pub(super) const SET_NAME: &str = "lockstore";

/// It has always had the one member.
pub(super) const SET_VERSION: i32 = 1;

/// That member was elected once.
pub(super) const TERM: i64 = 1;
const ELECTION: ObjectId = ObjectId::from_bytes([0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 1]);

/// The largest document.
pub(super) const DOCUMENT_BYTES_MAX: i32 = 16 << 20;

/// How many writes one command may have.
const WRITES_MAX: i32 = 100_000;

/// How long a client session lives that nobody uses.
const SESSION_MINUTES: i32 = 30;

/// The language of MongoDB 6.0.
const WIRE_VERSION: i32 = 17;
