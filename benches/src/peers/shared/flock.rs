//! flock(2): the kernel's own locks, of which nothing is written.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use super::SharedCaller;
use crate::documents::job::{Mark, Names};

pub(super) struct Caller {
    folder: PathBuf,
    held: Option<File>,
}

impl Caller {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), held: None }
    }
}

impl SharedCaller for Caller {
    fn acquire(&mut self, key: &str, _holder: &str) {
        let path = self.folder.join(key.replace('/', "-"));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.expect("the file is made");
        file.lock().expect("the lock comes");
        self.held = Some(file);
    }

    fn release(&mut self) {
        let file = self.held.take().expect("a lock is held");
        file.unlock().expect("it is held");
    }

    fn update(&mut self, _: &Names, _: &Mark) {
        unreachable!("files that are locked have no documents")
    }
}
