//! Processes with 64 threads do the jobs of one queue, each under a lock of its document, and are killed with `SIGKILL` at
//! random moments: every job is done exactly once.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockstore::StoreOptions;
use lockstore_testkit::crash::{CrashTest, Ending};
use lockstore_tests::GRACE;
use lockstore_tests::dice::seed;
use lockstore_tests::queue_worker::{QueueAccount, QueueFact, fill};

#[test]
fn each_job_of_a_queue_is_done_once_through_kills_and_restarts() {
    let seed = seed(5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.redb");
    let store = StoreOptions::new().open(&path).unwrap();
    fill(&store, JOBS);
    store.close().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash_child"));
    command.arg(&path).arg("queue");
    let mut test = CrashTest::new(command)
        .seed(seed)
        .after_records(1..1_500)
        .then_after(Duration::ZERO..Duration::from_millis(20));
    let (mut account, mut kills) = (QueueAccount::default(), 0);
    loop {
        let round = test.round::<QueueFact>().expect("the process works until it is killed");
        round.records.iter().for_each(|fact| account.take(fact));
        let left = check(&path, &account);
        match round.ending {
            Ending::Killed => kills += 1,
            Ending::Exited(_) => {
                assert_eq!(left, 0, "it ends when all is done");
                break;
            }
        }
    }
    eprintln!("{kills} kills, {} jobs locked again", account.retaken());
    assert!(kills >= 10, "only {kills} kills");
    assert!(account.retaken() > 0, "nobody was killed with a job");
}

fn check(path: &Path, account: &QueueAccount) -> usize {
    let store = StoreOptions::new().restart_grace(GRACE).open(path);
    let store = store.unwrap_or_else(|error| panic!("{} does not open: {error}", path.display()));
    let left = account.check(&store);
    store.close().expect("the store closes");
    left
}

const JOBS: i64 = 10_000;
