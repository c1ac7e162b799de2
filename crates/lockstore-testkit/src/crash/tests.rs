//! The harness against processes whose behaviour is known: this test program, run again.

use std::fs::{self, OpenOptions};
use std::io::Write;

use super::*;

/// Appends numbers to a file for ever, and acknowledges each after it was written.
fn append_for_ever(ledger: &Ledger) -> io::Result<()> {
    let path = std::env::var_os("APPEND_TO").unwrap();
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    for n in 0.. {
        writeln!(file, "{n}")?;
        print!("noise without an end of line");
        ledger.acknowledge(&n)?;
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_had_happened() {
    if let Some(ledger) = Ledger::from_env() {
        append_for_ever(&ledger).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("numbers");
    let mut test = CrashTest::this_test("crash::tests::what_was_acknowledged_had_happened")
        .unwrap()
        .env("APPEND_TO", &path)
        .seed(1)
        .after_records(1..500);
    for _ in 0..5 {
        let round = test.round::<u64>().unwrap();
        let written = fs::read_to_string(&path).unwrap().lines().count() as u64;
        let acknowledged = round.records.len() as u64;
        assert_eq!(round.ending, Ending::Killed);
        assert_eq!(round.records, (0..acknowledged).collect::<Vec<_>>());
        assert!((acknowledged..=acknowledged + 1).contains(&written));
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_paused_process_stands_still() {
    if let Some(ledger) = Ledger::from_env() {
        for n in 0_u64.. {
            ledger.acknowledge(&n).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let name = "crash::tests::a_paused_process_stands_still";
    let running = CrashTest::this_test(name).unwrap().start::<u64>().unwrap();
    let patience = Duration::from_secs(60);
    assert!(running.wait_for_records(1, patience));
    let paused = pause(running.pid()).unwrap();
    // What was in the pipe when it stopped still arrives.
    std::thread::sleep(Duration::from_millis(50));
    let before = running.records();
    assert!(!running.wait_for_records(before + 1, Duration::from_millis(100)));
    paused.resume().unwrap();
    assert!(running.wait_for_records(before + 1, patience));
    running.kill().unwrap();
}

#[test]
fn a_process_that_ends_fails_or_lies_is_told_apart() {
    const NAME: &str = "crash::tests::a_process_that_ends_fails_or_lies_is_told_apart";
    if let Some(ledger) = Ledger::from_env() {
        match ledger.seed() {
            1 => ledger.acknowledge(&7_u64).unwrap(),
            2 => panic!("as planned"),
            _ => ledger.acknowledge(&"seven".to_owned()).unwrap(),
        }
        return;
    }
    let run = |name, seed| {
        let mut test = CrashTest::this_test(name).unwrap().seed(seed).after_records(10..11);
        test.round::<u64>()
    };
    let round = run(NAME, 1).unwrap();
    assert_eq!(round.records, [7]);
    assert!(matches!(round.ending, Ending::Exited(status) if status.success()));
    let failed = run(NAME, 2).unwrap_err();
    assert!(failed.to_string().contains("failed by itself"), "{failed}");
    let lied = run(NAME, 3).unwrap_err();
    assert_eq!(lied.kind(), io::ErrorKind::InvalidData, "{lied}");
    let missing = run("crash::tests::no_such_test", 1).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound, "{missing}");
}

#[test]
fn a_process_that_hangs_is_given_up() {
    if Ledger::from_env().is_some() {
        std::thread::sleep(Duration::from_secs(600));
    }
    let mut test = CrashTest::this_test("crash::tests::a_process_that_hangs_is_given_up")
        .unwrap()
        .patience(Duration::from_millis(200));
    let error = test.round::<u64>().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
}

#[test]
fn a_record_cut_by_the_kill_is_dropped() {
    let mut command = Command::new("printf");
    command.arg("@started\\n@acknowledged 1\\nnoise\\n@acknowledged 2");
    let round = CrashTest::new(command).after_records(9..10).round::<u64>().unwrap();
    assert_eq!(round.records, [1]);
}
