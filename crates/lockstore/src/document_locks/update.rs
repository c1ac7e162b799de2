//! The update that goes with locking or releasing a document.

use bson::{RawBson, RawDocument, RawDocumentBuf};
use docquery::{Document, Environment, Error, Filter, OwnedValue, Update, Value};

use super::fields::FIELDS;
use crate::documents::RecordId;
use crate::error::DocumentError;

/// An update as it was given. It is parsed at the moment at which it is made, for it may ask for the time.
#[derive(Clone, Debug)]
pub struct LockUpdate {
    /// A document of operators, or the array of the stages of a pipeline.
    pub update: RawBson,
    /// Which elements of arrays the operators are about.
    pub array_filters: Vec<RawDocumentBuf>,
    /// The variables of the request.
    pub variables: Option<RawDocumentBuf>,
}

/// What an update makes of a document, worked out by the caller on a reading, as it may be more work than the writer has time for.
#[derive(Clone, Debug)]
pub(crate) struct WorkedOut {
    pub(crate) record: RecordId,
    /// The sequence of the reading.
    pub(crate) seen: u64,
    pub(crate) after: RawDocumentBuf,
}

impl LockUpdate {
    /// Checks that it may go with a lock: it is an update, and leaves the lock's own fields alone.
    pub(crate) fn check(&self, now_ms: i64) -> Result<(), DocumentError> {
        let update = self.parse(now_ms)?;
        if update.is_replacement() {
            let message = "the update of a document that is locked or released is a document whose first field is an \
                           operator, such as $set, or an array of the stages of a pipeline";
            return Err(Error::bad_value(message).into());
        }
        let touched = if update.is_pipeline() {
            FIELDS.into_iter().find(|field| stages_name(&self.update, field))
        } else {
            FIELDS.into_iter().find(|field| update.touches(field))
        };
        match touched {
            None => Ok(()),
            Some(field) => {
                let message = format!(
                    "'{field}' belongs to the lock, and an update that goes with it may not touch it"
                );
                Err(Error::bad_value(message).into())
            }
        }
    }

    /// Whether it changes nothing: `{}` or `[]`.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.update {
            RawBson::Document(update) => update.is_empty(),
            RawBson::Array(stages) => stages.is_empty(),
            _ => false,
        }
    }

    /// What it makes, in at most `steps_max` steps, of a document that `filter` has found, and that is locked or released by `mark`, which sets the lock's own
    /// fields. A pipeline sees them as they will be, and they are set once more behind it. Gives how many steps it took at most
    /// too; `None` when it may be more work.
    pub(crate) fn apply(
        &self,
        document: &RawDocument,
        filter: Option<&Filter>,
        now_ms: i64,
        steps_max: u64,
        mark: impl Fn(&RawDocument) -> RawDocumentBuf,
    ) -> Result<Option<(RawDocumentBuf, u64)>, DocumentError> {
        if steps_max < u64::MAX && self.bytes() > BYTES_PARSED_MAX {
            return Ok(None);
        }
        let update = self.parse(now_ms)?;
        let any = Filter::parse(&RawDocumentBuf::new(), &Environment::new(now_ms))?;
        let filter = filter.unwrap_or(&any);
        let steps = update.cost(filter).of(document);
        if steps > steps_max {
            return Ok(None);
        }
        let marked;
        let before = if update.is_pipeline() {
            marked = mark(document);
            &*marked
        } else {
            document
        };
        let after = update.apply(before, filter)?;
        Ok(Some((mark(after.as_deref().unwrap_or(before)), steps)))
    }

    /// How large it is, with what belongs to it.
    fn bytes(&self) -> usize {
        let update = match &self.update {
            RawBson::Document(update) => update.as_bytes().len(),
            RawBson::Array(stages) => stages.as_bytes().len(),
            _ => 0,
        };
        let others = self.array_filters.iter().chain(&self.variables);
        update + others.map(|other| other.as_bytes().len()).sum::<usize>()
    }

    fn parse(&self, now_ms: i64) -> Result<Update, DocumentError> {
        let environment = Environment::new(now_ms);
        let environment = match &self.variables {
            Some(variables) => environment.with_let(variables)?,
            None => environment,
        };
        let array_filters: Vec<&RawDocument> =
            self.array_filters.iter().map(|filter| &**filter).collect();
        Ok(Update::parse(self.update.as_raw_bson_ref(), &array_filters, &environment)?)
    }
}

/// Whether a stage sets or removes a field by its name. What else a pipeline does to it is undone by the lock.
fn stages_name(pipeline: &RawBson, field: &str) -> bool {
    let stages = OwnedValue::from(pipeline.as_raw_bson_ref());
    let is_field = |path: &str| path.split('.').next() == Some(field);
    stages.get().as_array().into_iter().flatten().any(|stage| {
        let stage = stage.as_document().and_then(Document::first);
        match stage {
            Some(("$set" | "$addFields", Value::Document(fields))) => {
                fields.into_iter().any(|(path, _)| is_field(path))
            }
            Some(("$unset", Value::String(path))) => is_field(path),
            Some(("$unset", Value::Array(paths))) => {
                paths.into_iter().filter_map(|path| path.as_str()).any(is_field)
            }
            _ => false,
        }
    })
}

/// How large an update may be that the writer parses.
const BYTES_PARSED_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document_locks::fields::unlocked;
    use bson::{rawbson, rawdoc};

    fn update(update: RawBson) -> LockUpdate {
        LockUpdate { update, array_filters: Vec::new(), variables: None }
    }

    #[test]
    fn an_update_may_not_touch_the_fields_of_the_lock() {
        for touching in [
            rawbson!({ "$set": { "lock_id": "mine" } }),
            rawbson!({ "$unset": { "lock_time": 1 } }),
            rawbson!({ "$inc": { "lock_token": 1 } }),
            rawbson!({ "$rename": { "a": "lock_expires_at" } }),
            rawbson!({ "$set": { "lock_id.inner": 1 } }),
            rawbson!([{ "$set": { "lock_id": null } }]),
            rawbson!([{ "$set": { "a": 1 } }, { "$addFields": { "lock_time.x": 1 } }]),
            rawbson!([{ "$unset": "lock_id" }]),
            rawbson!([{ "$unset": ["a", "lock_token"] }]),
        ] {
            let error = update(touching.clone()).check(0).unwrap_err();
            assert!(error.to_string().contains("belongs to the lock"), "{touching:?}: {error}");
        }
        for fine in [
            rawbson!({ "$set": { "state": "done", "nested.lock_id": 1, "lock_ids": 2 } }),
            rawbson!([{ "$set": { "was": "$lock_id" } }, { "$unset": "lock" }]),
        ] {
            update(fine).check(0).unwrap();
        }
        assert!(update(rawbson!({ "state": "done" })).check(0).is_err());
        assert!(update(rawbson!({ "$no": {} })).check(0).is_err());
    }

    #[test]
    fn a_pipeline_sees_the_lock_and_cannot_change_it() {
        let pipeline = update(rawbson!([
            { "$set": { "was": { "$ifNull": ["$lock_id", "nobody"] } } },
            { "$replaceWith": { "_id": "$_id", "was": "$was", "lock_id": "thief" } },
        ]));
        pipeline.check(0).unwrap();
        let locked = rawdoc! { "_id": 1, "lock_id": "me" };
        let after = pipeline.apply(&locked, None, 0, u64::MAX, unlocked).unwrap();
        assert_eq!(
            after.unwrap().0,
            rawdoc! { "_id": 1, "was": "nobody", "lock_id": null, "lock_time": null }
        );
    }
}
