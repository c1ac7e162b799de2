//! Collections and databases: `create`, `drop`, `dropDatabase`, `listCollections`, `listDatabases`.

use std::sync::Arc;

use docquery::{Document, Value};

use super::reply::senseless;
use super::{Command, Cursor, Place, Reply};
use crate::database::CollectionInfo;
use crate::documents::Namespace;
use crate::error::DocumentError;
use crate::remote::Remote;

impl Place<'_> {
    /// Makes the collection.
    pub(crate) fn create(&self) -> Result<(), DocumentError> {
        self.run(self.command("create")).map(|_| ())
    }

    /// Drops the collection.
    pub(crate) fn drop_collection(&self) -> Result<(), DocumentError> {
        self.run(self.command("drop")).map(|_| ())
    }
}

/// The collections of a database, in the order of their names.
pub(crate) fn collections(
    remote: &Arc<dyn Remote>,
    database: &str,
) -> Result<Vec<CollectionInfo>, DocumentError> {
    Namespace::check_database(database)?;
    let reply = run(remote, database, Command::new("listCollections", Value::Int32(1)))?;
    let listed = Cursor::begun(remote, None, database, &reply, None)?.rest()?;
    let found = listed.iter().map(|listed| {
        collection(Document::from(&**listed)).ok_or_else(|| senseless("listCollections"))
    });
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn collection(listed: Document<'_>) -> Option<CollectionInfo> {
    let name = listed.get("name").as_str()?.to_owned();
    let info = listed.get("info").as_document()?;
    let Value::Binary { bytes, .. } = info.get("uuid") else { return None };
    Some(CollectionInfo { name, uuid: bson::Uuid::from_bytes(bytes.try_into().ok()?) })
}

/// The names of the databases that have collections, in their order.
pub(crate) fn databases(remote: &Arc<dyn Remote>) -> Result<Vec<String>, DocumentError> {
    let mut command = Command::new("listDatabases", Value::Int32(1));
    command.field("nameOnly", Value::Bool(true));
    let reply = run(remote, "admin", command)?;
    let names = reply.array("databases")?.iter().map(|database| {
        let name = database.as_document().and_then(|database| database.get("name").as_str());
        name.map(str::to_owned).ok_or_else(|| senseless("databases"))
    });
    let mut names = names.collect::<Result<Vec<_>, _>>()?;
    names.sort();
    Ok(names)
}

/// Drops all collections of a database, and tells whether there were any.
pub(crate) fn drop_database(
    remote: &Arc<dyn Remote>,
    database: &str,
) -> Result<bool, DocumentError> {
    Namespace::check_database(database)?;
    let reply = run(remote, database, Command::new("dropDatabase", Value::Int32(1)))?;
    Ok(!reply.document().get("dropped").is_missing())
}

fn run(remote: &Arc<dyn Remote>, database: &str, command: Command) -> Result<Reply, DocumentError> {
    Reply::checked(remote.run_command(database, &command.finish(), None)?)
}
