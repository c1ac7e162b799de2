use super::*;

use crate::conformance::echo::{Echo, area, case};

const GOOD: (&str, &str) = (r#"{"answer":{"ok":1,"n":2}}"#, r#"{"n":2,"ok":1}"#);

#[test]
fn a_case_ends_at_its_first_difference() {
    let mut server = Echo::default();
    let wrong = (r#"{"answer":{"ok":1,"n":3}}"#, r#"{"n":2,"ok":1}"#);
    assert!(replay(&case("good", &[GOOD, GOOD]), &mut server).is_ok());
    let failure = replay(&case("bad", &[GOOD, wrong, wrong]), &mut server).unwrap_err();
    assert_eq!(
        failure.to_string(),
        r#"bad step 1: n: expected {"$numberInt":"2"}, got {"$numberInt":"3"}"#
    );
    assert_eq!(failure.recorded, r#"{"n":{"$numberInt":"2"},"ok":{"$numberInt":"1"}}"#);
    assert_eq!(server.cleared, 2, "every case starts on an empty database");
}

#[test]
fn a_panic_fails_its_case_and_no_other() {
    let mut area = area("area", &["one", "two", "three"]);
    area.cases.insert(1, case("panics", &[GOOD, (r#"{"x":1}"#, "{}"), GOOD]));
    let report = replay_all(&[area], 2, Echo::default);
    let [failure] = &*report.areas[0].failures else { panic!("{report}") };
    assert_eq!(failure.answered, None);
    assert!(
        failure
            .to_string()
            .starts_with("panics step 1: reply: expected a reply, got a panic: an answer"),
        "{failure}"
    );
    assert_eq!(report.passed(), 3);
}

#[test]
fn the_report_has_the_order_of_the_cases_names_on_any_number_of_threads() {
    let ids: Vec<_> = (0..100).map(|number| format!("fail/{number:03}")).collect();
    let ids: Vec<_> = ids.iter().map(String::as_str).collect();
    let areas = [area("b", &ids[50..]), area("a", &ids[..50])];
    let one = replay_all(&areas, 1, Echo::default).to_string();
    assert_eq!(replay_all(&areas, 4, Echo::default).to_string(), one);
    assert!(one.ends_with("\n0 passed, 100 failed"), "{one}");
}
