//! Whether documents and the grants behind their locks agree.

use super::fields::is_locked_by;
use super::side_grant::{document_of, is_side_key};
use crate::disk::DiskError;
use crate::documents::Reading;

/// What does not hold of the side grants: each must have a document that its holder has locked.
pub(crate) fn problems(reading: &Reading) -> Result<Vec<String>, DiskError> {
    let mut problems = Vec::new();
    for lock in reading.view().locks().filter(|lock| is_side_key(lock.key())) {
        let at = document_of(lock.key());
        let at = at.filter(|(id, _)| reading.catalog().collection_with(*id).is_some());
        let document = match at {
            Some((collection, record)) => reading.document(collection, record)?,
            None => None,
        };
        for grant in lock.grants() {
            let is_locked = document
                .as_ref()
                .is_some_and(|document| is_locked_by(document.raw(), &grant.holder));
            if !is_locked {
                problems.push(format!(
                    "the grant {} stands for {:?} at {:?}, and the document is not locked so",
                    grant.token,
                    grant.holder,
                    lock.key()
                ));
            }
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use lockcore::{Acquire, Command, Holder, Mode, Wait};

    use crate::document_locks::side_grant::side_key;
    use crate::documents::{CollectionId, RecordId};
    use crate::request::Task;
    use crate::store::Store;

    #[test]
    fn a_grant_whose_document_nobody_has_locked_is_found() {
        let store = Store::in_memory().unwrap();
        let jobs = store.database("factory").collection::<bson::Document>("jobs");
        jobs.insert_many([bson::doc! {}, bson::doc! { "lock_id": "other" }]).run().unwrap();
        for record in 1..4 {
            let acquire = Command::Acquire(Acquire {
                key: side_key((CollectionId::new(1), RecordId::new(record))),
                holder: Holder::new("me").unwrap(),
                mode: Mode::Exclusive,
                ttl: None,
                session: None,
                wait: Wait::No,
            });
            store.engine().call(Task::Command(acquire));
        }
        let problems = store.check().unwrap().problems;
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems.iter().all(|it| it.contains("the document is not locked so")));
    }
}
