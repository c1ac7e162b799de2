//! Copying once more what was changed in the source since it was copied.

use std::ops::ControlFlow;

use bson::Bson;
use lockstore::DocumentError;

use super::comparing::Comparison;
use super::copying::delete;
use super::document_locks::again;
use super::endpoint::Namespace;
use super::error::MigrationError;
use super::plan::PlannedCollection;

impl Comparison<'_, '_> {
    /// Makes the documents of a collection in the target those of the source.
    pub(super) fn repair(&self, collection: &PlannedCollection) -> Result<(), MigrationError> {
        let (namespace, mut are_left_out) = (&collection.namespace, false);
        self.visit(collection, &mut |id, _| {
            are_left_out |= !self.makes_the_same(namespace, id)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if !are_left_out {
            return Ok(());
        }
        // Nothing is in the target any more that is not in the source: so nothing stands in the way of what is missing.
        self.visit(collection, &mut |id, _| {
            again(self.source, self.target, namespace, id)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Makes a document the same. Where another has by now what is to be unique in it, it is deleted, and `false`: that other may have to wait for
    /// what this one has.
    fn makes_the_same(&self, namespace: &Namespace, id: &Bson) -> Result<bool, MigrationError> {
        match again(self.source, self.target, namespace, id) {
            Err(MigrationError::Document { error, .. })
                if matches!(*error, DocumentError::DuplicateKey(_)) =>
            {
                delete(self.target, namespace, id).map(|()| false)
            }
            made => made.map(|()| true),
        }
    }
}
