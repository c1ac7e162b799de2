//! `renameCollection`.

use docquery::{Error, ErrorCode, Value};

use super::Call;
use super::reply::Reply;
use crate::documents::Namespace;
use crate::error::DocumentError;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("renameCollection")?;
    let from = namespace(call.target)?;
    let to = match arguments.value("to") {
        Value::Missing => {
            let message = "BSON field 'renameCollection.to' is missing but a required field";
            return Err(Error::location(40414, message).into());
        }
        to => namespace(to)?,
    };
    let drop_target = arguments.flag("dropTarget")?.unwrap_or(false);
    arguments.finish()?;
    if call.database != "admin" {
        let message = "renameCollection may only be run against the admin database.";
        return Err(Error::new(ErrorCode::UNAUTHORIZED, message).into());
    }
    call.place(from)?.rename_collection(to, drop_target)?;
    Ok(Reply::new())
}

/// `database.collection`
fn namespace(value: Value<'_>) -> Result<Namespace, Error> {
    let Value::String(text) = value else {
        let message = format!("a namespace is a string, not {}", value.type_name());
        return Err(Error::type_mismatch(message));
    };
    let (database, collection) = text.split_once('.').unwrap_or((text, ""));
    Namespace::new(database, collection)
}
