use crate::conformance::echo::{Echo, area};
use crate::conformance::replay_all;

#[test]
fn people_read_a_line_for_each_area_then_what_fails_then_the_sums() {
    let areas = [area("short", &["a", "b"]), area("longer", &["c", "fails", "fails too", "d"])];
    let report = replay_all(&areas, 1, Echo::default).to_string();
    let expected = "\
short       2 of     2  100.0 %
longer      2 of     4   50.0 %

failed:
fails
fails too

4 passed, 2 failed";
    assert_eq!(report, expected);
}

#[test]
fn nearly_all_is_not_all() {
    let ids: Vec<_> = (0..2000).map(|number| format!("case {number}")).collect();
    let mut ids: Vec<_> = ids.iter().map(String::as_str).collect();
    ids.push("fails");
    let report = replay_all(&[area("area", &ids)], 1, Echo::default).to_string();
    assert!(report.starts_with("area   2000 of  2001   99.9 %\n"), "{report}");
}

#[test]
fn programs_read_json() {
    let report = replay_all(&[area("area", &["a", "fails"])], 1, Echo::default);
    let mut json = Vec::new();
    report.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = serde_json::json!({
        "passed": 1,
        "failed": 1,
        "areas": [{
            "area": "area",
            "passed": 1,
            "failed": 1,
            "failures": [{
                "id": "fails",
                "step": 0,
                "path": "n",
                "expected": "{\"$numberInt\":\"1\"}",
                "got": "{\"$numberInt\":\"2\"}",
            }],
        }],
    });
    assert_eq!(json, expected);
}
