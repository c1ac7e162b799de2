//! A process with many threads that write documents is killed with `SIGKILL` at random moments, and its store is
//! opened again: what was answered is there, what was on its way is there whole or not at all, and every index agrees
//! with its collection.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lockstore::StoreOptions;
use lockstore_testkit::crash::{CrashTest, Ending};
use lockstore_tests::GRACE;
use lockstore_tests::dice::seed;
use lockstore_tests::document_worker::{DocumentAccount, DocumentFact};

#[test]
fn no_document_is_lost_when_a_busy_process_is_killed() {
    let seed = seed(4);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("documents.redb");
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash_child"));
    command.arg(&path).arg("documents");
    let mut test = CrashTest::new(command)
        .seed(seed)
        .after_records(1..200)
        .then_after(Duration::ZERO..Duration::from_millis(50));
    let (mut account, mut facts) = (DocumentAccount::default(), 0);
    for _ in 0..60 {
        let round = test.round::<DocumentFact>().expect("the process works until it is killed");
        assert_eq!(round.ending, Ending::Killed);
        facts += round.records.len();
        round.records.into_iter().for_each(|fact| account.take(fact));
        check(&path, &mut account);
    }
    eprintln!("{facts} answers about {} documents", account.documents());
    assert!(facts > 60 * 20, "only {facts} answers in all");
}

fn check(path: &Path, account: &mut DocumentAccount) {
    let store = StoreOptions::new().restart_grace(GRACE).open(path);
    let store = store.unwrap_or_else(|error| panic!("{} does not open: {error}", path.display()));
    account.check(&store);
    store.close().expect("the store closes");
}
