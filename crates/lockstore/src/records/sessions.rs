//! The record of a session: whose presence it is, and how it stands.

use bincode::{Decode, Encode};
use lockcore::{Instant, SessionId};

use super::{NUMBER_MAX, Record, RecordError, bounded};
use crate::codec::CodecError;
use crate::rows::{RowKey, TableId};

/// Sessions: the presence of one process, in one connected program of its. The session's number is the row's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) struct SessionRecordV1 {
    /// Tells one client in a process from another, also when it comes back after the connection broke.
    pub(crate) instance: [u8; 16],
    /// The process, as it is called in `pid_namespace`.
    pub(crate) pid: u32,
    /// When the process began, in clock ticks since the boot: its pid alone may be another's later.
    pub(crate) started_ticks: u64,
    /// The boot in which it runs.
    pub(crate) boot_id: [u8; 16],
    /// The inode of the namespace in which it has its pid.
    pub(crate) pid_namespace: u64,
    /// When the session was opened, by the wall clock.
    pub(crate) opened_wall_ms: u64,
    /// How it stands.
    pub(crate) standing: StandingV1,
}

/// Part of [`SessionRecordV1`]: whether anybody speaks for it. The order of the variants is part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum StandingV1 {
    /// Its process is connected.
    Present,
    /// It is not: the session ends at this time by the clock that counts from the boot.
    Lost {
        /// In ms.
        ends_boot_ms: u64,
    },
    /// Its end has begun.
    Closing,
}

impl Record for SessionRecordV1 {
    const WHAT: &'static str = "session";
    const TABLE: TableId = TableId::Sessions;

    fn check(&self) -> Result<(), CodecError> {
        let pid_max = i32::MAX.unsigned_abs();
        let within = (1..=pid_max).contains(&self.pid);
        bounded("pid", within, self.pid, format_args!("1 to {pid_max}"))?;
        match self.standing {
            StandingV1::Present | StandingV1::Closing => Ok(()),
            StandingV1::Lost { ends_boot_ms } => {
                let latest = Instant::MAX.millis_ceil();
                let expected = format_args!("at most {latest}");
                bounded("ends_boot_ms", ends_boot_ms <= latest, ends_boot_ms, expected)
            }
        }
    }
}

/// The session that lies under a key.
pub(crate) fn session_of(key: &[u8]) -> Result<SessionId, RecordError> {
    let expected = "a session's number: 8 bytes, not all of them zero, in the lower half of all";
    let number = RowKey::number(key).filter(|number| *number <= NUMBER_MAX);
    number
        .and_then(SessionId::new)
        .ok_or_else(|| RecordError::new("sessions", key, CodecError::Key { expected }))
}
