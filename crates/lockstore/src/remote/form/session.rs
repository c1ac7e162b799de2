//! Sessions as they are shown.

use std::time::Duration;

use docquery::{Result, Value, Writer};

use super::field;
use super::parts::{bad, count, number, uuid};
use crate::clock::{BootId, WallTime};
use crate::commands::Arguments;
use crate::presence::{Instance, Presence, Process, SessionInfo, SessionOwner, SessionStanding};

pub(crate) fn write(info: &SessionInfo, fields: &mut Writer) {
    fields.field(field::SESSION, number(info.session.get()));
    fields.field(field::LOCKS, count(info.locks));
    fields.field(field::DOCUMENT_LOCKS, count(info.document_locks));
    fields.field(field::WAITERS, count(info.waiters));
    let since = match &info.owner {
        SessionOwner::Opener => None,
        SessionOwner::Client { presence, since } => {
            write_client(presence, fields);
            Some(since)
        }
        SessionOwner::Machine { host, pid, since } => {
            fields.field(field::HOST, Value::String(host));
            fields.field(field::PID, number((*pid).into()));
            Some(since)
        }
    };
    if let Some(since) = since {
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        fields.field(field::SINCE, Value::DateTime(since));
    }
    let standing = match info.standing {
        SessionStanding::Connected => CONNECTED,
        SessionStanding::Lost { .. } => LOST,
        SessionStanding::Ending => ENDING,
    };
    fields.field(field::STANDING, Value::String(standing));
    if let SessionStanding::Lost { remaining } = info.standing {
        let remaining = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        fields.field(field::REMAINING_MS, number(remaining));
    }
}

/// Under the names that `lockHello` has.
fn write_client(client: &Presence, fields: &mut Writer) {
    let Presence { instance, process } = client;
    fields.field(field::PID, number(process.pid.into()));
    fields.field(field::START_TIME, number(process.started_ticks));
    fields.field(field::BOOT_ID, uuid(&process.boot_id.0));
    fields.field(field::PID_NAMESPACE, number(process.pid_namespace));
    fields.field(field::INSTANCE, uuid(&instance.0));
}

pub(crate) fn read(mut fields: Arguments<'_>) -> Result<SessionInfo> {
    let standing = match fields.need(field::STANDING, Arguments::text)? {
        CONNECTED => SessionStanding::Connected,
        ENDING => SessionStanding::Ending,
        LOST => {
            let remaining = fields.need(field::REMAINING_MS, Arguments::count)?;
            SessionStanding::Lost { remaining: Duration::from_millis(remaining) }
        }
        other => return Err(bad(field::STANDING, &format!("no session stands '{other}'"))),
    };
    Ok(SessionInfo {
        session: fields.need(field::SESSION, Arguments::session)?,
        owner: read_owner(&mut fields)?,
        locks: fields.need(field::LOCKS, Arguments::size)?,
        document_locks: fields.need(field::DOCUMENT_LOCKS, Arguments::size)?,
        waiters: fields.need(field::WAITERS, Arguments::size)?,
        standing,
    })
}

fn read_owner(fields: &mut Arguments<'_>) -> Result<SessionOwner> {
    let Some(pid) = fields.count(field::PID)? else { return Ok(SessionOwner::Opener) };
    let pid = u32::try_from(pid).map_err(|_| bad(field::PID, &"a pid"))?;
    Ok(match fields.text(field::HOST)? {
        Some(host) => SessionOwner::Machine { host: host.into(), pid, since: read_since(fields)? },
        None => {
            SessionOwner::Client { presence: read_client(pid, fields)?, since: read_since(fields)? }
        }
    })
}

fn read_client(pid: u32, fields: &mut Arguments<'_>) -> Result<Presence> {
    let process = Process {
        pid,
        started_ticks: fields.need(field::START_TIME, Arguments::count)?,
        boot_id: BootId(fields.need(field::BOOT_ID, Arguments::uuid)?),
        pid_namespace: fields.need(field::PID_NAMESPACE, Arguments::count)?,
    };
    let instance = Instance(fields.need(field::INSTANCE, Arguments::uuid)?);
    Ok(Presence { instance, process })
}

fn read_since(fields: &mut Arguments<'_>) -> Result<WallTime> {
    match fields.value(field::SINCE) {
        Value::DateTime(millis) => Ok(WallTime::from_millis(u64::try_from(millis).unwrap_or(0))),
        _ => Err(bad(field::SINCE, &"a date")),
    }
}

const CONNECTED: &str = "connected";
const LOST: &str = "lost";
const ENDING: &str = "ending";

#[cfg(test)]
mod tests {
    use lockcore::SessionId;

    use super::*;
    use crate::remote::form::{expect_success, success};

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let process = Process {
            pid: 4_711,
            started_ticks: 123_456,
            boot_id: BootId([3; 16]),
            pid_namespace: 4_026_531_836,
        };
        let presence = Presence { instance: Instance([7; 16]), process };
        let (since, remaining) = (WallTime::from_millis(1), Duration::from_millis(1_500));
        let machine = SessionOwner::Machine { host: "mill".into(), pid: 4_712, since };
        for (owner, standing) in [
            (SessionOwner::Opener, SessionStanding::Connected),
            (SessionOwner::Client { presence, since }, SessionStanding::Lost { remaining }),
            (machine, SessionStanding::Ending),
        ] {
            let session = SessionId::new(9).unwrap();
            let info =
                SessionInfo { session, owner, locks: 1, document_locks: 2, waiters: 3, standing };
            let reply = success(|fields| write(&info, fields));
            assert_eq!(read(expect_success(&reply).unwrap()).unwrap(), info);
        }
    }
}
