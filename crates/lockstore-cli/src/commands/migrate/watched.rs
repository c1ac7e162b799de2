//! How far a migration is, for who waits for it.

use lockstore_mongo::migration::Step;

use super::told::Told;
use crate::failure::Failure;
use crate::output::{print, printable};
use crate::progress::Progress;
use crate::store_place::StorePlace;

/// Who watches a migration, and tells of it.
pub(super) struct Watched<'w> {
    from: &'w StorePlace,
    /// Whether nothing but the end is told.
    is_quiet: bool,
    progress: Option<Progress>,
}

impl<'w> Watched<'w> {
    pub(super) fn new(from: &'w StorePlace, is_quiet: bool) -> Self {
        Self { from, is_quiet, progress: None }
    }

    pub(super) fn tell(&mut self, step: Step<'_>) -> Result<(), Failure> {
        match step {
            Step::Planned { plan, resumed } => {
                if !self.is_quiet {
                    Told::planned(plan, self.from).print(false)?;
                }
                self.progress = Some(Progress::of_documents(Some(plan.documents())));
                if resumed { self.line("it goes on where it was ended") } else { Ok(()) }
            }
            Step::Copying { namespace, already } => {
                self.advance(already);
                self.line(&format!("copying {namespace}"))
            }
            Step::Indexing { namespace, .. } => {
                self.line(&format!("making indexes of {namespace}"))
            }
            Step::Locking { locks: 1.. } => self.line("acquiring locks"),
            Step::Comparing { documents } => {
                self.progress = Some(Progress::of_comparisons(documents));
                self.line("comparing")
            }
            Step::Copied { documents } | Step::Compared { documents } => {
                self.advance(documents);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn advance(&self, documents: u64) {
        if let Some(progress) = &self.progress {
            progress.advance(documents);
        }
    }

    /// Where nobody sees the progress, a line tells of it.
    fn line(&self, line: &str) -> Result<(), Failure> {
        let is_shown = self.progress.as_ref().is_some_and(Progress::is_shown);
        if is_shown || self.is_quiet { Ok(()) } else { print(&format!("{}\n", printable(line))) }
    }
}
