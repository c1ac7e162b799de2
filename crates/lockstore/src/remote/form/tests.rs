//! What is written is read as it was, and what is no command is refused.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use bson::{RawBson, RawDocumentBuf};
use lockcore::{
    Acquire, Granted, HeldBy, Holder, Instant, Key, Lease, LeaveCause, Mode, Outcome, Refusal,
    Release, Renew, SessionId, Token, Ttl, Wait, WaitUntilFree, WaiterId,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::answer::{About, LIMITS};
use super::code::Code;
use super::query::Query;
use super::*;
use crate::clock::WallTime;
use crate::disk::DiskError;
use crate::events::{Event, EventKind};
use crate::info::{BreakRecord, HolderInfo, LockInfo, Stats};
use crate::maintenance::CheckReport;
use crate::recovery::Recovery;
use crate::remote::{LockAnswer, LockCall};

/// Numbers that a long can carry, and the edges of what they may be.
fn a_number() -> impl Strategy<Value = u64> {
    const MAX: u64 = i64::MAX as u64;
    prop_oneof![Just(1), Just(MAX), 1..=MAX]
}

fn a_key() -> impl Strategy<Value = Key> {
    prop_oneof!["[a-z/]{1,9}", "\\PC{1,9}", Just("\0".to_owned())]
        .prop_map(|key| Key::new(&key).unwrap())
}

fn a_holder() -> impl Strategy<Value = Holder> {
    "\\PC{1,9}".prop_map(|holder| Holder::new(&holder).unwrap())
}

fn a_token() -> impl Strategy<Value = Token> {
    a_number().prop_map(|number| Token::new(number).unwrap())
}

fn a_session() -> impl Strategy<Value = SessionId> {
    a_number().prop_map(|number| SessionId::new(number).unwrap())
}

fn a_waiter() -> impl Strategy<Value = WaiterId> {
    a_number().prop_map(|number| WaiterId::new(number).unwrap())
}

fn an_instant() -> impl Strategy<Value = Instant> {
    a_number().prop_map(Instant::from_nanos)
}

fn a_time() -> impl Strategy<Value = WallTime> {
    a_number().prop_map(WallTime::from_millis)
}

fn a_ttl() -> impl Strategy<Value = Ttl> {
    (1..=Ttl::MAX.as_millis()).prop_map(|millis| Ttl::from_millis(millis).unwrap())
}

fn a_mode() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared)]
}

fn a_wait() -> impl Strategy<Value = Wait> {
    prop_oneof![Just(Wait::No), Just(Wait::Forever), an_instant().prop_map(Wait::Until)]
}

fn a_granted() -> impl Strategy<Value = Granted> {
    let lease = (a_ttl(), an_instant()).prop_map(|(ttl, expires_at)| Lease { ttl, expires_at });
    (a_token(), option::of(lease), any::<bool>()).prop_map(|(token, lease, rejoined)| Granted {
        token,
        lease,
        rejoined,
    })
}

fn held_by() -> impl Strategy<Value = HeldBy> {
    (a_mode(), a_holder(), a_token(), option::of(an_instant()))
        .prop_map(|(mode, holder, token, expires_at)| HeldBy { mode, holder, token, expires_at })
}

fn a_break() -> impl Strategy<Value = BreakRecord> {
    (a_number(), a_key(), a_holder(), a_token(), "\\PC*", a_time()).prop_map(
        |(number, key, holder, token, reason, at)| BreakRecord {
            number,
            key,
            holder,
            token,
            reason,
            at,
        },
    )
}

fn a_call() -> impl Strategy<Value = LockCall> {
    let (session, token, ttl) =
        (|| option::of(a_session()), || option::of(a_token()), || option::of(a_ttl()));
    prop_oneof![
        (a_key(), a_holder(), a_mode(), ttl(), session(), a_wait()).prop_map(
            |(key, holder, mode, ttl, session, wait)| LockCall::Acquire(Acquire {
                key,
                holder,
                mode,
                ttl,
                session,
                wait
            })
        ),
        (a_key(), a_wait(), session()).prop_map(|(key, wait, session)| LockCall::WaitUntilFree(
            WaitUntilFree { key, wait, session }
        )),
        (a_key(), a_holder(), token(), ttl()).prop_map(|(key, holder, token, ttl)| {
            LockCall::Renew(Renew { key, holder, token, ttl })
        }),
        (a_key(), a_holder(), token())
            .prop_map(|(key, holder, token)| LockCall::Release(Release { key, holder, token })),
        (a_key(), a_holder(), a_token()).prop_map(|(key, holder, token)| LockCall::HandOn {
            key,
            holder,
            token
        }),
        (a_key(), a_token(), "\\PC{0,200}").prop_map(|(key, token, reason)| LockCall::Break {
            key,
            token,
            reason: reason.into()
        }),
        Just(LockCall::OpenSession),
        a_session().prop_map(|session| LockCall::CloseSession { session }),
    ]
}

fn a_refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        held_by().prop_map(Refusal::Held),
        held_by().prop_map(Refusal::HeldByOther),
        (a_mode(), a_token()).prop_map(|(held, token)| Refusal::OtherMode { held, token }),
        a_token().prop_map(|token| Refusal::OtherSession { token }),
        a_token().prop_map(|token| Refusal::OtherToken { token }),
        Just(Refusal::NotHeld),
        Just(Refusal::UnknownSession),
        (0..LIMITS.len(), 0..usize::MAX / 2)
            .prop_map(|(limit, max)| Refusal::LimitReached { limit: LIMITS[limit], max }),
    ]
}

fn a_store_error() -> impl Strategy<Value = StoreError> {
    prop_oneof![
        Just(StoreError::Closed),
        "\\PC*".prop_map(|cause| StoreError::Poisoned { cause: cause.into() }),
        "\\PC*".prop_map(|what| StoreError::Internal { what: what.into() }),
        "\\PC*".prop_map(|what| StoreError::OutcomeUnknown { what: what.into() }),
        "\\PC*".prop_map(|what| DiskError::Elsewhere { what: what.into() }.into()),
        any::<u32>().prop_map(|opened_by| StoreError::Forked { opened_by }),
        any::<u32>().prop_map(|pid| StoreError::ServerUnresponsive { pid }),
        any::<u32>().prop_map(|max| StoreError::Busy { queue_max: max as usize }),
        any::<u32>()
            .prop_map(|max| StoreError::TooManySubscriptions { subscriptions_max: max as usize }),
        ("/[a-z]{1,9}", "\\PC*").prop_map(|(socket, reason)| StoreError::Unreachable {
            socket: Path::new(&socket).into(),
            reason: reason.into()
        }),
    ]
}

/// An answer that `call` may get.
fn an_answer(call: &LockCall) -> BoxedStrategy<LockAnswer> {
    let done = match call {
        LockCall::Acquire(_) => prop_oneof![
            a_granted().prop_map(|granted| LockAnswer::Done(Outcome::Granted(granted))),
            a_granted().prop_map(LockAnswer::HandedOff),
        ]
        .boxed(),
        LockCall::WaitUntilFree(_) => prop_oneof![
            Just(LockAnswer::Done(Outcome::Free)),
            Just(LockAnswer::Left(LeaveCause::Free)),
        ]
        .boxed(),
        LockCall::Renew(_) => {
            a_granted().prop_map(|granted| LockAnswer::Done(Outcome::Renewed(granted))).boxed()
        }
        LockCall::Release(_) | LockCall::HandOn { .. } => {
            Just(LockAnswer::Done(Outcome::Ended)).boxed()
        }
        LockCall::Break { .. } => {
            a_break().prop_map(|record| LockAnswer::Broken(Box::new(record))).boxed()
        }
        LockCall::OpenSession => a_session()
            .prop_map(|session| LockAnswer::Done(Outcome::SessionOpened(session)))
            .boxed(),
        LockCall::CloseSession { .. } => Just(LockAnswer::Done(Outcome::SessionClosed)).boxed(),
    };
    let left = [LeaveCause::TimedOut, LeaveCause::Cancelled, LeaveCause::SessionEnded];
    prop_oneof![
        2 => done,
        2 => a_refusal().prop_map(LockAnswer::Refused),
        1 => (0..left.len()).prop_map(move |cause| LockAnswer::Left(left[cause])),
        1 => a_store_error().prop_map(LockAnswer::Failed),
    ]
    .boxed()
}

fn an_event() -> impl Strategy<Value = Event> {
    let grant = || (a_key(), a_holder(), a_token());
    let kind = prop_oneof![
        (grant(), a_mode(), option::of(an_instant()), option::of(a_waiter())).prop_map(
            |((key, holder, token), mode, expires_at, waiter)| EventKind::Granted {
                key,
                holder,
                token,
                mode,
                expires_at,
                waiter
            }
        ),
        (grant(), option::of(an_instant())).prop_map(|((key, holder, token), expires_at)| {
            EventKind::Renewed { key, holder, token, expires_at }
        }),
        (grant(), 0..event::END_CAUSES.len()).prop_map(|((key, holder, token), cause)| {
            EventKind::Ended { key, holder, token, cause: event::END_CAUSES[cause] }
        }),
        (a_key(), a_waiter()).prop_map(|(key, waiter)| EventKind::Waiting { key, waiter }),
        (a_key(), a_waiter(), 0..event::LEAVE_CAUSES.len()).prop_map(|(key, waiter, cause)| {
            EventKind::Left { key, waiter, cause: event::LEAVE_CAUSES[cause] }
        }),
        a_session().prop_map(|session| EventKind::SessionOpened { session }),
        a_session().prop_map(|session| EventKind::SessionClosed { session }),
        (a_time(), a_time()).prop_map(|(mark, now)| EventKind::ClockWentBackwards { mark, now }),
        Just(EventKind::Gap),
    ];
    (0..i64::MAX as u64, kind).prop_map(|(sequence, kind)| Event { sequence, kind })
}

fn a_lock() -> impl Strategy<Value = LockInfo> {
    let millis = || (1..u64::from(u32::MAX)).prop_map(Duration::from_millis);
    let holder = (
        (a_holder(), a_token(), option::of(a_session()), a_time()),
        (option::of(millis()), option::of(an_instant()), option::of(millis())),
    )
        .prop_map(|((holder, token, session, since), (ttl, expires_at, remaining))| {
            HolderInfo { holder, token, session, since, ttl, expires_at, remaining }
        });
    (a_key(), a_mode(), any::<u32>(), vec(holder, 0..4))
        .prop_map(|(key, mode, waiters, holders)| LockInfo { key, mode, waiters, holders })
}

fn a_query() -> impl Strategy<Value = Query<'static>> {
    let size = || option::of((0..u32::MAX).prop_map(|size| size as usize));
    prop_oneof![
        (a_key(), option::of(a_holder())).prop_map(|(key, holder)| Query::IsHeld { key, holder }),
        a_key().prop_map(|key| Query::Inspect { key }),
        ("\\PC*", option::of("\\PC*"), size()).prop_map(|(prefix, after, limit)| Query::List {
            prefix: prefix.into(),
            after: after.map(Cow::from),
            limit
        }),
        (option::of(a_number()), size()).prop_map(|(before, limit)| Query::Audit { before, limit }),
        ("\\PC*", size()).prop_map(|(prefix, events_max)| Query::Subscribe {
            prefix: prefix.into(),
            events_max
        }),
        a_number().prop_map(|subscription| Query::NextEvents { subscription }),
        a_number().prop_map(|subscription| Query::Unsubscribe { subscription }),
        Just(Query::Sessions),
        Just(Query::Stats),
        Just(Query::Recovery),
        Just(Query::Check),
        Just(Query::StoreId),
        a_token().prop_map(|at_least| Query::ReserveTokens { at_least }),
        "\\PC*".prop_map(|path| Query::Backup { path: path.into() }),
        Just(Query::Compact),
    ]
}

/// Anything that may stand in a field.
fn a_value() -> impl Strategy<Value = RawBson> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(RawBson::Int32),
        any::<i64>().prop_map(RawBson::Int64),
        any::<f64>().prop_map(RawBson::Double),
        any::<bool>().prop_map(RawBson::Boolean),
        "\\PC{0,9}".prop_map(RawBson::String),
        prop_oneof![Just("no"), Just("forever"), Just("shared"), Just("\0document/1/1")]
            .prop_map(|text| RawBson::String(text.to_owned())),
        Just(RawBson::Null),
        Just(RawBson::MinKey),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        let name = prop_oneof![Just("untilNS"), Just("forMS"), Just("x")];
        prop_oneof![
            vec((name, inner.clone()), 0..3)
                .prop_map(|fields| { RawBson::Document(of_fields(&fields)) }),
            vec(inner, 0..3).prop_map(|items| {
                let mut array = bson::RawArrayBuf::new();
                for item in items {
                    array.push(item);
                }
                RawBson::Array(array)
            }),
        ]
    })
}

fn of_fields(fields: &[(&str, RawBson)]) -> RawDocumentBuf {
    let mut writer = Writer::new();
    for (name, value) in fields {
        writer.field(name, docquery::OwnedValue::from(value.as_raw_bson_ref()).get());
    }
    document(writer)
}

/// Lock commands with any arguments.
fn a_command() -> impl Strategy<Value = RawDocumentBuf> {
    const COMMANDS: &[&str] = &[
        "lockAcquire",
        "lockWait",
        "lockRenew",
        "lockRelease",
        "lockBreak",
        "lockSessionOpen",
        "lockSessionClose",
        "lockIsHeld",
        "lockInspect",
        "lockList",
        "lockAudit",
        "lockSubscribe",
        "lockNextEvents",
        "lockUnsubscribe",
        "lockStats",
        "lockRecovery",
        "lockCheck",
        "lockCompact",
        "lockNothing",
    ];
    const FIELDS: &[&str] = &[
        "holder",
        "mode",
        "ttlMS",
        "session",
        "wait",
        "token",
        "unlessRejoined",
        "reason",
        "after",
        "limit",
        "before",
        "eventsMax",
        "other",
        "comment",
    ];
    let field = ((0..FIELDS.len()).prop_map(|field| FIELDS[field]), a_value());
    ((0..COMMANDS.len()), a_value(), vec(field, 0..5)).prop_map(|(command, target, fields)| {
        let mut all = Vec::from([(COMMANDS[command], target)]);
        all.extend(fields);
        of_fields(&all)
    })
}

/// Reads the fields of a reply.
fn read<T>(reply: &RawDocument, read: impl FnOnce(&mut Arguments<'_>) -> docquery::Result<T>) -> T {
    read(&mut expect_success(reply).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_call_is_read_as_it_was_written(call in a_call()) {
        let command = call::write(&call);
        let command = Document::from(&*command);
        let (name, _) = command.first().unwrap();
        // Instants are absolute, so the time of the reading does not matter.
        let read = call::parse(name, command, Instant::ZERO).unwrap().unwrap();
        prop_assert_eq!(format!("{read:?}"), format!("{call:?}"));
    }

    #[test]
    fn an_answer_is_read_as_it_was_written(
        (call, answer) in a_call().prop_flat_map(|call| {
            let answer = an_answer(&call);
            (Just(call), answer)
        })
    ) {
        let reply = About::of(&call).reply(&answer, Instant::ZERO);
        prop_assert_eq!(format!("{:?}", answer::read(&call, &reply)), format!("{answer:?}"));
    }

    #[test]
    fn a_query_is_read_as_it_was_written(query in a_query()) {
        let command = query.write();
        let command = Document::from(&*command);
        let (name, _) = command.first().unwrap();
        prop_assert_eq!(Query::parse(name, command).unwrap().unwrap(), query);
    }

    #[test]
    fn an_event_is_read_as_it_was_written(event in an_event()) {
        let reply = success(|fields| event::write(&event, fields));
        prop_assert_eq!(event::read(expect_success(&reply).unwrap()).unwrap(), event);
    }

    #[test]
    fn a_lock_is_read_as_it_was_written(lock in a_lock()) {
        let reply = success(|fields| info::write_lock(&lock, fields));
        prop_assert_eq!(info::read_lock(expect_success(&reply).unwrap()).unwrap(), lock);
    }

    #[test]
    fn figures_are_read_as_they_were_written(
        figures in proptest::array::uniform15(0..u64::from(u32::MAX)),
        mark in option::of(a_time()),
        problems in vec("\\PC*", 0..3),
    ) {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = figures;
        let size = |figure| usize::try_from(figure).unwrap();
        let stats = Stats {
            locks: size(a), document_locks: size(b), waiters: size(c), sessions: size(d), client_sessions: size(o), commits: e,
            requests: f, batch_max: size(g), file_bytes: h, cached_bytes: size(i), audit_records: j,
            collections: size(k), indexes: size(l), documents: m, index_entries: n,
        };
        let reply = success(|fields| figures::write_stats(&stats, fields));
        prop_assert_eq!(read(&reply, figures::read_stats), stats);
        let report =
            CheckReport { grants: a, sessions: e, client_sessions: f, audit_records: b, documents: c, index_entries: d, problems };
        let reply = success(|fields| figures::write_check(&report, fields));
        prop_assert_eq!(read(&reply, figures::read_check), report);
        let recovery = Recovery {
            held: a, graced: b, expired: c, sessions_ended: d, sessions: f, clock_went_backwards: mark,
            took: Duration::from_nanos(e),
        };
        let reply = success(|fields| figures::write_recovery(&recovery, fields));
        prop_assert_eq!(read(&reply, figures::read_recovery), recovery);
    }

    /// Whatever the arguments: a reply comes, an error says what is wrong, and nobody panics.
    #[test]
    fn any_lock_command_is_answered(commands in vec(a_command(), 1..20)) {
        let store = crate::Store::in_memory().unwrap();
        let database = store.database("admin");
        for command in &commands {
            // A command that waits is given up.
            if let crate::Started::Reply(reply) = database.start_command(command) {
                let ok = reply.get_f64("ok").unwrap() > 0.0;
                prop_assert_eq!(ok, reply.get("code").unwrap().is_none());
                if !ok {
                    prop_assert!(!reply.get_str("errmsg").unwrap().is_empty());
                    prop_assert!(!reply.get_str("codeName").unwrap().is_empty());
                }
            }
        }
        prop_assert!(store.check().unwrap().is_sound());
    }

    /// Whatever comes for a reply: it is an answer, or an error.
    #[test]
    fn any_reply_is_understood_or_refused(
        call in a_call(),
        fields in vec((
            prop_oneof![
                Just("ok"), Just("code"), Just("token"), Just("waited"), Just("heldBy"), Just("limit"),
                Just("rejoined"), Just("session"), Just("mode"), Just("record"), Just("what"),
            ],
            prop_oneof![a_value(), (100_000_000..100_000_050).prop_map(RawBson::Int32)],
        ), 0..6),
    ) {
        let _ = answer::read(&call, &of_fields(&fields));
    }
}

/// The table in the documentation is the one that holds.
#[test]
fn each_code_is_documented() {
    let documented = include_str!("../../remote.rs");
    for code in Code::ALL {
        let row = format!("//! | {} | `{}` |", code.number(), code.name());
        assert!(documented.contains(&row), "{row}");
        assert_eq!(Code::of(code.number().into()), Some(*code));
    }
}

#[test]
fn arguments_that_are_wrong_are_refused_as_mongodb_refuses_them() {
    use bson::rawdoc;
    let store = crate::Store::in_memory().unwrap();
    let database = store.database("admin");
    let long = "x".repeat(1_025);
    let cases = [
        (rawdoc! { "lockAcquire": "k" }, 40414, "'lockAcquire.holder' is missing"),
        (rawdoc! { "lockAcquire": 1, "holder": "a" }, 14, "'lockAcquire.lockAcquire' is the wrong"),
        (rawdoc! { "lockAcquire": "", "holder": "a" }, 2, "must not be empty"),
        (rawdoc! { "lockAcquire": &*long, "holder": "a" }, 2, "at most 1024 bytes"),
        (rawdoc! { "lockAcquire": "\0document/1/1", "holder": "a" }, 2, "the store's own"),
        (
            rawdoc! { "lockAcquire": "k", "holder": "a", "Ttl": 1 },
            40415,
            "'lockAcquire.Ttl' is an unknown",
        ),
        (rawdoc! { "lockAcquire": "k", "holder": "a", "ttlMS": 0 }, 2, "longer than 0"),
        (rawdoc! { "lockAcquire": "k", "holder": "a", "ttlMS": -1 }, 51024, "value must be >= 0"),
        (
            rawdoc! { "lockAcquire": "k", "holder": "a", "mode": "both" },
            2,
            "'exclusive' or 'shared'",
        ),
        (rawdoc! { "lockAcquire": "k", "holder": "a", "wait": "long" }, 2, "'no', 'forever'"),
        (rawdoc! { "lockAcquire": "k", "holder": "a", "wait": 5 }, 14, "'no', 'forever'"),
        (
            rawdoc! { "lockAcquire": "k", "holder": "a", "wait": { "untilNS": 1, "forMS": 1 } },
            2,
            "'no', 'forever'",
        ),
        (rawdoc! { "lockAcquire": "k", "holder": "a", "holder": "b" }, 40413, "duplicate field"),
        (rawdoc! { "lockBreak": "k", "token": 1, "reason": &*long }, 2, "at most 1024 bytes"),
        (rawdoc! { "lockRelease": "k", "holder": "a", "token": 0 }, 2, "a number above 0"),
        (rawdoc! { "lockNothing": "k" }, 59, "no such command"),
    ];
    for (command, code, says) in cases {
        let reply = database.run_command(&command);
        assert_eq!(reply.get_i32("code").unwrap(), code, "{command:?}: {reply:?}");
        let sentence = reply.get_str("errmsg").unwrap();
        assert!(sentence.contains(says), "{command:?}: {sentence}");
    }
    assert_eq!(store.list("", None, 10).unwrap(), []);
}
