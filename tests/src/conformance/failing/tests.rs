use super::*;

use crate::conformance::echo::{Echo, area};
use crate::conformance::replay_all;

#[test]
fn a_run_departs_from_the_list_in_three_ways() {
    let areas = [area("a", &["fails/listed", "fails/new", "passes/listed", "passes/new"])];
    let report = replay_all(&areas, 1, Echo::default);
    let list = Failing::parse("fails/listed\nnobody\npasses/listed\n");

    let verdict = list.judge(&areas, &report, true);
    assert_eq!(verdict.broken.iter().map(|failure| &failure.id).collect::<Vec<_>>(), ["fails/new"]);
    assert_eq!(verdict.repaired, ["passes/listed"]);
    assert_eq!(verdict.unknown, ["nobody"]);
    assert!(!verdict.is_as_listed());
    assert_eq!(list.shrunk(&verdict).to_string(), "fails/listed\n");
}

#[test]
fn a_run_of_a_part_says_nothing_of_the_rest() {
    let areas = [area("a", &["fails/listed"])];
    let report = replay_all(&areas, 1, Echo::default);
    let list = Failing::parse("fails/listed\nother/area\n");
    let verdict = list.judge(&areas, &report, false);
    assert!(verdict.is_as_listed(), "{verdict}");
    assert_eq!(list.shrunk(&verdict), list);
}
