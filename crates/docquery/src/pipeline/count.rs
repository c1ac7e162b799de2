//! `$count`: one document with how many there were.

use bson::RawDocumentBuf;

use super::steps::Steps;
use super::{Database, Documents, buffer};
use crate::{Error, Result, Value, Writer};

/// `$count`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    field: Box<str>,
}

impl Count {
    pub(crate) fn parse(spec: Value<'_>) -> Result<Self> {
        let Value::String(field) = spec else {
            return Err(Error::location(
                40156,
                format!("$count takes the name of a field, not {}", spec.type_name()),
            ));
        };
        let problem = if field.is_empty() {
            (40157, "must not be empty")
        } else if field.starts_with('$') {
            (40158, "must not begin with '$'")
        } else if field.contains('\0') {
            (40159, "must not contain a null byte")
        } else if field.contains('.') {
            (40160, "must not contain '.'")
        } else if field == "_id" {
            (15948, "must not be '_id'")
        } else {
            return Ok(Self { field: field.into() });
        };
        Err(Error::location(problem.0, format!("the field of $count {}: {field:?}", problem.1)))
    }

    /// The document with the number of documents in `input`; none where there is none.
    pub(crate) fn count(
        &self,
        mut input: Documents,
        database: &dyn Database,
    ) -> Result<Option<RawDocumentBuf>> {
        let (mut count, steps) = (0, Steps::default());
        input.for_each(&mut |_| {
            count += 1;
            steps.take(1, database)
        })?;
        if count == 0 {
            return Ok(None);
        }
        let mut writer = Writer::new();
        let count = i32::try_from(count).map_or(Value::Int64(count), Value::Int32);
        writer.field(&self.field, count);
        buffer(writer).map(Some)
    }
}
