//! Who a process is, as the server is told: so that it can see whether the process lives.

use std::fs;
use std::os::unix::fs::MetadataExt;

use bson::spec::BinarySubtype;
use bson::{Binary, RawDocumentBuf, rawdoc};
use lockstore::{BootId, Clock, SystemClock};
use uuid::Uuid;

/// A process of this machine. Its number alone does not name it: numbers are used again.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pid: u32,
    /// In ticks since boot, as `/proc` has it; 0 where it cannot be read.
    start_time: u64,
    boot_id: BootId,
    /// Process numbers mean something in their own namespace only; 0 where it cannot be read.
    pid_namespace: u64,
    /// Tells this user of the server from others in the same process. A client that reconnects is known by it.
    instance: Uuid,
}

impl Identity {
    /// This process.
    pub(super) fn of_this_process(clock: &SystemClock) -> Self {
        Self {
            pid: std::process::id(),
            start_time: start_time().unwrap_or(0),
            boot_id: clock.boot_id(),
            pid_namespace: fs::metadata("/proc/self/ns/pid").map_or(0, |found| found.ino()),
            instance: Uuid::new_v4(),
        }
    }

    /// The first message on a control connection.
    pub(super) fn hello(&self) -> RawDocumentBuf {
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let uuid = |bytes: [u8; 16]| Binary { subtype: BinarySubtype::Uuid, bytes: bytes.to_vec() };
        rawdoc! {
            "lockHello": 1,
            "pid": i64::from(self.pid),
            "startTime": long(self.start_time),
            "bootId": uuid(self.boot_id.0),
            "pidNamespace": long(self.pid_namespace),
            "instance": uuid(self.instance.into_bytes()),
            "$db": "admin",
        }
    }
}

/// When this process began: the 22nd field of its `stat`. The 2nd, its name, may contain anything.
fn start_time() -> Option<u64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    behind_name.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_begun_at_some_time() {
        assert!(start_time().unwrap() > 0);
    }
}
