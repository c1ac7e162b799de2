//! A process with many busy threads is killed with `SIGKILL` at random moments, hundreds of times, and its
//! store is opened again.
//!
//! Each call that the library has answered is told to this process through a pipe, so here it is known what
//! must be on disk: see [`Account`]. What was in flight may have happened or not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lockstore::{Clock, Store, StoreOptions, SystemClock};
use lockstore_testkit::crash::{CrashTest, Ending};
use lockstore_tests::GRACE;
use lockstore_tests::account::Account;
use lockstore_tests::dice::{Dice, seed};
use lockstore_tests::fact::Fact;

#[test]
fn nothing_acknowledged_is_lost_when_a_busy_process_is_killed() {
    let seed = seed(1);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.redb");
    let mut test = child(&path, "work", seed)
        .after_records(1..100)
        .then_after(Duration::from_millis(5)..Duration::from_millis(50));
    let facts = kill_again_and_again(&mut test, &path, 200, seed);
    assert!(facts > 200 * 20, "only {facts} answers in all");
}

#[test]
fn nothing_acknowledged_is_lost_when_a_process_is_killed_in_maintenance() {
    let seed = seed(2);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("locks.redb");
    let mut test = child(&path, "maintain", seed)
        .after_records(1..100)
        .then_after(Duration::ZERO..Duration::from_millis(40));
    kill_again_and_again(&mut test, &path, 40, seed);
    let mut backups = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let name = entry.unwrap().path();
        if name.to_string_lossy().contains(".backup.") {
            let backup = open(&name);
            let report = backup.check().unwrap();
            assert!(report.is_sound(), "{}: {:?}", name.display(), report.problems);
            backups += 1;
        }
    }
    eprintln!("{backups} backups");
}

#[test]
fn a_store_opens_when_its_maker_was_killed_at_any_moment_of_making_it() {
    let seed = seed(3);
    let folder = tempfile::tempdir().unwrap();
    for round in 0..40 {
        let path = folder.path().join(format!("{round}.redb"));
        let mut test = child(&path, "work", seed ^ round)
            .after_records(0..1)
            .then_after(Duration::ZERO..Duration::from_millis(20));
        // Twice: the second process opens what the first one left, and is killed in that.
        kill_again_and_again(&mut test, &path, 2, seed ^ round);
    }
}

/// Returns how many answers were told in all.
fn kill_again_and_again(test: &mut CrashTest, path: &Path, rounds: u64, seed: u64) -> usize {
    let clock = SystemClock::new().expect("the machine has a clock");
    let (mut account, mut dice, mut facts) = (Account::default(), Dice::new(seed), 0);
    for _ in 0..rounds {
        let round = test.round::<Fact>().expect("the process works until it is killed");
        assert_eq!(round.ending, Ending::Killed);
        facts += round.records.len();
        for fact in round.records {
            account.take(fact);
        }
        // Sometimes the next process finds the file as the kill left it.
        let looked_at = path.with_extension("looked-at");
        let looks_at_a_copy = dice.chance(1, 2) && path.exists();
        if looks_at_a_copy {
            fs::copy(path, &looked_at).expect("the file can be copied");
            if journal_of(path).exists() {
                fs::copy(journal_of(path), journal_of(&looked_at)).expect("so can its journal");
            }
        }
        let store = open(if looks_at_a_copy { &looked_at } else { path });
        account.check(&store, || clock.now());
        if !looks_at_a_copy {
            account.check_next_token(&store);
        }
        store.close().expect("the store closes");
        if looks_at_a_copy {
            fs::remove_file(looked_at).expect("the copy is there");
        }
    }
    account.check_beliefs();
    eprintln!("{rounds} kills, {facts} answers, {} grants", account.grants());
    facts
}

fn journal_of(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    journal.into()
}

fn child(path: &Path, work: &str, seed: u64) -> CrashTest {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash_child"));
    command.arg(path).arg(work);
    CrashTest::new(command).seed(seed)
}

fn open(path: &Path) -> Store {
    let store = StoreOptions::new().restart_grace(GRACE).open(path);
    store.unwrap_or_else(|error| panic!("{} does not open: {error}", path.display()))
}
