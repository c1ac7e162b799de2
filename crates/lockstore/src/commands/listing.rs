//! `listIndexes`, `listCollections`, `listDatabases`, `ping`.

use bson::rawdoc;
use docquery::{Environment, Filter, Value};

use super::Call;
use super::arguments::Arguments;
use super::cursors::BatchSize;
use super::find::owned;
use super::reply::Reply;
use crate::error::DocumentError;
use crate::operations::{self, Cursor};

pub(super) fn indexes(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("listIndexes")?;
    let namespace = call.namespace()?;
    let batch = batch_size(&mut arguments, "listIndexes.cursor")?;
    let build_info = arguments.flag("includeIndexBuildInfo")?.unwrap_or(false);
    arguments.flag("includeBuildUUIDs")?;
    arguments.finish()?;
    let ns = namespace.to_string();
    let mut specs = call.place(namespace)?.list_indexes()?;
    if build_info {
        specs = specs.into_iter().map(|spec| rawdoc! { "spec": spec }).collect();
    }
    call.reply_with_cursor(&ns, Cursor::over(specs), batch, false)
}

pub(super) fn collections(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("listCollections")?;
    let filter = owned(arguments.document("filter")?);
    let name_only = arguments.flag("nameOnly")?.unwrap_or(false);
    let batch = batch_size(&mut arguments, "listCollections.cursor")?;
    arguments.flag("authorizedCollections")?;
    arguments.finish()?;
    let mut found = Vec::new();
    let filter = filter.map(|filter| Filter::parse(&filter, &Environment::new(0))).transpose()?;
    for collection in operations::collections(call.engine, call.database)? {
        let name = collection.namespace().collection();
        let mut document = rawdoc! { "name": name, "type": "collection" };
        if !name_only {
            document.append(bson::cstr!("options"), collection.options().to_owned());
            let uuid = bson::Binary {
                subtype: bson::spec::BinarySubtype::Uuid,
                bytes: collection.uuid().to_vec(),
            };
            document.append(bson::cstr!("info"), rawdoc! { "readOnly": false, "uuid": uuid });
            document.append(bson::cstr!("idIndex"), collection.id_index().spec().to_owned());
        }
        if filter.as_ref().is_none_or(|filter| filter.matches(&document) == Ok(true)) {
            found.push(document);
        }
    }
    let ns = format!("{}.$cmd.listCollections", call.database);
    call.reply_with_cursor(&ns, Cursor::over(found), batch, false)
}

pub(super) fn databases(call: &Call<'_>) -> Result<Reply, DocumentError> {
    let mut arguments = call.arguments("listDatabases")?;
    let filter = owned(arguments.document("filter")?);
    let name_only = arguments.flag("nameOnly")?.unwrap_or(false);
    arguments.flag("authorizedDatabases")?;
    arguments.finish()?;
    let filter = filter.map(|filter| Filter::parse(&filter, &Environment::new(0))).transpose()?;
    let mut reply = Reply::new();
    reply.fields.open_array("databases");
    for (name, collections) in operations::databases(call.engine)? {
        let mut document = rawdoc! { "name": name };
        if !name_only {
            document.append(bson::cstr!("sizeOnDisk"), 0_i64);
            document.append(bson::cstr!("empty"), collections == 0);
        }
        if filter.as_ref().is_none_or(|filter| filter.matches(&document) == Ok(true)) {
            reply.fields.item(Value::from(&*document));
        }
    }
    reply.fields.close();
    Ok(reply)
}

pub(super) fn ping(call: &Call<'_>) -> Result<Reply, DocumentError> {
    call.arguments("ping")?.finish()?;
    Ok(Reply::new())
}

fn batch_size(arguments: &mut Arguments<'_>, of: &'static str) -> Result<BatchSize, DocumentError> {
    let Some(cursor) = arguments.document("cursor")? else { return Ok(BatchSize::of(None)) };
    let mut cursor = Arguments::new(of, cursor)?;
    let size = cursor.count("batchSize")?;
    cursor.finish()?;
    Ok(BatchSize::of(size))
}
