//! What is looked for again and again.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::thread;
use std::time::{Duration, Instant};

use bson::{DateTime, Document, doc, rawdoc};
use lockstore::{Collection, Database};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

#[test]
fn what_runs_out_is_found_without_a_look_at_the_many_locks_that_are_free() {
    let (locks, documents) = (new_database(), new_database());
    let options = ReplicaSetOptions::new().database(&locks).look_again(Duration::from_millis(100));
    let store = options.connect(&ReplicaSet::shared().uri()).unwrap();
    let own = store.database(&locks);
    let free = |key: String| doc! { "_id": key, "grants": [], "freedAt": DateTime::now() };
    let of_documents = (0..FREE).map(|number| format!("\0document/{documents}.jobs/{number}"));
    let keys = (0..FREE).map(|number| format!("k{number}")).chain(of_documents);
    own.collection::<Document>("locks").insert_many(keys.map(free)).run().unwrap();

    let session = store.session().unwrap();
    let _bound = store.lock("bound").session(&session).acquire().unwrap();
    profiled(&own, 2);
    let _events = store.subscribe("").unwrap();
    let jobs: Collection = store.database(&documents).collection("jobs");
    let nothing = jobs.lock_document(doc! { "state": "todo" }).acquire().unwrap();
    assert!(nothing.locked_document().is_none());
    let start = Instant::now();
    let asked = loop {
        let asked = asked(&own);
        let often = |by: &str| asked.iter().filter(|it| it.to_string().contains(by)).count() > 3;
        if often("$due") && often("grants.session") {
            break asked;
        }
        assert!(start.elapsed() < PATIENCE, "nothing is looked for: {asked:?}");
        thread::sleep(Duration::from_millis(20));
    };
    profiled(&own, 0);
    for asked in asked {
        let examined = asked.get_i32("docsExamined").unwrap_or_default();
        assert!(examined < 10, "{asked}");
    }
}

/// Whether MongoDB is to record all that it is asked: 2, or nothing: 0.
fn profiled(own: &Database, level: i32) {
    let set = own.run_command(&rawdoc! { "profile": level });
    assert!(set.get_f64("ok").unwrap() > 0.0, "{set:?}");
}

/// What MongoDB was asked about the locks.
fn asked(own: &Database) -> Vec<Document> {
    let profile = own.collection::<Document>("system.profile");
    let about = doc! { "ns": format!("{}.locks", own.name()) };
    profile.find(about).run().unwrap().collect::<Result<_, _>>().unwrap()
}

const FREE: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(100);
