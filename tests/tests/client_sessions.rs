//! Client sessions and their writes: what comes twice is done once, for as long as it is remembered.

#[path = "client_sessions/waits.rs"]
mod waits;

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bson::{Binary, RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc, spec::BinarySubtype};
use lockstore::{Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;

fn id(session: u8) -> Binary {
    Binary { subtype: BinarySubtype::Uuid, bytes: vec![session; 16] }
}

fn with(mut command: RawDocumentBuf, session: u8, number: i64) -> RawDocumentBuf {
    command.append(cstr!("lsid"), rawdoc! { "id": id(session) });
    command.append(cstr!("txnNumber"), number);
    command
}

fn run(store: &Store, command: impl AsRef<RawDocument>) -> RawDocumentBuf {
    store.database("test").run_command(command.as_ref())
}

fn insert() -> RawDocumentBuf {
    rawdoc! { "insert": "jobs", "documents": [{ "a": 1 }] }
}

fn count(store: &Store) -> i32 {
    run(store, rawdoc! { "count": "jobs" }).get_i32("n").unwrap()
}

fn retried(reply: &RawDocumentBuf) -> bool {
    matches!(reply.get("retriedStmtIds"), Ok(Some(_)))
        || matches!(reply.get("retriedStmtId"), Ok(Some(_)))
}

#[track_caller]
fn check(store: &Store) -> u64 {
    let report = store.check().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    report.client_sessions
}

#[test]
fn a_write_that_comes_twice_at_once_is_done_once() {
    let store = Store::in_memory().unwrap();
    for number in 0..50 {
        let replies: Vec<_> = thread::scope(|scope| {
            let both = [(); 2].map(|()| scope.spawn(|| run(&store, with(insert(), 1, number))));
            both.into_iter().map(|reply| reply.join().unwrap()).collect()
        });
        assert!(replies.iter().all(|reply| reply.get_i32("n").unwrap() == 1), "{replies:?}");
        assert_eq!(replies.iter().filter(|reply| retried(reply)).count(), 1, "{replies:?}");
    }
    assert_eq!(count(&store), 50);
    assert_eq!(check(&store), 1);
}

#[test]
fn many_statements_are_remembered_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let documents = || (0..1_000).map(|a| rawdoc! { "a": a }).collect::<RawArrayBuf>();
    let insert = || with(rawdoc! { "insert": "jobs", "documents": documents() }, 1, 1);
    let updates = || {
        let update = |a| rawdoc! { "q": { "a": a }, "u": { "$inc": { "times": 1 } } };
        (0..30).map(update).collect::<RawArrayBuf>()
    };
    let update = || with(rawdoc! { "update": "jobs", "updates": updates() }, 2, 1);
    let store = Store::open(&path).unwrap();
    assert!(!retried(&run(&store, insert())));
    assert!(!retried(&run(&store, update())));
    assert!(check(&store) >= 30);
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(store.stats().unwrap().client_sessions, 2);
    let reply = run(&store, insert());
    assert_eq!(reply.get_i32("n").unwrap(), 1_000);
    assert_eq!(reply.get_array("retriedStmtIds").unwrap().into_iter().count(), 1_000);
    let reply = run(&store, update());
    assert_eq!(reply.get_i32("nModified").unwrap(), 30);
    assert_eq!(reply.get_array("retriedStmtIds").unwrap().into_iter().count(), 30);
    assert_eq!(count(&store), 1_000);
    // What the next number does is all that is remembered then.
    assert!(!retried(&run(
        &store,
        with(rawdoc! { "delete": "jobs", "deletes": [{ "q": {}, "limit": 1 }] }, 2, 2)
    )));
    assert_eq!(run(&store, update()).get_i32("code").unwrap(), 225);
    let ended = rawdoc! { "endSessions": [{ "id": id(2) }] };
    assert!(run(&store, ended).get_i32("code").is_err());
    while check(&store) > 4 {
        thread::yield_now();
    }
    assert_eq!(store.stats().unwrap().client_sessions, 1);
}

#[test]
fn a_session_that_nobody_uses_ends_after_half_an_hour() {
    let clock = ManualClock::new();
    let options = StoreOptions::new().clock(Arc::new(clock.clone()));
    let store = options.open_in_memory().unwrap();
    run(&store, with(insert(), 1, 1));
    run(&store, with(insert(), 2, 1));
    clock.advance(Duration::from_secs(20 * 60));
    assert!(retried(&run(&store, with(insert(), 1, 1))), "it is used again");
    clock.advance(Duration::from_secs(11 * 60));
    while store.stats().unwrap().client_sessions > 1 || check(&store) > 1 {
        thread::yield_now();
    }
    assert!(retried(&run(&store, with(insert(), 1, 1))));
    assert!(
        !retried(&run(&store, with(insert(), 2, 1))),
        "nothing is known of it, as of a new one"
    );
    let mut resent = with(insert(), 3, 1);
    resent.append(cstr!("lockRetry"), true);
    let reply = run(&store, resent);
    assert_eq!(reply.get_str("codeName").unwrap(), "StoreOutcomeUnknown");
    assert_eq!(count(&store), 3);
}

#[test]
fn a_document_that_is_too_large_to_be_remembered_is_told_of() {
    let store = Store::in_memory().unwrap();
    for bytes in [1_000, 2 << 20] {
        let modify = || {
            let update = rawdoc! { "$set": { "text": "x".repeat(bytes) }, "$inc": { "times": 1 } };
            let command = rawdoc! {
                "findAndModify": "jobs", "query": { "_id": 1 }, "update": update, "upsert": true, "new": true,
            };
            with(command, 1, i64::try_from(bytes).unwrap())
        };
        let first = run(&store, modify());
        let again = run(&store, modify());
        if bytes == 1_000 {
            assert_eq!(first.get_document("value").unwrap(), again.get_document("value").unwrap());
            assert_eq!(
                first.get_document("lastErrorObject").unwrap(),
                again.get_document("lastErrorObject").unwrap()
            );
        } else {
            assert_eq!(again.get_i32("code").unwrap(), 217, "{again:?}");
        }
    }
    let times = run(&store, rawdoc! { "count": "jobs", "query": { "times": 2 } });
    assert_eq!(times.get_i32("n").unwrap(), 1, "each was done once");
}

#[test]
fn a_transaction_that_is_left_alone_ends_after_a_minute() {
    let clock = ManualClock::new();
    let store = StoreOptions::new().clock(Arc::new(clock.clone())).open_in_memory().unwrap();
    let within = |starts: bool| {
        let mut command = with(insert(), 1, 1);
        command.append(cstr!("autocommit"), false);
        if starts {
            command.append(cstr!("startTransaction"), true);
        }
        run(&store, command)
    };
    assert_eq!(within(true).get_i32("n").unwrap(), 1);
    clock.advance(Duration::from_secs(59));
    assert_eq!(within(false).get_i32("n").unwrap(), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(within(false).get_i32("code").unwrap(), 251);
    assert_eq!(count(&store), 0);
}
