//! The recorded cases: ours always, and those in the folder that `LOCKSTORE_CONFORMANCE` names.
//!
//! `conformance/failing.txt` lists the cases that fail. It may only shrink.

use std::env;
use std::fs;
use std::path::Path;
use std::thread;

use lockstore_tests::conformance::{
    Failing, ServedStore, Server, StoreServer, read_folder, replay_all,
};

#[test]
fn every_case_that_is_not_listed_is_answered_as_recorded() {
    check(StoreServer::start);
}

#[test]
fn through_a_socket_the_same_cases_are_answered_in_the_same_way() {
    check(ServedStore::start);
}

#[track_caller]
fn check<S: Server>(start: fn() -> S) {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let mut areas = read_folder(&ours).unwrap_or_else(|error| panic!("our recordings: {error}"));
    let rest = env::var_os("LOCKSTORE_CONFORMANCE");
    if let Some(folder) = &rest {
        let rest = read_folder(Path::new(folder));
        let rest = rest.unwrap_or_else(|error| panic!("LOCKSTORE_CONFORMANCE: {error}"));
        let is_ours = |name: &str| areas.iter().any(|area| area.name == name);
        let rest: Vec<_> = rest.into_iter().filter(|area| !is_ours(&area.name)).collect();
        assert!(!rest.is_empty(), "LOCKSTORE_CONFORMANCE names a folder without further cases");
        areas.extend(rest);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let report = replay_all(&areas, threads, start);

    let path = ours.join("failing.txt");
    let text = fs::read_to_string(&path).expect("there is a list of failing cases");
    let mut failing = Failing::parse(&text);
    assert_eq!(failing.to_string(), text, "{} is not sorted", path.display());
    if env::var_os("LOCKSTORE_CONFORMANCE_SHRINK").is_some() {
        failing = failing.shrunk(&failing.judge(&areas, &report, rest.is_some()));
        fs::write(&path, failing.to_string()).expect("the list can be written");
    }
    let verdict = failing.judge(&areas, &report, rest.is_some());
    assert!(
        verdict.is_as_listed(),
        "{verdict}\
        What fails and is not listed in {path} has to be repaired. What is listed and passes goes out of the list:\n\
        LOCKSTORE_CONFORMANCE_SHRINK=1 cargo test -p lockstore-tests --test conformance",
        path = path.display(),
    );
}
