//! What a client says of itself to a server.

use bson::spec::BinarySubtype;
use bson::{Binary, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::presence::Process;

/// `lockHello` of a client that is in `process`, or says so.
pub fn hello(instance: u8, process: Process) -> RawDocumentBuf {
    let (instance, boot_id) = ([instance; 16], process.boot_id.0);
    let bytes = |bytes: [u8; 16]| Binary { subtype: BinarySubtype::Generic, bytes: bytes.into() };
    let signed = |number: u64| i64::try_from(number).expect("far below 2^63");
    rawdoc! {
        "lockHello": 1,
        "pid": i64::from(process.pid),
        "startTime": signed(process.started_ticks),
        "bootId": bytes(boot_id),
        "pidNamespace": signed(process.pid_namespace),
        "instance": bytes(instance),
        "$db": "admin",
    }
}

/// The sessions that a reply to `lockHello` gives back; `None` when it is refused.
pub fn sessions_in(reply: &RawDocument) -> Option<Vec<i64>> {
    let sessions = reply.get_array("sessions").ok()?;
    sessions.into_iter().map(|session| session.ok()?.as_i64()).collect()
}
