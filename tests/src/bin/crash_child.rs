//! The process that is killed: many busy threads on one store, which tell what they were answered.
//!
//! `crash_child STORE work`, or `crash_child STORE maintain` with compactions and backups (to
//! `STORE.backup.N`) at the same time, or `crash_child STORE documents`, whose threads write documents, or
//! `crash_child STORE queue`, whose threads do the jobs of a queue, and which ends when all are done.

use std::path::Path;
use std::thread;

use lockstore::{Event, EventKind, Store, SystemClock};
use lockstore_testkit::crash::Ledger;
use lockstore_tests::dice::Dice;
use lockstore_tests::document_worker::{DocumentFact, DocumentWorker};
use lockstore_tests::fact::Fact;
use lockstore_tests::queue_worker::{QueueFact, QueueWorker};
use lockstore_tests::worker::Worker;
use lockstore_tests::{GRACE, THREADS};

fn main() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // One thread that fails ends the process: its parent must not take it for one that works.
        told(panic);
        std::process::exit(101);
    }));
    let ledger = Ledger::from_env().expect("a test that kills this process");
    let mut args = std::env::args().skip(1);
    let path = args.next().expect("the path of a store");
    let work = args.next();
    let maintains = work.as_deref() == Some("maintain");
    let store = lockstore::StoreOptions::new().restart_grace(GRACE).open(&path);
    let store = store.expect("the store opens after every crash");
    if work.as_deref() == Some("documents") {
        write_documents(&store, &ledger);
    }
    if work.as_deref() == Some("queue") {
        return do_jobs(&store, &ledger);
    }
    let events = store.subscribe("").expect("the store serves");
    let report = |fact: Fact| {
        if ledger.acknowledge(&fact).is_err() {
            // The parent is gone, and with it everybody who would end this process.
            std::process::exit(1);
        }
    };
    let clock = SystemClock::new().expect("the machine has a clock");
    thread::scope(|scope| {
        for number in 0..THREADS {
            let mut worker = Worker {
                store: &store,
                clock: clock.clone(),
                dice: Dice::new(ledger.seed() ^ (ledger.round() << 8) ^ number),
                name: format!("{}/{number}", ledger.round()),
                report: &report,
                taken: 0,
            };
            scope.spawn(move || {
                let error = worker.work().expect_err("a worker goes on for ever");
                panic!("{worker:?}: {error}");
            });
        }
        scope.spawn(|| {
            // What an event tells is durable, and for an expiry nobody else tells it.
            for Event { kind, .. } in &*events {
                if let EventKind::Ended { token, .. } = kind {
                    report(Fact::Ended { token });
                }
            }
        });
        if maintains {
            scope.spawn(|| maintain(&store, Path::new(&path), ledger.round()));
        }
    });
}

/// Writes documents for ever.
fn write_documents(store: &Store, ledger: &Ledger) -> ! {
    let report = |fact: DocumentFact| {
        if ledger.acknowledge(&fact).is_err() {
            // As above.
            std::process::exit(1);
        }
    };
    thread::scope(|scope| {
        for number in 0..THREADS {
            let mut worker = DocumentWorker {
                store,
                dice: Dice::new(ledger.seed() ^ (ledger.round() << 8) ^ number),
                name: format!("{}/{number}", ledger.round()),
                report: &report,
                versions: Vec::new(),
            };
            scope.spawn(move || panic!("{}", worker.work()));
        }
    });
    unreachable!("a worker that ends ends the process")
}

/// Does the jobs of a queue.
fn do_jobs(store: &Store, ledger: &Ledger) {
    let report = |fact: QueueFact| {
        if ledger.acknowledge(&fact).is_err() {
            // As above.
            std::process::exit(1);
        }
    };
    let session = store.session().expect("the store serves");
    thread::scope(|scope| {
        for number in 0..QUEUE_THREADS {
            let worker = QueueWorker {
                store,
                session: (number % 2 == 0).then_some(&session),
                name: format!("{}/{number}", ledger.round()),
                report: &report,
            };
            scope.spawn(move || worker.work());
        }
    });
}

fn maintain(store: &Store, path: &Path, round: u64) {
    for number in 0_u64.. {
        let backup = path.with_extension(format!("backup.{round}.{number}"));
        store.backup(backup).expect("the store can be copied");
        store.compact().expect("the store can be compacted");
        let report = store.check().expect("the store can be checked");
        assert!(report.is_sound(), "{:?}", report.problems);
    }
}

/// How many threads do the jobs of a queue.
const QUEUE_THREADS: u64 = 64;
