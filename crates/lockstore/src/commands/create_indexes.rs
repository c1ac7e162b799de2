//! `createIndexes`.

use docquery::{Error, Value};

use super::Call;
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::IndexSpec;

pub(super) fn run(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("createIndexes")?;
    let namespace = call.namespace()?;
    let indexes = arguments.array("indexes")?;
    arguments.value("commitQuorum");
    arguments.flag("ignoreUnknownIndexOptions")?;
    let indexes = arguments.required("indexes", indexes)?;
    arguments.finish()?;
    let specs = indexes.iter().map(|spec| match spec {
        Value::Document(spec) => IndexSpec::parse(spec),
        other => Err(Error::type_mismatch(format!(
            "BSON field 'createIndexes.indexes' is the wrong type '{}', expected type 'object'",
            other.type_name()
        ))),
    });
    let specs = specs.collect::<Result<Vec<_>, _>>()?;
    let asked = specs.len();
    let created = call.place(namespace)?.create_indexes(specs)?;
    let reply = Reply::new()
        .with_count("numIndexesBefore", created.before as u64)
        .with_count("numIndexesAfter", created.after as u64);
    let made = created.after - created.before;
    let reply = if made == 0 && !created.created_collection {
        reply
    } else {
        reply.with("createdCollectionAutomatically", Value::Bool(created.created_collection))
    };
    Ok(match made {
        0 => reply.with("note", Value::String("all indexes already exist")),
        _ if made < asked => reply.with("note", Value::String("index already exists")),
        _ => reply,
    })
}
