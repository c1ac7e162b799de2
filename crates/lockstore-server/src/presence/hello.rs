//! What a client says of itself, compared with what the kernel says of it.

use std::io;
use std::os::unix::net::UnixStream;

use bson::raw::{CStr, cstr};
use bson::spec::BinarySubtype;
use bson::{Binary, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::BootId;
use lockstore::presence::{Instance, Presence, Process};
use rustix::process::{Pid, geteuid};
use uuid::Uuid;

/// `lockHello {pid, startTime, bootId, pidNamespace, instance}`, or `lockJoin` with the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    claimed: Presence,
}

/// Why a client is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("{field} is missing, or is not {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error("the kernel does not say whose connection this is: {0}")]
    Unknown(io::Error),
    #[error("it is a process of user {found}, where user {expected} or root was expected")]
    OtherUser { found: u32, expected: u32 },
    #[error("it says that its {what} is {claimed}, where the kernel says {found}")]
    Lie { what: &'static str, claimed: String, found: String },
}

impl Hello {
    /// That of a new client in this process.
    pub(crate) fn of_a_new_client() -> io::Result<Self> {
        let instance = Instance(Uuid::new_v4().into_bytes());
        Ok(Self { claimed: Presence { instance, process: Process::current()? } })
    }

    /// `lockHello`.
    pub(crate) fn write(&self) -> RawDocumentBuf {
        self.command(cstr!("lockHello"))
    }

    /// `lockJoin`.
    pub(crate) fn write_join(&self) -> RawDocumentBuf {
        self.command(cstr!("lockJoin"))
    }

    /// Which client says so.
    pub(crate) fn instance(&self) -> Instance {
        self.claimed.instance
    }

    fn command(&self, name: &CStr) -> RawDocumentBuf {
        let Presence { instance, process } = self.claimed;
        let long = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let uuid = |bytes: [u8; 16]| Binary { subtype: BinarySubtype::Uuid, bytes: bytes.into() };
        rawdoc! {
            name: 1,
            "pid": i64::from(process.pid),
            "startTime": long(process.started_ticks),
            "bootId": uuid(process.boot_id.0),
            "pidNamespace": long(process.pid_namespace),
            "instance": uuid(instance.0),
            "$db": "admin",
        }
    }

    /// Reads the command.
    pub(crate) fn read(command: &RawDocument) -> Result<Self, HelloError> {
        let process = Process {
            pid: u32::try_from(whole(command, "pid")?)
                .ok()
                .filter(|pid| (1..=Process::PID_MAX).contains(pid))
                .ok_or(HelloError::Field { field: "pid", expected: "a pid" })?,
            started_ticks: whole(command, "startTime")?,
            boot_id: BootId(bytes(command, "bootId")?),
            pid_namespace: whole(command, "pidNamespace")?,
        };
        let instance = Instance(bytes(command, "instance")?);
        Ok(Self { claimed: Presence { instance, process } })
    }

    /// Whose presence it is. What the kernel can tell is read from it, and a claim that differs is refused; a process in another
    /// pid namespace is believed, as far as it cannot be looked at.
    pub(super) fn check(&self, peer: &UnixStream) -> Result<Presence, HelloError> {
        let peer = rustix::net::sockopt::socket_peercred(peer)
            .map_err(|error| HelloError::Unknown(error.into()))?;
        let own = geteuid();
        if peer.uid != own && !peer.uid.is_root() {
            let (found, expected) = (peer.uid.as_raw(), own.as_raw());
            return Err(HelloError::OtherUser { found, expected });
        }
        let server = Process::current().map_err(HelloError::Unknown)?;
        self.compare(u32::try_from(Pid::as_raw(Some(peer.pid))).unwrap_or(0), server)
    }

    /// `peer` is the pid by which the server sees the client; 0 when it does not.
    fn compare(&self, peer: u32, server: Process) -> Result<Presence, HelloError> {
        let Presence { instance, process: claimed } = self.claimed;
        if claimed.boot_id != server.boot_id {
            return Err(lie("boot id", claimed.boot_id, server.boot_id));
        }
        if claimed.pid_namespace == server.pid_namespace {
            if claimed.pid != peer {
                return Err(lie("pid", claimed.pid, peer));
            }
            let process = Process::with_pid(peer).map_err(HelloError::Unknown)?;
            if claimed.started_ticks != process.started_ticks {
                return Err(lie("start time", claimed.started_ticks, process.started_ticks));
            }
            return Ok(Presence { instance, process });
        }
        // One in a namespace below the server's has a pid here too, by which it can be looked at.
        let seen = if peer == 0 { None } else { Process::with_pid(peer).ok() };
        Ok(Presence { instance, process: seen.unwrap_or(claimed) })
    }
}

fn lie(
    what: &'static str,
    claimed: impl std::fmt::Debug,
    found: impl std::fmt::Debug,
) -> HelloError {
    HelloError::Lie { what, claimed: format!("{claimed:?}"), found: format!("{found:?}") }
}

fn whole(command: &RawDocument, field: &'static str) -> Result<u64, HelloError> {
    let value = match command.get(field) {
        Ok(Some(RawBsonRef::Int32(value))) => Some(i64::from(value)),
        Ok(Some(RawBsonRef::Int64(value))) => Some(value),
        _ => None,
    };
    let value = value.and_then(|value| u64::try_from(value).ok());
    value.ok_or(HelloError::Field { field, expected: "a whole number, not negative" })
}

fn bytes(command: &RawDocument, field: &'static str) -> Result<[u8; 16], HelloError> {
    let value = match command.get(field) {
        Ok(Some(RawBsonRef::Binary(binary))) => <[u8; 16]>::try_from(binary.bytes).ok(),
        _ => None,
    };
    value.ok_or(HelloError::Field { field, expected: "16 bytes" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(process: Process) -> Hello {
        Hello { claimed: Presence { instance: Instance([1; 16]), process } }
    }

    #[track_caller]
    fn refused(process: Process, peer: u32, server: Process) -> &'static str {
        match hello(process).compare(peer, server) {
            Err(HelloError::Lie { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_client_says_of_itself_is_read_as_it_was_written() {
        let said = Hello::of_a_new_client().unwrap();
        assert_eq!(Hello::read(&said.write()).unwrap(), said);
        assert_eq!(said.claimed.process, Process::current().unwrap());
    }

    #[test]
    fn who_lies_about_what_the_kernel_knows_is_refused() {
        let own = Process::current().unwrap();
        assert_eq!(hello(own).compare(own.pid, own).unwrap().process, own);
        assert_eq!(refused(Process { pid: own.pid + 1, ..own }, own.pid, own), "pid");
        assert_eq!(refused(own, 0, own), "pid");
        let early = Process { started_ticks: own.started_ticks - 1, ..own };
        assert_eq!(refused(early, own.pid, own), "start time");
        assert_eq!(refused(Process { boot_id: BootId([9; 16]), ..own }, own.pid, own), "boot id");
    }

    #[test]
    fn a_process_in_another_namespace_is_what_the_server_sees_or_what_it_says() {
        let own = Process::current().unwrap();
        let inside = Process { pid: 7, pid_namespace: own.pid_namespace + 1, ..own };
        assert_eq!(hello(inside).compare(own.pid, own).unwrap().process, own, "it is seen here");
        assert_eq!(hello(inside).compare(0, own).unwrap().process, inside, "it is not");
    }
}
