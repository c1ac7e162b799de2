//! What locking and releasing writes into a document.

use bson::{RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::remote::serving::document_locks::{LockDocument, LockUpdate};

/// An update, with what goes with it in a command.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) update: RawBson,
    pub(super) array_filters: Option<RawArrayBuf>,
}

/// Locks the document, and changes it as is wanted. A pipeline sees it locked.
pub(super) fn locking(wanted: &LockDocument) -> Update {
    let lock_id = wanted.lock_id.as_str();
    let (none, now) = ("$$REMOVE", "$$NOW");
    let expires_at: RawBson = match wanted.ttl.and_then(|ttl| i64::try_from(ttl.as_millis()).ok()) {
        Some(ttl) => rawdoc! { "$add": [now, ttl] }.into(),
        None => none.into(),
    };
    let stage = rawdoc! { "$set": {
        "lock_id": { "$literal": lock_id },
        "lock_time": now,
        "lock_expires_at": expires_at,
        "lock_token": none,
    } };
    let operators = rawdoc! {
        "$set": { "lock_id": lock_id },
        "$currentDate": { "lock_time": true },
        "$unset": { "lock_expires_at": 1, "lock_token": 1 },
    };
    with(wanted.update.as_ref(), &stage, operators)
}

/// Unlocks the document, and changes it as is wanted. A pipeline sees it unlocked.
pub(super) fn unlocking(update: Option<&LockUpdate>) -> Update {
    let stage = rawdoc! { "$set": {
        "lock_id": null,
        "lock_time": null,
        "lock_expires_at": "$$REMOVE",
        "lock_token": "$$REMOVE",
    } };
    let operators = rawdoc! {
        "$set": { "lock_id": null, "lock_time": null },
        "$unset": { "lock_expires_at": 1, "lock_token": 1 },
    };
    with(update, &stage, operators)
}

fn with(update: Option<&LockUpdate>, stage: &RawDocument, operators: RawDocumentBuf) -> Update {
    let Some(LockUpdate { update, array_filters, .. }) = update else {
        return Update { update: operators.into(), array_filters: None };
    };
    let update = match update {
        RawBson::Array(stages) => {
            let mut pipeline = RawArrayBuf::new();
            pipeline.push(stage.to_owned());
            for own in stages.into_iter().flatten() {
                pipeline.push(own);
            }
            pipeline.push(stage.to_owned());
            pipeline.into()
        }
        RawBson::Document(own) => merged(own, &operators).into(),
        // None is any other: it was checked.
        other => other.clone(),
    };
    let mut filters = RawArrayBuf::new();
    for filter in array_filters {
        filters.push(filter.clone());
    }
    Update { update, array_filters: (!array_filters.is_empty()).then_some(filters) }
}

/// Operators with what others have in theirs.
fn merged(own: &RawDocument, others: &RawDocument) -> RawDocumentBuf {
    let mut all = RawDocumentBuf::new();
    for (operator, fields) in own.iter().flatten() {
        match (fields.as_document(), others.get_document(operator)) {
            (Some(fields), Ok(more)) => {
                let mut fields = fields.to_owned();
                for (name, value) in more.iter().flatten() {
                    fields.append(name, value);
                }
                all.append(operator, fields);
            }
            _ => all.append(operator, fields),
        }
    }
    for (operator, fields) in others.iter().flatten() {
        if !matches!(own.get(operator), Ok(Some(_))) {
            all.append(operator, fields);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_that_are_there_get_more_fields_and_the_others_come_behind() {
        let own = rawdoc! { "$set": { "a": 1 }, "$inc": { "n": 2 } };
        let others = rawdoc! { "$set": { "b": 3 }, "$unset": { "c": 1 } };
        let expected =
            rawdoc! { "$set": { "a": 1, "b": 3 }, "$inc": { "n": 2 }, "$unset": { "c": 1 } };
        assert_eq!(merged(&own, &others), expected);
    }
}
