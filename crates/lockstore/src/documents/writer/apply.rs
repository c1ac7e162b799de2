//! Changes that their caller has worked out: the writer only looks whether the documents are still the same.

use super::DocumentWriter;
use crate::documents::overlay::Ground;
use crate::documents::task::{Apply, BYTES_PER_TASK, DOCUMENTS_PER_TASK, DocumentAnswer, Modified};
use crate::documents::{After, CollectionId, RecordId};
use crate::error::DocumentError;

/// What has become of one document.
enum Applied {
    /// It is what it was to be, and was something else.
    Changed,
    /// It was that already.
    Same,
    /// It is not what its caller has seen.
    Left,
}

impl DocumentWriter {
    pub(super) fn apply(&mut self, apply: Apply, ground: &Ground<'_>) -> DocumentAnswer {
        let Apply { collection, seen, changes } = apply;
        if self.catalog.collection_with(collection).is_none() {
            return DocumentAnswer::Again;
        }
        let mut done = Modified::default();
        let mut bytes = 0;
        for (record, after) in changes {
            if done.taken >= DOCUMENTS_PER_TASK || bytes >= BYTES_PER_TASK {
                break;
            }
            if let After::Becomes(document) = &after {
                bytes += document.as_bytes().len();
            }
            let applied = if self.is_unchanged(seen, collection, record) {
                self.apply_one(collection, record, after, ground)
            } else {
                Ok(Applied::Left)
            };
            match applied {
                Ok(Applied::Changed) => {
                    done.matched += 1;
                    done.modified += 1;
                }
                Ok(Applied::Same) => {
                    done.matched += 1;
                    self.batch.documents += 1;
                }
                Ok(Applied::Left) => {
                    done.left.push(record);
                    self.batch.documents += 1;
                }
                Err(error) => {
                    done.error = Some(error);
                    break;
                }
            }
            done.taken += 1;
        }
        DocumentAnswer::Modified(Box::new(done))
    }

    fn apply_one(
        &mut self,
        collection: CollectionId,
        record: RecordId,
        after: After,
        ground: &Ground<'_>,
    ) -> Result<Applied, DocumentError> {
        let after = match after {
            After::Same => return Ok(Applied::Same),
            After::Becomes(document) => Some(document),
            After::Deleted => None,
        };
        let set = self.change_set(collection, record, after.as_deref(), ground)?;
        let Some(set) = set else { return Ok(Applied::Left) };
        self.write(collection, record, after, set, true);
        Ok(Applied::Changed)
    }
}
