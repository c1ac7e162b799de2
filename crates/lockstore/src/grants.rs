//! Grants on disk: what of a lease survives a restart, and by which clock.
//!
//! - Reopened in the same boot, the boot-time deadline decides, and the wall clock is not asked.
//! - Reopened after a reboot, the wall-clock deadline decides: what is left of the TTL, at most all of it.
//!   Where the wall clock stands before a time that the store has seen, the time in between counts as zero.
//! - A lease that is still running gets at least the restart grace, once: a store that is restarted
//!   again and again cannot keep a lease alive.
//! - A grant that is bound to a session is over unless the session is that of a process which may live still: that of
//!   the process that had the file open is gone, for the file was locked as long as it lived.

use std::time::Duration;

use lockcore::{Grant, Holder, Instant, Key, Lease, Lock, Mode, SessionId, Token, Ttl};

use crate::clock::{BootId, WallTime};
use crate::records::{CodecError, GrantRecordV1, LeaseRecordV1};

/// The moment at which a store is opened, by all its clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opening {
    pub(crate) now: Instant,
    pub(crate) boot_id: BootId,
    /// The wall clock, or the latest time that the store has seen if that is later.
    pub(crate) wall: WallTime,
    pub(crate) restart_grace: Duration,
}

/// What has become of a grant that was persisted.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It is held, and its row is right as it is.
    Held(Key, Mode, Grant),
    /// It is held, and its row must be written anew.
    Rewritten(Key, Mode, Grant, GrantRecordV1),
    /// Its lease ran out while the store was closed.
    Expired,
    /// The session that it was bound to is gone.
    SessionEnded,
}

/// The record of a grant as it is to be on disk from `now` on. `wall` is the latest wall time that the store
/// has seen: were it the wall clock's own after that was set back, a lease would lie before the mark and
/// be over at the next boot.
pub(crate) fn to_record(
    lock: &Lock,
    grant: &Grant,
    now: Instant,
    wall: WallTime,
    boot_id: BootId,
) -> GrantRecordV1 {
    GrantRecordV1 {
        key: lock.key().as_str().to_owned(),
        holder: grant.holder.as_str().to_owned(),
        mode: lock.mode().into(),
        session: grant.session.map(SessionId::get),
        granted_wall_ms: grant.stamp,
        lease: grant.lease.map(|lease| lease_record(lease, now, wall, boot_id, false)),
    }
}

fn lease_record(
    lease: Lease,
    now: Instant,
    wall: WallTime,
    boot_id: BootId,
    graced: bool,
) -> LeaseRecordV1 {
    let remaining = lease.expires_at.saturating_since(now);
    let remaining_ms = u64::try_from(remaining.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    LeaseRecordV1 {
        ttl_ms: lease.ttl.as_millis(),
        wall_deadline_ms: wall.as_millis().saturating_add(remaining_ms),
        boot_id: boot_id.0,
        boot_deadline_ms: lease.expires_at.millis_ceil(),
        graced,
        written_wall_ms: wall.as_millis(),
    }
}

/// What has become of the grant `token` at the opening of its store, at which these sessions live.
pub(crate) fn fate(
    token: Token,
    record: GrantRecordV1,
    opening: &Opening,
    session_lives: impl Fn(SessionId) -> bool,
) -> Result<Fate, CodecError> {
    let session = record.session.and_then(SessionId::new);
    if session.is_some_and(|session| !session_lives(session)) {
        return Ok(Fate::SessionEnded);
    }
    let key = Key::new(&record.key).map_err(malformed)?;
    let holder = Holder::new(&record.holder).map_err(malformed)?;
    let mode = Mode::from(record.mode);
    let grant = |lease| Grant::new(holder, token, session, record.granted_wall_ms, lease);
    let Some(stored) = record.lease else {
        return Ok(Fate::Held(key, mode, grant(None)));
    };
    let ttl = Ttl::from_millis(stored.ttl_ms).map_err(malformed)?;
    let same_boot = stored.boot_id == opening.boot_id.0;
    // A record tells of a time that was seen, too.
    let wall = opening.wall.max(WallTime::from_millis(stored.written_wall_ms));
    let expires_at = if same_boot {
        Instant::from_millis(stored.boot_deadline_ms)
    } else {
        let left_ms = stored.wall_deadline_ms.saturating_sub(wall.as_millis());
        let left = Duration::from_millis(left_ms).min(ttl.as_duration());
        Instant::from_millis(opening.now.saturating_add(left).millis_ceil())
    };
    let is_over = if same_boot {
        expires_at <= opening.now
    } else {
        stored.wall_deadline_ms <= wall.as_millis()
    };
    if is_over {
        return Ok(Fate::Expired);
    }
    let with_grace =
        Instant::from_millis(opening.now.saturating_add(opening.restart_grace).millis_ceil());
    let graced = !stored.graced && with_grace > expires_at;
    let expires_at = if graced { with_grace } else { expires_at };
    let lease = Lease { ttl, expires_at };
    if same_boot && !graced {
        return Ok(Fate::Held(key, mode, grant(Some(lease))));
    }
    let mut written =
        lease_record(lease, opening.now, wall, opening.boot_id, stored.graced || graced);
    if !graced {
        // What is left is rounded up in each boot, and must not grow by that from boot to boot.
        written.wall_deadline_ms = written.wall_deadline_ms.min(stored.wall_deadline_ms);
    }
    let rewritten = GrantRecordV1 { lease: Some(written), ..record };
    Ok(Fate::Rewritten(key, mode, grant(Some(lease)), rewritten))
}

/// The side grant of a document that is over, with a lease that ends now: its expiry unlocks the document.
pub(crate) fn lapsed(
    token: Token,
    record: &GrantRecordV1,
    opening: &Opening,
) -> Result<(Key, Grant), CodecError> {
    let key = Key::new(&record.key).map_err(malformed)?;
    let holder = Holder::new(&record.holder).map_err(malformed)?;
    let expires_at = Instant::from_millis(opening.now.millis_floor());
    let lease = Lease { ttl: Ttl::from_millis(1).map_err(malformed)?, expires_at };
    Ok((key, Grant::new(holder, token, None, record.granted_wall_ms, Some(lease))))
}

/// In what a record differs from the grant that it should hold.
pub(crate) fn difference(lock: &Lock, grant: &Grant, record: &GrantRecordV1) -> Option<String> {
    let deadline = record.lease.map(|lease| (lease.ttl_ms, lease.boot_deadline_ms));
    let on_disk = (&*record.key, &*record.holder, record.mode, record.session, deadline);
    let lease = grant.lease.map(|lease| (lease.ttl.as_millis(), lease.expires_at.millis_ceil()));
    let session = grant.session.map(SessionId::get);
    let held = (lock.key().as_str(), grant.holder.as_str(), lock.mode().into(), session, lease);
    (on_disk != held).then(|| format!("{on_disk:?} is on disk, and {held:?} is held"))
}

fn malformed(reason: impl std::fmt::Display) -> CodecError {
    CodecError::Malformed { what: "grant", reason: reason.to_string() }
}
