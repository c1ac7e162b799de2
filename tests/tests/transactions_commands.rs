//! Transactions by commands that change locks: what is noted and what is refused, and what their commit answers, however often it is
//! asked for.

use bson::{
    Binary, RawArrayBuf, RawDocument, RawDocumentBuf, cstr, rawdoc, spec::BinarySubtype::Uuid,
};
use lockstore::{Store, Token};

/// A transaction of a client session.
#[derive(Clone, Copy)]
struct Within<'s> {
    store: &'s Store,
    session: u8,
    number: i64,
}

impl Within<'_> {
    fn run(self, mut command: RawDocumentBuf) -> RawDocumentBuf {
        let id = Binary { subtype: Uuid, bytes: vec![self.session; 16] };
        command.append(cstr!("lsid"), rawdoc! { "id": id });
        command.append(cstr!("txnNumber"), self.number);
        command.append(cstr!("autocommit"), false);
        self.store.database("admin").run_command(&command)
    }

    /// Runs its first command.
    fn begin(self, mut command: RawDocumentBuf) -> RawDocumentBuf {
        command.append(cstr!("startTransaction"), true);
        self.run(command)
    }

    /// Runs its first command as our own clients do, whose transactions go on after a failure.
    fn begin_ours(self, mut command: RawDocumentBuf) -> RawDocumentBuf {
        command.append(cstr!("lockTransaction"), rawdoc! { "goesOn": true });
        self.begin(command)
    }

    #[track_caller]
    fn note(self, command: RawDocumentBuf) {
        assert_eq!(self.run(command), rawdoc! { "inCommit": true, "ok": 1.0 });
    }

    fn commit(self) -> RawDocumentBuf {
        self.run(rawdoc! { "commitTransaction": 1 })
    }
}

fn in_session(store: &Store, session: u8, number: i64) -> Within<'_> {
    Within { store, session, number }
}

fn acquire(key: &str) -> RawDocumentBuf {
    rawdoc! { "lockAcquire": key, "holder": "me", "ttlMS": 60_000 }
}

fn insert() -> RawDocumentBuf {
    rawdoc! { "insert": "jobs", "documents": [{}] }
}

#[track_caller]
fn refused(reply: &RawDocument, code: i32) {
    assert_eq!(reply.get_i32("code").ok(), Some(code), "{reply:?}");
    assert_eq!(reply.get_f64("ok").ok(), Some(0.0), "{reply:?}");
}

/// The replies of the calls that a commit has made.
fn locks(committed: &RawDocument) -> Vec<RawDocumentBuf> {
    let locks = committed.get_array("locks").unwrap_or_else(|_| panic!("{committed:?}"));
    locks.into_iter().map(|reply| reply.unwrap().as_document().unwrap().to_owned()).collect()
}

fn token(store: &Store, key: &str) -> Option<i64> {
    let lock = store.inspect(key).unwrap()?;
    Some(lock.holders[0].token.get().cast_signed())
}

fn count(store: &Store) -> i32 {
    let reply = store.database("admin").run_command(&rawdoc! { "count": "jobs" });
    reply.get_i32("n").unwrap()
}

#[test]
fn a_commit_answers_what_each_call_answers_outside_and_so_it_does_when_it_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let store = Store::open(&path).unwrap();
    let renewed = store.lock("renewed").holder("me").acquire().unwrap().leak();
    let released = store.lock("released").holder("me").acquire().unwrap().leak();
    let within = in_session(&store, 1, 7);
    assert_eq!(within.begin(insert()).get_i32("n").unwrap(), 1);
    within.note(acquire("new"));
    let token_of = |token: Token| token.get().cast_signed();
    // A grant is named by its token, or is the one that the holder has.
    let token_renewed = token_of(renewed.token);
    within.note(
        rawdoc! { "lockRenew": "renewed", "holder": "me", "token": token_renewed, "ttlMS": 9_000 },
    );
    within.note(rawdoc! { "lockRelease": "released", "holder": "me" });
    assert_eq!((token(&store, "new"), count(&store)), (None, 0));
    assert_eq!(token(&store, "released"), Some(token_of(released.token)));

    let committed = within.commit();
    let [new, renewed, released] = &*locks(&committed) else { panic!("{committed:?}") };
    assert_eq!(new.get_i64("token").ok(), token(&store, "new"));
    assert!(!new.get_bool("rejoined").unwrap());
    assert_eq!(new.get_i64("ttlMS").unwrap(), 60_000);
    let of = |name: &str| renewed.get_i64(name).unwrap();
    assert_eq!((of("token"), of("ttlMS")), (token_renewed, 9_000));
    assert_eq!(*released, rawdoc! { "ok": 1.0 });
    assert_eq!((token(&store, "released"), count(&store)), (None, 1));

    assert_eq!(within.commit(), committed);
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(in_session(&store, 1, 7).commit(), committed);
    assert_eq!(new.get_i64("token").ok(), token(&store, "new"));
    assert_eq!(count(&store), 1);
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn what_stands_in_the_way_is_told_at_once_and_ends_a_drivers_transaction() {
    let store = Store::in_memory().unwrap();
    let _other = store.lock("held").holder("other").acquire().unwrap();
    let mine = store.lock("mine").holder("me").shared().acquire().unwrap();
    let cases = [
        (acquire("held"), 100_000_001),
        (acquire("mine"), 100_000_002),
        (rawdoc! { "lockRelease": "nobody's", "holder": "me" }, 100_000_004),
        (rawdoc! { "lockRenew": "held", "holder": "me" }, 100_000_005),
        (rawdoc! { "lockAcquire": "free", "holder": "me", "wait": "forever" }, 263),
        (
            rawdoc! { "lockRelease": "mine", "holder": "me", "token": 1_i64, "unlessRejoined": true },
            263,
        ),
        (rawdoc! { "lockAcquire": "free" }, 40414),
        (rawdoc! { "lockRenew": "\0document/1/1", "holder": "me" }, 2),
    ];
    for (number, (command, code)) in (0..).zip(cases) {
        let driver = in_session(&store, 1, number);
        driver.begin(insert());
        refused(&driver.run(command.clone()), code);
        refused(&driver.commit(), 251);
        // It is the same where it is the first command.
        refused(&in_session(&store, 2, number).begin(command.clone()), code);
        refused(&in_session(&store, 2, number).commit(), 251);
        let ours = in_session(&store, 3, number);
        refused(&ours.begin_ours(command), code);
        ours.note(acquire("free"));
        assert_eq!(locks(&ours.commit()).len(), 1);
    }
    let outside = store.database("admin").run_command(&acquire("held"));
    let inside = in_session(&store, 1, 100).begin(acquire("held"));
    assert_eq!(inside.get_document("heldBy").unwrap(), outside.get_document("heldBy").unwrap());
    assert_eq!((count(&store), mine.is_lost()), (0, false));
}

#[test]
fn a_transaction_changes_a_lock_once_and_waits_for_none_and_breaks_none() {
    let store = Store::in_memory().unwrap();
    let ours = in_session(&store, 1, 1);
    assert!(ours.begin_ours(acquire("k")).get_bool("inCommit").unwrap());
    refused(&ours.run(acquire("k")), 2);
    refused(&ours.run(rawdoc! { "lockRelease": "k", "holder": "me" }), 2);
    for command in [
        rawdoc! { "lockWait": "k" },
        rawdoc! { "lockBreak": "k", "token": 1_i64, "reason": "" },
        rawdoc! { "lockInspect": "k" },
        rawdoc! { "lockSessionOpen": 1 },
        rawdoc! { "lockDocument": "jobs" },
    ] {
        refused(&ours.run(command), 263);
    }
    assert_eq!(locks(&ours.commit()).len(), 1);
}

#[test]
fn a_commit_that_cannot_be_has_changed_nothing_and_says_why() {
    let store = Store::in_memory().unwrap();
    let ours = in_session(&store, 1, 1);
    ours.begin_ours(insert());
    ours.note(acquire("taken"));
    let taken = store.lock("taken").acquire().unwrap();
    let conflict = ours.commit();
    refused(&conflict, 112);
    let labels = conflict.get_array("errorLabels").unwrap();
    assert_eq!(labels.get_str(0).unwrap(), "TransientTransactionError");
    taken.release().unwrap();

    let lost = store.lock("lost").holder("me").acquire().unwrap();
    let ours = in_session(&store, 1, 2);
    ours.begin_ours(insert());
    ours.note(rawdoc! { "lockRelease": "lost", "holder": "me" });
    ours.note(acquire("other"));
    lost.release().unwrap();
    let reply = ours.commit();
    refused(&reply, 107);
    let info = reply.get_document("errInfo").unwrap().get_document("lockLost").unwrap();
    assert_eq!(info.get_str("key").unwrap(), "lost");
    assert!(reply.get_array("errorLabels").is_err());
    refused(&ours.commit(), 251);
    assert_eq!((count(&store), token(&store, "taken"), token(&store, "other")), (0, None, None));
}

#[test]
fn a_transaction_that_only_relies_on_locks_is_its_commit_and_is_committed_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.redb");
    let store = Store::open(&path).unwrap();
    let held = store.lock("k").holder("me").acquire().unwrap().leak();
    let token = held.token.get().cast_signed();
    let fences: RawArrayBuf =
        [rawdoc! { "key": "k", "holder": "me", "token": token }].into_iter().collect();
    let commit = rawdoc! { "commitTransaction": 1, "lockFences": fences };
    let reply = in_session(&store, 1, 1).begin_ours(commit.clone());
    assert_eq!(reply, rawdoc! { "ok": 1.0 });
    store.release("k", "me", None).unwrap();
    assert_eq!(in_session(&store, 1, 1).begin_ours(commit.clone()), reply);
    store.close().unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!(in_session(&store, 1, 1).begin_ours(commit.clone()), reply);
    refused(&in_session(&store, 1, 2).begin_ours(commit), 107);
}

#[test]
fn a_commit_that_comes_again_when_its_session_is_gone_is_told_that_nobody_knows() {
    let store = Store::in_memory().unwrap();
    let within = in_session(&store, 1, 1);
    within.begin(insert());
    within.note(acquire("k"));
    let committed = within.commit();
    let again = rawdoc! { "commitTransaction": 1, "lockRetry": true };
    assert_eq!(within.run(again.clone()), committed);
    let session = Binary { subtype: Uuid, bytes: vec![1; 16] };
    store.database("admin").run_command(&rawdoc! { "endSessions": [{ "id": session }] });
    let reply = within.run(again);
    assert_eq!(reply.get_array("errorLabels").unwrap().get_str(0).unwrap(), "OutcomeUnknown");
    // A driver's commit does not say that it comes again.
    refused(&within.commit(), 251);
    assert_eq!(count(&store), 1);
}
