//! Servers that stop while they are at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bson::{Document, RawArrayBuf, doc, rawdoc};
use lockstore::{
    BootId, Clock, DocumentError, Instant, Store, StoreError, StoreOptions, SystemClock, WallTime,
};
use lockstore_server::{ConnectOptions, ServerOptions};
use lockstore_tests::patience::eventually;

use super::{Place, client};

/// A clock that counts how often it is asked.
#[derive(Debug)]
struct Asked {
    clock: SystemClock,
    times: AtomicU64,
}

impl Clock for Asked {
    fn now(&self) -> Instant {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.clock.now()
    }
    fn wall(&self) -> WallTime {
        self.clock.wall()
    }
    fn boot_id(&self) -> BootId {
        self.clock.boot_id()
    }
    fn on_jump(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        self.clock.on_jump(wake);
    }
}

/// Of a server that has no patience with what is at work.
fn at_once() -> ServerOptions {
    ServerOptions::new().stop_patience(Duration::ZERO)
}

#[test]
fn a_server_that_stops_ends_a_pipeline_that_would_not_end() {
    let place = Place::new();
    let clock = Arc::new(Asked { clock: SystemClock::new().unwrap(), times: AtomicU64::new(0) });
    let store = StoreOptions::new().clock(clock.clone()).open(place.file()).unwrap();
    let server = place.serve(store, at_once()).unwrap();
    let ids = (0..300).map(|id| rawdoc! { "_id": id }).collect::<RawArrayBuf>();
    let mut endless = client(&server);
    endless.run_command(&rawdoc! { "insert": "jobs", "documents": ids, "$db": "factory" }).unwrap();
    let lookup = rawdoc! { "$lookup": { "from": "jobs", "pipeline": [], "as": "x" } };
    let unwind = rawdoc! { "$unwind": "$x" };
    let mut stages: RawArrayBuf = [&lookup, &unwind].repeat(3).into_iter().cloned().collect();
    stages.push(rawdoc! { "$count": "n" });
    let pipeline = rawdoc! {
        "aggregate": "jobs", "pipeline": stages, "cursor": {}, "maxTimeMS": 3_600_000, "$db": "factory",
    };
    thread::scope(|scope| {
        let before = clock.times.load(Ordering::Relaxed);
        let reply = scope.spawn(move || endless.run_command(&pipeline));
        // Nobody else asks for the time so often.
        eventually("it is at work", || clock.times.load(Ordering::Relaxed) > before + 1_000);
        server.stop().unwrap();
        match reply.join().unwrap() {
            Ok(reply) => assert_eq!(reply.get_i32("code").unwrap(), 91, "{reply:?}"),
            Err(error) => panic!("it is answered: {error}"),
        }
    });
}

/// Some of the documents are changed by then: nobody knows which, so it is not done once more.
#[test]
fn a_change_of_many_documents_that_a_stopping_server_cuts_off_is_not_sent_again() {
    const MANY: i32 = 2_000;
    let place = Place::new();
    let server = place.start(at_once()).unwrap();
    let connect = || ConnectOptions::new().program("/nowhere").connect(place.file()).unwrap();
    let jobs = |store: &Store| store.database("factory").collection::<Document>("jobs");
    let store = connect();
    jobs(&store).insert_many((0..MANY).map(|id| doc! { "_id": id, "n": 0 })).run().unwrap();
    let looker = connect();
    let changed = |store: &Store, n: i32| {
        jobs(store).count_documents(doc! { "n": { "$gte": n } }).run().unwrap()
    };
    let next = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            // As much work for each as an expression may be, so that all of them take minutes.
            let numbers = doc! { "$range": [0, 10_000] };
            let sum = doc! { "$reduce": {
                "input": numbers, "initialValue": 0, "in": { "$add": ["$$value", "$$this"] },
            } };
            let n = doc! { "$add": ["$n", { "$min": [1, sum] }] };
            jobs(&store).update_many(doc! {}, [doc! { "$set": { "n": n } }]).run()
        });
        eventually("it is at work", || changed(&looker, 1) > 0);
        server.stop().unwrap();
        // Who asks again finds the next one.
        let next = place.start(ServerOptions::new()).unwrap();
        let cut_off = changing.join().unwrap().unwrap_err();
        let is_unknown = matches!(cut_off, DocumentError::Store(StoreError::OutcomeUnknown { .. }));
        assert!(is_unknown, "{cut_off:?}");
        next
    });
    assert!((1..u64::from(MANY.unsigned_abs())).contains(&changed(&looker, 1)), "it was cut off");
    assert_eq!(changed(&looker, 2), 0, "nothing is changed twice");
    assert!(looker.check().unwrap().is_sound());
    next.stop().unwrap();
}
