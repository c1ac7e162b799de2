use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

const LINE: &str =
    r#"{"id":"x","area":"y","steps":[{"command":{"a":1},"reply":{"ok":1},"order":"any"}]}"#;

#[test]
fn a_folder_is_read_whether_it_is_compressed_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name| folder.path().join(name);
    fs::write(path("b.jsonl"), format!("{LINE}\n{LINE}\n")).unwrap();
    let mut gzip = GzEncoder::new(File::create(path("a.jsonl.gz")).unwrap(), Compression::best());
    gzip.write_all(LINE.as_bytes()).unwrap();
    gzip.finish().unwrap();
    fs::write(path("README.md"), "no case").unwrap();

    let areas = read_folder(folder.path()).unwrap();
    let sizes: Vec<_> = areas.iter().map(|area| (&*area.name, area.cases.len())).collect();
    assert_eq!(sizes, [("a", 1), ("b", 2)]);
    let step = &areas[0].cases[0].steps[0];
    assert_eq!(step.name(), "a");
    assert_eq!(step.rules.result, super::super::value::Order::Any);
}

#[test]
fn what_is_no_case_is_an_error_that_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let told = |line: &str| {
        fs::write(folder.path().join("a.jsonl"), format!("{LINE}\n{line}\n")).unwrap();
        let told = read_folder(folder.path()).unwrap_err().to_string();
        let (_, told) = told.split_once("a.jsonl, line 2: ").expect(&told);
        told.to_owned()
    };
    assert!(told("{").starts_with("it is not JSON: "));
    assert!(told("").starts_with("it is not JSON: "));
    assert_eq!(told("{}"), r#""id" is missing or of the wrong type"#);
    assert_eq!(told(r#"{"id":"x","steps":{}}"#), r#""steps" is missing or of the wrong type"#);
    assert_eq!(
        told(&LINE.replace("reply", "replies")),
        r#""reply" is missing or of the wrong type"#
    );
    assert_eq!(told(&LINE.replace(r#""any""#, r#""some""#)), r#""order" cannot be String("some")"#);
    assert!(told(&LINE.replace(r#"{"a":1}"#, "[]")).starts_with("step 0: a document is an object"));
}

#[test]
fn no_folder_and_a_folder_without_cases_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(read_folder(folder.path()), Err(CorpusError::Empty(_))));
    fs::write(folder.path().join("a.jsonl"), "").unwrap();
    assert!(matches!(read_folder(folder.path()), Err(CorpusError::Empty(_))));
    let missing = folder.path().join("nothing");
    assert!(matches!(read_folder(&missing), Err(CorpusError::Io { .. })));
}
