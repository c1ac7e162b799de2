//! The two files of a store: its own, and the journal that comes and goes beside it.

use super::image::{Image, Survivors};

/// Which file an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileId {
    Store,
    /// One of all the journals that there have been. Who has one open keeps it when its name is gone.
    Journal(usize),
}

/// Both files, each a page cache over a durable image, and the name of the journal, which is metadata: after a crash it
/// stands for what it stood for at some moment since its folder was synced last.
#[derive(Clone, Debug)]
pub(super) struct Files {
    store: Image,
    journals: Vec<Image>,
    /// What the name has stood for since then, oldest first, which is durable. Never empty.
    named: Vec<Option<usize>>,
}

impl Files {
    /// Files that are durable as they are.
    pub(super) fn durable(store: Vec<u8>, journal: Option<Vec<u8>>) -> Self {
        let named = vec![journal.as_ref().map(|_| 0)];
        let journals = journal.into_iter().map(Image::durable).collect();
        Self { store: Image::durable(store), journals, named }
    }

    pub(super) fn store(&self) -> &Image {
        &self.store
    }

    pub(super) fn file_mut(&mut self, file: FileId) -> &mut Image {
        match file {
            FileId::Store => &mut self.store,
            FileId::Journal(number) => &mut self.journals[number],
        }
    }

    /// The journal that has the name now.
    pub(super) fn journal(&self) -> Option<FileId> {
        self.named.last().copied().flatten().map(FileId::Journal)
    }

    pub(super) fn journal_image(&self) -> Option<&Image> {
        self.named.last().copied().flatten().map(|number| &self.journals[number])
    }

    /// A new journal that has no name.
    pub(super) fn add_journal(&mut self, bytes: Vec<u8>) -> FileId {
        self.journals.push(Image::durable(bytes));
        FileId::Journal(self.journals.len() - 1)
    }

    /// The name stands for `file` from now on, or for nothing.
    pub(super) fn name(&mut self, file: Option<FileId>) {
        self.named.push(match file {
            Some(FileId::Journal(number)) => Some(number),
            Some(FileId::Store) | None => None,
        });
    }

    /// What the name stands for now is durable.
    pub(super) fn sync_folder(&mut self) {
        self.named.drain(..self.named.len() - 1);
    }

    /// How many changes no sync has made durable yet.
    pub(super) fn unsynced(&self) -> usize {
        let journal = self.journal_image().map_or(0, Image::changes);
        self.store.changes() + journal + self.named.len() - 1
    }

    /// Both files as a loss of power leaves them.
    pub(super) fn after_power_loss(&self, survivors: &mut impl Survivors) -> Self {
        let store = self.store.after_power_loss(survivors);
        let version = match self.named.len() {
            1 => 0,
            versions => survivors.name(versions).min(versions - 1),
        };
        let journal = self.named[version];
        let journal = journal.map(|number| self.journals[number].after_power_loss(survivors));
        Self::durable(store, journal)
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::durable(Vec::new(), None)
    }
}
