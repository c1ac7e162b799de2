//! What a store tells about locks, as the records of `lockstore.records`.

use lockstore::{BreakRecord, Clock, Event, EventKind, Instant, LeaveCause, LockInfo, WallTime};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

pub(crate) fn lock_info<'py>(py: Python<'py>, lock: &LockInfo) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import(intern!(py, "lockstore.records"))?;
    let class = module.getattr(intern!(py, "HolderInfo"))?;
    let holders = lock.holders.iter().map(|it| {
        let (holder, token, session) = (it.holder.as_str(), it.token.get(), it.session.is_some());
        let seconds = |time: std::time::Duration| time.as_secs_f64();
        let (ttl, remaining) = (it.ttl.map(seconds), it.remaining.map(seconds));
        class.call1((holder, token, session, since_1970(it.since), ttl, remaining))
    });
    let holders = PyTuple::new(py, holders.collect::<PyResult<Vec<_>>>()?)?;
    let lock = (lock.key.as_str(), lock.mode.to_string(), lock.waiters, holders);
    module.getattr(intern!(py, "LockInfo"))?.call1(lock)
}

pub(crate) fn break_record<'py>(
    py: Python<'py>,
    record: &BreakRecord,
) -> PyResult<Bound<'py, PyAny>> {
    let BreakRecord { number, key, holder, token, reason, at } = record;
    let class = py.import(intern!(py, "lockstore.records"))?.getattr(intern!(py, "BreakRecord"))?;
    class.call1((number, key.as_str(), holder.as_str(), token.get(), reason, since_1970(*at)))
}

pub(crate) fn event<'py>(
    py: Python<'py>,
    event: &Event,
    clock: &dyn Clock,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    let remaining = |until: &Option<Instant>| {
        until.map(|until| until.saturating_since(clock.now()).as_secs_f64())
    };
    fields.set_item("key", event.kind.key().map(lockstore::Key::as_str))?;
    let kind = match &event.kind {
        EventKind::Granted { holder, token, mode, expires_at, .. } => {
            fields.set_item("holder", holder.as_str())?;
            fields.set_item("token", token.get())?;
            fields.set_item("mode", mode.to_string())?;
            fields.set_item("remaining", remaining(expires_at))?;
            "granted"
        }
        EventKind::Renewed { holder, token, expires_at, .. } => {
            fields.set_item("holder", holder.as_str())?;
            fields.set_item("token", token.get())?;
            fields.set_item("remaining", remaining(expires_at))?;
            "renewed"
        }
        EventKind::Ended { holder, token, cause, .. } => {
            fields.set_item("holder", holder.as_str())?;
            fields.set_item("token", token.get())?;
            fields.set_item("cause", cause.to_string())?;
            "ended"
        }
        EventKind::Waiting { .. } => "waiting",
        EventKind::Left { cause, .. } => {
            fields.set_item("cause", left(*cause))?;
            "left"
        }
        EventKind::SessionOpened { .. } => "session_opened",
        EventKind::SessionClosed { .. } => "session_closed",
        EventKind::ClockWentBackwards { .. } => "clock_went_backwards",
        _ => "gap",
    };
    let class = py.import(intern!(py, "lockstore.records"))?.getattr(intern!(py, "Event"))?;
    class.call((kind, event.sequence), Some(&fields))
}

fn left(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Free => "free",
        LeaveCause::TimedOut => "timed out",
        LeaveCause::Cancelled => "cancelled",
        LeaveCause::SessionEnded => "session ended",
    }
}

/// Seconds since 1970-01-01 00:00 UTC.
#[allow(clippy::cast_precision_loss, reason = "milliseconds are told apart for 285,000 years")]
fn since_1970(time: WallTime) -> f64 {
    time.as_millis() as f64 / 1_000.0
}
