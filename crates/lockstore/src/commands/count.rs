//! `count`.

use docquery::Error;
use docquery::number::Number;

use super::Call;
use super::arguments::Arguments;
use super::explain::Explained;
use super::find::{collation, hint, owned};
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::Selector;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let Explained { namespace, selector, skip, limit, .. } = explained(call)?;
    let counted = call.place(namespace)?.count(&selector, skip, limit)?;
    Ok(Reply::new().with_count("n", counted))
}

pub(super) fn explained(call: &Call<'_>) -> Result<Explained, DocumentError> {
    let mut arguments = call.arguments("count")?;
    let namespace = call.namespace()?;
    let selector = Selector {
        filter: owned(arguments.document("query")?).unwrap_or_default(),
        hint: hint(&mut arguments)?,
        ..Selector::default()
    };
    let skip = arguments.count("skip")?.unwrap_or(0);
    let limit = limit(&mut arguments)?;
    collation(&mut arguments)?;
    arguments.value("fields");
    arguments.finish()?;
    Ok(Explained { skip, limit, ..Explained::new(namespace, selector, Some("COUNT")) })
}

/// How many are counted at most: 0 is no limit, and a negative number counts as a positive one.
fn limit(arguments: &mut Arguments<'_>) -> Result<Option<u64>, Error> {
    let value = arguments.value("limit");
    if value.is_missing() {
        return Ok(None);
    }
    let Some(number) = Number::of(value) else {
        return Err(Error::bad_value("limit value is not a valid number"));
    };
    let Some(limit) = number.as_exact_i64() else {
        return Err(Error::failed_to_parse(format!("Expected a 64-bit integer: limit: {value:?}")));
    };
    if limit == i64::MIN {
        return Err(Error::bad_value("limit value for count cannot be min long"));
    }
    Ok(Some(limit.unsigned_abs()).filter(|limit| *limit > 0))
}
