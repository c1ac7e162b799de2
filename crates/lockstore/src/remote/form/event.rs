//! Events.

use docquery::{Result, Value, Writer};
use lockcore::{EndCause, LeaveCause, SessionId, WaiterId};

use super::field;
use super::parts::{bad, instant, mode, number, optional};
use crate::commands::Arguments;
use crate::events::{Event, EventKind};

pub(crate) fn write(event: &Event, fields: &mut Writer) {
    fields.field(field::SEQUENCE, number(event.sequence));
    fields.field(field::KIND, Value::String(name_of(&event.kind)));
    if let Some(key) = event.kind.key() {
        fields.field(field::KEY, Value::String(key));
    }
    match &event.kind {
        EventKind::Granted { holder, token, mode: of, expires_at, waiter, key: _ } => {
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, number(token.get()));
            fields.field(field::MODE, mode(*of));
            fields.field(field::EXPIRES_AT_NS, instant(*expires_at));
            fields.field(field::WAITER, optional(waiter.map(WaiterId::get)));
        }
        EventKind::Renewed { holder, token, expires_at, key: _ } => {
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, number(token.get()));
            fields.field(field::EXPIRES_AT_NS, instant(*expires_at));
        }
        EventKind::Ended { holder, token, cause, key: _ } => {
            fields.field(field::HOLDER, Value::String(holder));
            fields.field(field::TOKEN, number(token.get()));
            fields.field(field::CAUSE, Value::String(end_name(*cause)));
        }
        EventKind::Waiting { waiter, key: _ } => {
            fields.field(field::WAITER, number(waiter.get()));
        }
        EventKind::Left { waiter, cause, key: _ } => {
            fields.field(field::WAITER, number(waiter.get()));
            fields.field(field::CAUSE, Value::String(leave_name(*cause)));
        }
        EventKind::SessionOpened { session } | EventKind::SessionClosed { session } => {
            fields.field(field::SESSION, number(SessionId::get(*session)));
        }
        EventKind::ClockWentBackwards { mark, now } => {
            fields.field(field::MARK_MS, number(mark.as_millis()));
            fields.field(field::NOW_MS, number(now.as_millis()));
        }
        EventKind::Gap => {}
    }
}

pub(crate) fn read(mut fields: Arguments<'_>) -> Result<Event> {
    let sequence = fields.need(field::SEQUENCE, Arguments::count)?;
    let kind = match fields.need(field::KIND, Arguments::text)? {
        GRANTED => EventKind::Granted {
            key: fields.need(field::KEY, Arguments::key)?,
            holder: fields.need(field::HOLDER, Arguments::holder)?,
            token: fields.need(field::TOKEN, Arguments::token)?,
            mode: fields.need(field::MODE, Arguments::mode)?,
            expires_at: fields.instant(field::EXPIRES_AT_NS)?,
            waiter: fields.waiter(field::WAITER)?,
        },
        RENEWED => EventKind::Renewed {
            key: fields.need(field::KEY, Arguments::key)?,
            holder: fields.need(field::HOLDER, Arguments::holder)?,
            token: fields.need(field::TOKEN, Arguments::token)?,
            expires_at: fields.instant(field::EXPIRES_AT_NS)?,
        },
        ENDED => EventKind::Ended {
            key: fields.need(field::KEY, Arguments::key)?,
            holder: fields.need(field::HOLDER, Arguments::holder)?,
            token: fields.need(field::TOKEN, Arguments::token)?,
            cause: cause(&mut fields, &END_CAUSES, end_name)?,
        },
        WAITING => EventKind::Waiting {
            key: fields.need(field::KEY, Arguments::key)?,
            waiter: fields.need(field::WAITER, Arguments::waiter)?,
        },
        LEFT => EventKind::Left {
            key: fields.need(field::KEY, Arguments::key)?,
            waiter: fields.need(field::WAITER, Arguments::waiter)?,
            cause: cause(&mut fields, &LEAVE_CAUSES, leave_name)?,
        },
        SESSION_OPENED => {
            EventKind::SessionOpened { session: fields.need(field::SESSION, Arguments::session)? }
        }
        SESSION_CLOSED => {
            EventKind::SessionClosed { session: fields.need(field::SESSION, Arguments::session)? }
        }
        CLOCK_WENT_BACKWARDS => EventKind::ClockWentBackwards {
            mark: fields.need(field::MARK_MS, Arguments::wall_time)?,
            now: fields.need(field::NOW_MS, Arguments::wall_time)?,
        },
        GAP => EventKind::Gap,
        other => return Err(bad(field::KIND, &format!("an event that there is, not '{other}'"))),
    };
    Ok(Event { sequence, kind })
}

fn name_of(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::Granted { .. } => GRANTED,
        EventKind::Renewed { .. } => RENEWED,
        EventKind::Ended { .. } => ENDED,
        EventKind::Waiting { .. } => WAITING,
        EventKind::Left { .. } => LEFT,
        EventKind::SessionOpened { .. } => SESSION_OPENED,
        EventKind::SessionClosed { .. } => SESSION_CLOSED,
        EventKind::ClockWentBackwards { .. } => CLOCK_WENT_BACKWARDS,
        EventKind::Gap => GAP,
    }
}

fn end_name(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Released => "released",
        EndCause::Expired => "expired",
        EndCause::Broken => "broken",
        EndCause::SessionEnded => "sessionEnded",
    }
}

fn leave_name(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Free => "free",
        LeaveCause::TimedOut => "timedOut",
        LeaveCause::Cancelled => "cancelled",
        LeaveCause::SessionEnded => "sessionEnded",
    }
}

fn cause<C: Copy>(
    fields: &mut Arguments<'_>,
    causes: &[C],
    name_of: fn(C) -> &'static str,
) -> Result<C> {
    let name = fields.need(field::CAUSE, Arguments::text)?;
    let cause = causes.iter().find(|cause| name_of(**cause) == name);
    cause.copied().ok_or_else(|| bad(field::CAUSE, &format!("a cause that there is, not '{name}'")))
}

pub(super) const END_CAUSES: [EndCause; 4] =
    [EndCause::Released, EndCause::Expired, EndCause::Broken, EndCause::SessionEnded];
pub(super) const LEAVE_CAUSES: [LeaveCause; 4] =
    [LeaveCause::Free, LeaveCause::TimedOut, LeaveCause::Cancelled, LeaveCause::SessionEnded];

const GRANTED: &str = "granted";
const RENEWED: &str = "renewed";
const ENDED: &str = "ended";
const WAITING: &str = "waiting";
const LEFT: &str = "left";
const SESSION_OPENED: &str = "sessionOpened";
const SESSION_CLOSED: &str = "sessionClosed";
const CLOCK_WENT_BACKWARDS: &str = "clockWentBackwards";
const GAP: &str = "gap";
