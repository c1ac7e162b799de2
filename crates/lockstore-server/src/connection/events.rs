//! Events for another process: a connection of their own, on which the client asks for the next ones.

use std::time::{Duration, Instant};

use bson::{RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::{
    EndCause, ErrorCode, Event, EventKind, Instant as BootInstant, LeaveCause, Subscription, Token,
};

use super::{Connection, LOOK, blocking};
use crate::commands::failure;

impl Connection<'_> {
    /// `lockSubscribe: <prefix>`: the events of keys that begin so, and those without a key, for `lockNextEvents` on the same
    /// connection.
    pub(super) fn subscribe(&mut self, command: &RawDocument) -> RawDocumentBuf {
        let Ok(prefix) = command.get_str("lockSubscribe") else {
            return failure(ErrorCode::FAILED_TO_PARSE, "lockSubscribe takes a prefix of keys");
        };
        if self.subscription.is_some() {
            let message = "this connection has a subscription already";
            return failure(ErrorCode::ILLEGAL_OPERATION, message);
        }
        match self.service.store.subscribe(prefix) {
            Ok(subscription) => {
                self.subscription = Some(subscription);
                rawdoc! { "ok": 1.0 }
            }
            Err(error) => failure(ErrorCode::LOCK_BUSY, &error.to_string()),
        }
    }

    /// `lockNextEvents: 1, maxTimeMS: <how long>`: the events that there are, at most 1,000, as soon as there is one; none when
    /// the time is over. `ended` says that there will be no more.
    pub(super) fn next_events(&self, command: &RawDocument) -> RawDocumentBuf {
        let Some(subscription) = &self.subscription else {
            let message = "this connection has no subscription; lockSubscribe makes one";
            return failure(ErrorCode::ILLEGAL_OPERATION, message);
        };
        let max_time = match command.get("maxTimeMS").ok().flatten() {
            None => EVENTS_TIME_MAX,
            Some(time) => match time.as_i64().or(time.as_i32().map(i64::from)) {
                Some(time) => Duration::from_millis(u64::try_from(time).unwrap_or(0)),
                None => {
                    return failure(ErrorCode::FAILED_TO_PARSE, "maxTimeMS takes a whole number");
                }
            },
        };
        let first = self.first_event(subscription, max_time.min(EVENTS_TIME_MAX));
        let mut events = RawArrayBuf::new();
        let ended = matches!(first, First::Ended);
        if let First::Event(first) = first {
            let others = subscription.try_iter().take(EVENTS_MAX - 1);
            for event in std::iter::once(first).chain(others) {
                events.push(document_of(&event));
            }
        }
        rawdoc! { "events": events, "ended": ended, "ok": 1.0 }
    }

    fn first_event(&self, subscription: &Subscription, max_time: Duration) -> First {
        let until = Instant::now() + max_time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match subscription.recv_timeout(left.min(LOOK)) {
                Ok(event) => return First::Event(event),
                Err(error) if error.is_disconnected() => return First::Ended,
                Err(_) if left <= LOOK => return First::None,
                Err(_) => {}
            }
            if blocking::has_hung_up(self.stream).unwrap_or(true) {
                return First::Ended;
            }
        }
    }
}

/// What a wait for an event has come to.
enum First {
    Event(Event),
    None,
    Ended,
}

/// An event as a document: `kind` says what it is, and times are nanoseconds since boot.
fn document_of(event: &Event) -> RawDocumentBuf {
    let mut document = rawdoc! { "sequence": long(event.sequence) };
    match &event.kind {
        EventKind::Granted { key, holder, token, mode, expires_at, waiter } => {
            append_grant(&mut document, "granted", key, holder, *token);
            document.append(cstr!("mode"), mode.to_string());
            append_time(&mut document, *expires_at);
            if let Some(waiter) = waiter {
                document.append(cstr!("waiter"), long(waiter.get()));
            }
        }
        EventKind::Renewed { key, holder, token, expires_at } => {
            append_grant(&mut document, "renewed", key, holder, *token);
            append_time(&mut document, *expires_at);
        }
        EventKind::Ended { key, holder, token, cause } => {
            append_grant(&mut document, "ended", key, holder, *token);
            document.append(cstr!("cause"), end_cause(*cause));
        }
        EventKind::Waiting { key, waiter } => {
            document.append(cstr!("kind"), "waiting");
            document.append(cstr!("key"), key.as_str());
            document.append(cstr!("waiter"), long(waiter.get()));
        }
        EventKind::Left { key, waiter, cause } => {
            document.append(cstr!("kind"), "left");
            document.append(cstr!("key"), key.as_str());
            document.append(cstr!("waiter"), long(waiter.get()));
            document.append(cstr!("cause"), leave_cause(*cause));
        }
        EventKind::SessionOpened { session } => {
            document.append(cstr!("kind"), "sessionOpened");
            document.append(cstr!("session"), long(session.get()));
        }
        EventKind::SessionClosed { session } => {
            document.append(cstr!("kind"), "sessionClosed");
            document.append(cstr!("session"), long(session.get()));
        }
        EventKind::ClockWentBackwards { mark, now } => {
            document.append(cstr!("kind"), "clockWentBackwards");
            document.append(cstr!("markMS"), long(mark.as_millis()));
            document.append(cstr!("nowMS"), long(now.as_millis()));
        }
        // The enum may grow: who does not know a kind looks at the state again, as after a gap.
        _ => document.append(cstr!("kind"), "gap"),
    }
    document
}

fn append_grant(
    document: &mut RawDocumentBuf,
    kind: &str,
    key: &lockstore::Key,
    holder: &lockstore::Holder,
    token: Token,
) {
    document.append(cstr!("kind"), kind);
    document.append(cstr!("key"), key.as_str());
    document.append(cstr!("holder"), holder.as_str());
    document.append(cstr!("token"), long(token.get()));
}

fn append_time(document: &mut RawDocumentBuf, expires_at: Option<BootInstant>) {
    if let Some(expires_at) = expires_at {
        document.append(cstr!("expiresAtNS"), long(expires_at.as_nanos()));
    }
}

fn end_cause(cause: EndCause) -> &'static str {
    match cause {
        EndCause::Released => "released",
        EndCause::Expired => "expired",
        EndCause::Broken => "broken",
        EndCause::SessionEnded => "sessionEnded",
    }
}

fn leave_cause(cause: LeaveCause) -> &'static str {
    match cause {
        LeaveCause::Free => "free",
        LeaveCause::TimedOut => "timedOut",
        LeaveCause::Cancelled => "cancelled",
        LeaveCause::SessionEnded => "sessionEnded",
    }
}

/// BSON has no unsigned numbers; ours stay far below the bound.
fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How many events one reply has at most.
const EVENTS_MAX: usize = 1_000;

/// How long `lockNextEvents` waits at most.
const EVENTS_TIME_MAX: Duration = Duration::from_secs(3_600);
