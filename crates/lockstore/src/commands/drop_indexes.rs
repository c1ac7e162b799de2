//! `dropIndexes`.

use docquery::{Error, Result, Value};

use super::Call;
use super::arguments::raw;
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::Dropped;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("dropIndexes")?;
    let namespace = call.namespace()?;
    let index = Some(arguments.value("index")).filter(|index| !index.is_missing());
    let index = arguments.required("index", index)?;
    arguments.finish()?;
    let before = call.place(namespace)?.drop_indexes(&dropped(index)?)?;
    Ok(Reply::new().with_count("nIndexesWas", before as u64))
}

fn dropped(index: Value<'_>) -> Result<Dropped> {
    Ok(match index {
        Value::String("*") => Dropped::All,
        Value::String(name) => Dropped::Names(vec![name.to_owned()]),
        Value::Document(keys) => Dropped::Keys(raw(keys).to_owned()),
        Value::Array(names) => {
            let names = names.iter().map(|name| match name {
                Value::String(name) => Ok(name.to_owned()),
                other => Err(wrong_type(other)),
            });
            let names = names.collect::<Result<Vec<_>>>()?;
            if names == ["*"] { Dropped::All } else { Dropped::Names(names) }
        }
        other => return Err(wrong_type(other)),
    })
}

fn wrong_type(found: Value<'_>) -> Error {
    Error::type_mismatch(format!(
        "BSON field 'dropIndexes.index' is the wrong type '{}', expected types '[string, object, array of strings]'",
        found.type_name()
    ))
}
