//! A new file is there whole, or not at all.

use std::io;

use super::super::staging::Staged;
use super::*;

fn content(staged: &Staged, bytes: &[u8]) {
    let backend = staged.backend().unwrap();
    backend.set_len(bytes.len() as u64).unwrap();
    backend.write(0, bytes).unwrap();
}

/// The two ways of staging do the same.
fn both(check: impl Fn(fn(&Path) -> Staged)) {
    check(|path| Staged::new(path).unwrap());
    check(|path| Staged::named(path).unwrap());
}

#[test]
fn a_file_appears_under_its_name_when_it_is_complete() {
    both(|stage| {
        let (folder, path) = place();
        let staged = stage(&path);
        content(&staged, b"content");
        assert!(!path.exists());
        staged.publish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"content");
        assert_eq!(names(folder.path()), ["test.lockstore"]);
    });
}

#[test]
fn a_file_that_is_given_up_leaves_nothing() {
    both(|stage| {
        let (folder, path) = place();
        let staged = stage(&path);
        content(&staged, b"content");
        drop(staged);
        assert_eq!(names(folder.path()), [""; 0]);
    });
}

#[test]
fn what_has_the_name_already_stays() {
    both(|stage| {
        let (folder, path) = place();
        let staged = stage(&path);
        content(&staged, b"second");
        fs::write(&path, b"first").unwrap();
        let error = staged.publish().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["test.lockstore"]);
    });
}
