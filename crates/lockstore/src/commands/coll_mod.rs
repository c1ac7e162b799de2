//! `collMod`.

use docquery::{Error, ErrorCode, Value};

use super::Call;
use super::arguments::{Arguments, raw};
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::{IndexChange, IndexName, expire_after_seconds};

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("collMod")?;
    let namespace = call.namespace()?;
    let index = arguments.document("index")?;
    for unsupported in UNSUPPORTED {
        if arguments.present(unsupported).is_some() {
            return Err(Error::new(
                ErrorCode::COMMAND_NOT_SUPPORTED,
                format!(
                    "collMod cannot change '{unsupported}': there are no such collections here"
                ),
            )
            .into());
        }
    }
    arguments.finish()?;
    let place = call.place(namespace)?;
    let Some(index) = index else {
        place.check_exists()?;
        return Ok(Reply::new());
    };
    let mut arguments = Arguments::new("collMod.index", index)?;
    let name = arguments.text("name")?;
    let keys = arguments.document("keyPattern")?;
    let change = IndexChange {
        hidden: arguments.flag("hidden")?,
        expire_after_seconds: arguments.integer("expireAfterSeconds")?,
    };
    arguments.flag("unique")?;
    arguments.flag("prepareUnique")?;
    arguments.finish()?;
    let name = match (name, keys) {
        (Some(name), None) => IndexName::Name(name.to_owned()),
        (None, Some(keys)) => IndexName::Keys(raw(keys).to_owned()),
        (Some(_), Some(_)) => {
            return Err(invalid("Cannot specify both key pattern and name.").into());
        }
        (None, None) => {
            return Err(invalid("Must specify either index name or key pattern.").into());
        }
    };
    if let Some(seconds) = change.expire_after_seconds {
        expire_after_seconds(Value::Int64(seconds))
            .map_err(|error| Error::new(ErrorCode::INVALID_OPTIONS, error.message()))?;
    }
    if change.hidden.is_none() && change.expire_after_seconds.is_none() {
        return Err(invalid("no expireAfterSeconds, hidden, unique, or prepareUnique field").into());
    }
    let was = place.change_index(&name, change)?;
    let mut reply = Reply::new();
    if let (Some(old), Some(new)) = (was.expire_after_seconds, change.expire_after_seconds) {
        reply = reply
            .with("expireAfterSeconds_old", Value::Int64(old))
            .with("expireAfterSeconds_new", Value::Int64(new));
    }
    if let (Some(old), Some(new)) = (was.hidden, change.hidden)
        && old != new
    {
        reply = reply.with("hidden_old", Value::Bool(old)).with("hidden_new", Value::Bool(new));
    }
    Ok(reply)
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorCode::INVALID_OPTIONS, message)
}

/// What belongs to kinds of collections that there are none of.
const UNSUPPORTED: [&str; 8] = [
    "cappedMax",
    "cappedSize",
    "changeStreamPreAndPostImages",
    "pipeline",
    "timeseries",
    "validationAction",
    "validator",
    "viewOn",
];
