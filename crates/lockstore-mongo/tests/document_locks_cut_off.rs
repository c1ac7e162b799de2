//! A process that is cut off from its replica set while it has documents locked and wants others.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::{Duration, Instant};

use bson::doc;
use lockstore::{Collection, Store};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

const PATIENCE: Duration = Duration::from_secs(1);
/// The driver itself waits longer for a server that does not answer.
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn who_is_cut_off_is_told_in_time_and_what_came_too_late_is_given_back() {
    let (set, locks, documents) = (ReplicaSet::start().unwrap(), new_database(), new_database());
    let connect = |patience: Duration| -> Store {
        let options = ReplicaSetOptions::new().database(&locks).patience(patience);
        options.connect_timeout(MINUTE).connect(&set.uri()).unwrap()
    };
    // MongoDB keeps a transaction whose client has gone for up to 90 s: until then its document is a conflict.
    let (store, later) = (connect(PATIENCE), connect(MINUTE * 3));
    let jobs_in = |store: &Store| -> Collection { store.database(&documents).collection("jobs") };
    let jobs = jobs_in(&store);
    jobs.insert_many((0..5).map(|id| doc! { "_id": id })).run().unwrap();
    let lock = |id: i32| jobs.lock_document(doc! { "_id": id });
    let (held, renewed, released) =
        (lock(0).acquire().unwrap(), lock(1).acquire().unwrap(), lock(2).acquire().unwrap());

    for member in set.members() {
        set.stop(member).unwrap();
    }
    let in_time = |call: &dyn Fn() -> bool| {
        let begin = Instant::now();
        assert!(!call(), "nobody can know");
        assert!(begin.elapsed() < MINUTE / 2, "{:?}", begin.elapsed());
    };
    let (held, renewed, lock) = (&held, &renewed, &lock);
    thread::scope(|scope| {
        let wanted = |id| lock(id).sleep(PATIENCE).max_wait(PATIENCE);
        scope.spawn(|| in_time(&|| held.holds()));
        scope.spawn(|| in_time(&|| renewed.renew().is_ok()));
        scope.spawn(|| {
            let begin = Instant::now();
            released.release().unwrap_err();
            assert!(begin.elapsed() < MINUTE / 2, "{:?}", begin.elapsed());
        });
        scope.spawn(move || in_time(&|| lock(3).acquire().is_ok()));
        scope.spawn(move || in_time(&|| wanted(4).acquire().is_ok()));
    });
    for member in set.members() {
        set.go_on(member).unwrap();
    }
    set.wait_until_whole().unwrap();

    let at_last = |is_so: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !is_so() {
            assert!(begin.elapsed() < MINUTE);
            thread::sleep(Duration::from_millis(20));
        }
    };
    at_last(&|| held.holds());
    at_last(&|| renewed.renew().is_ok());
    let jobs = jobs_in(&later);
    for id in [3, 4] {
        let asked = jobs.lock_document(doc! { "_id": id }).sleep(MINUTE).max_wait(MINUTE * 2);
        assert!(asked.acquire().unwrap().locked_document().is_some());
    }
}
