//! Comparing all that was moved.

use super::Migration;
use super::comparing::Comparison;
use super::difference::{Difference, How};
use super::document_locks;
use super::endpoint::Namespace;
use super::error::MigrationError;
use super::indexes::{self, When};
use super::journal::Journal;
use super::plan::{self, Plan, PlannedCollection};
use super::progress::{Observed, Step};

impl Migration {
    /// In what the documents and indexes of the target are not as those of the source, but for indexes that are made later. If none are, it is also
    /// looked for what earlier runs have finished, and is gone from the source.
    pub(super) fn differences(
        &self,
        plan: &Plan,
        journal: &Journal<'_>,
        observed: &Observed<'_>,
        later: Option<When>,
    ) -> Result<Vec<Difference>, MigrationError> {
        let Self { source, target, .. } = self;
        observed.tell(Step::Comparing { documents: plan.documents().saturating_mul(2) })?;
        let with_finished = later.is_none();
        let mut found = self.collection_differences(plan, journal, with_finished)?;
        let comparison = Comparison::new(source, target, observed, &plan.bound);
        for collection in &plan.collections {
            found.extend(comparison.differences(collection)?);
        }
        found.extend(self.index_differences(plan, later)?);
        for collection in &plan.collections {
            found.extend(document_locks::differences(source, target, collection)?);
        }
        Ok(found)
    }

    pub(super) fn index_differences(
        &self,
        plan: &Plan,
        later: Option<When>,
    ) -> Result<Vec<Difference>, MigrationError> {
        let mut found = Vec::new();
        for collection in plan.collections.iter().filter(|collection| !collection.is_view()) {
            let (source, target) = (&self.source, &self.target);
            found.extend(indexes::differences(source, target, &collection.namespace, later)?);
        }
        Ok(found)
    }

    /// The collections that are not in both, or have other options.
    fn collection_differences(
        &self,
        plan: &Plan,
        journal: &Journal<'_>,
        with_finished: bool,
    ) -> Result<Vec<Difference>, MigrationError> {
        let options = |endpoint, namespace: &Namespace| {
            let listed = plan::listed(endpoint, &namespace.database)?;
            let found = listed.into_iter().find(|(it, _)| it == namespace);
            Ok::<_, MigrationError>(found.map(|(_, options)| options))
        };
        let mut found = Vec::new();
        for PlannedCollection { namespace, options: wanted, .. } in &plan.collections {
            let how = match options(&self.target, namespace)? {
                None => How::Missing,
                Some(options) if options != *wanted => How::Changed,
                Some(_) => continue,
            };
            found.push(Difference::Collection { namespace: namespace.clone(), how });
        }
        for namespace in journal.collections()? {
            if !with_finished && journal.is_finished(&namespace)? {
                continue;
            }
            let is_gone = options(&self.source, &namespace)?.is_none();
            if is_gone && options(&self.target, &namespace)?.is_some() {
                found.push(Difference::Collection { namespace, how: How::Extra });
            }
        }
        Ok(found)
    }

    pub(super) fn differs(&self, differences: Vec<Difference>) -> MigrationError {
        let (from, to) = (self.source.to_string(), self.target.to_string());
        MigrationError::Differs { from, to, differences }
    }
}
