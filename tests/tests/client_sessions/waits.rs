//! Commands that wait, for a lock or for a document.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{CommandFuture, Started, Store, StoreOptions};
use lockstore_testkit::clock::ManualClock;
use lockstore_tests::task::Task;

use super::{check, id, insert, retried, run, with};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
enum What {
    Lock,
    Document,
}

impl What {
    const BOTH: [Self; 2] = [Self::Lock, Self::Document];

    /// Somebody asks for it, for as long as that takes.
    fn ask(self, holder: &str) -> RawDocumentBuf {
        match self {
            Self::Lock => rawdoc! { "lockAcquire": "k", "holder": holder, "wait": "forever" },
            Self::Document => rawdoc! {
                "lockDocument": "jobs", "filter": { "a": 1 }, "lockId": holder, "sleepMS": 600_000,
                "maxWaitMS": i64::MAX,
            },
        }
    }

    /// By what it is held.
    #[track_caller]
    fn token(self, reply: &RawDocument) -> i64 {
        match self {
            Self::Lock => reply.get_i64("token").unwrap(),
            Self::Document => reply.get_document("fence").unwrap().get_i64("token").unwrap(),
        }
    }

    #[track_caller]
    fn release(self, store: &Store, granted: &RawDocument) {
        let release = match self {
            Self::Lock => {
                let holder = store.inspect("k").unwrap().unwrap().holders[0].holder.to_string();
                rawdoc! { "lockRelease": "k", "holder": holder, "token": self.token(granted) }
            }
            Self::Document => {
                let fence = granted.get_document("fence").unwrap().to_owned();
                rawdoc! { "unlockDocument": "jobs", "fence": fence }
            }
        };
        let reply = run(store, release);
        assert!(reply.get_f64("ok").is_ok_and(|ok| ok > 0.0), "{reply:?}");
    }

    /// Who asked first has it, and who asks in session 1 waits.
    #[track_caller]
    fn wait(self, store: &Store, number: i64) -> (RawDocumentBuf, CommandFuture) {
        let first = run(store, self.ask("first"));
        self.token(&first);
        (first, pending(store, &with(self.ask("late"), 1, number)))
    }
}

fn start(store: &Store, command: &RawDocument) -> Started {
    store.database("test").start_command(command)
}

#[track_caller]
fn pending(store: &Store, command: &RawDocument) -> CommandFuture {
    match start(store, command) {
        Started::Pending(waits) => waits,
        Started::Reply(reply) => panic!("it does not wait: {reply:?}"),
    }
}

#[track_caller]
fn replied(store: &Store, command: &RawDocument) -> RawDocumentBuf {
    match start(store, command) {
        Started::Reply(reply) => reply,
        Started::Pending(_) => panic!("it waits"),
    }
}

fn with_clock() -> (Store, ManualClock) {
    let clock = ManualClock::new();
    let options = StoreOptions::new().clock(Arc::new(clock.clone()));
    let store = options.open_in_memory().unwrap();
    run(&store, insert());
    (store, clock)
}

/// So much time passes that session 9, which nobody uses, ends.
fn pass_half_an_hour(store: &Store, clock: &ManualClock) {
    assert!(!retried(&run(store, with(insert(), 9, 1))), "it is new");
    let sessions = store.stats().unwrap().client_sessions;
    clock.advance(Duration::from_secs(31 * 60));
    while store.stats().unwrap().client_sessions >= sessions {
        thread::yield_now();
    }
}

#[test]
fn a_granted_wait_that_nobody_heard_of_is_told_again_only_while_it_stands() {
    for what in What::BOTH {
        let store = Store::in_memory().unwrap();
        run(&store, insert());
        for number in 0..20 {
            let ask = with(what.ask("late"), 1, number);
            let (first, waits) = what.wait(&store, number);
            what.release(&store, &first);
            let granted = if number % 2 == 0 {
                // It has gone, and somebody else has it by the time the command comes again.
                drop(waits);
                let other = run(&store, what.ask("other"));
                let again = pending(&store, &ask);
                what.release(&store, &other);
                let granted = Task::new(again).outcome();
                assert!(what.token(&granted) > what.token(&other), "{granted:?}");
                granted
            } else {
                // It is told to whom asks again, so it is not handed on when the first call ends.
                let granted = replied(&store, &ask);
                drop(waits);
                drop(pending(&store, &what.ask("other")));
                granted
            };
            assert_eq!(replied(&store, &ask), granted, "{what:?}");
            what.release(&store, &granted);
        }
        check(&store);
    }
}

#[test]
fn a_session_in_which_something_waits_is_in_use() {
    for what in What::BOTH {
        let (store, clock) = with_clock();
        let (first, waits) = what.wait(&store, 1);
        for _ in 0..3 {
            pass_half_an_hour(&store, &clock);
        }
        what.release(&store, &first);
        let granted = Task::new(waits).outcome();
        assert_eq!(replied(&store, &with(what.ask("late"), 1, 1)), granted, "{what:?}");
        assert_eq!(check(&store), 1, "{what:?}");
        pass_half_an_hour(&store, &clock);
        while check(&store) > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn a_session_whose_wait_was_given_up_ends_as_any() {
    for what in What::BOTH {
        let (store, clock) = with_clock();
        let (_first, waits) = what.wait(&store, 1);
        pass_half_an_hour(&store, &clock);
        drop(waits);
        assert_eq!(store.stats().unwrap().client_sessions, 1);
        pass_half_an_hour(&store, &clock);
        while store.stats().unwrap().client_sessions > 0 {
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_is_remembered_of_a_wait_whose_session_has_ended() {
    for what in What::BOTH {
        let (store, _clock) = with_clock();
        let (first, waits) = what.wait(&store, 1);
        let ended = run(&store, rawdoc! { "endSessions": [{ "id": id(1) }] });
        assert!(ended.get_f64("ok").is_ok_and(|ok| ok > 0.0), "{ended:?}");
        assert_eq!(store.stats().unwrap().client_sessions, 0);
        what.release(&store, &first);
        what.token(&Task::new(waits).outcome());
        assert_eq!(check(&store), 0, "{what:?}");
    }
}
