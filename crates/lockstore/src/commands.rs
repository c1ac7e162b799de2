//! MongoDB's commands: a document in, a document out.
//!
//! A command is parsed into the request of an [operation](crate::operations), with the checks and errors of the server, and what
//! the operation gives is written as the server writes it.

mod aggregate;
mod arguments;
mod coll_mod;
mod concern;
mod count;
mod create;
mod create_indexes;
mod cursors;
mod delete;
mod distinct;
mod drop;
mod drop_indexes;
mod explain;
pub(crate) mod failure;
pub(crate) mod fences;
mod find;
mod find_and_modify;
mod insert;
mod listing;
pub(crate) mod locks;
mod rename_collection;
mod reply;
mod started;
mod update;
mod write_batch;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, ErrorCode, Value, limits};

use crate::documents::{Namespace, Scope};
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::operations::Place;
use crate::transaction::TransactionState;
pub(crate) use arguments::Arguments;
use concern::{Concern, Takes};
use locks::LockCommand;
use reply::Reply;

pub(crate) use cursors::Cursors;
pub(crate) use locks::Subscriptions;
pub use started::{CommandFuture, Started};

/// One command on its way.
#[derive(Clone, Copy, Debug)]
struct Call<'c> {
    engine: &'c Arc<Engine>,
    /// The transaction in which it runs, if it runs in one.
    transaction: Option<&'c Arc<TransactionState>>,
    database: &'c str,
    /// What the command is, in its own spelling, and what it is about: a collection mostly.
    name: &'c str,
    target: Value<'c>,
    takes: Takes,
    command: Document<'c>,
    waits: Waits,
}

/// What becomes of a command that has to wait for somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// It blocks its thread.
    Blocking,
    /// It becomes a future.
    Parked,
}

/// A command that there is.
struct Known {
    name: &'static str,
    takes: Takes,
    run: Run,
}

/// How a command is run.
#[derive(Clone, Copy)]
enum Run {
    /// It does not wait, and has no errors but those of documents.
    Usual(fn(&Call<'_>) -> Result<Reply, DocumentError>),
    /// It may wait, or has errors of its own.
    Special(fn(&Call<'_>) -> Started),
}

/// Runs a command in a database, and gives its reply, which tells of errors too.
pub(crate) fn run(
    engine: &Arc<Engine>,
    transaction: Option<&Arc<TransactionState>>,
    database: &str,
    command: &RawDocument,
) -> RawDocumentBuf {
    match about_locks(engine, transaction, command) {
        Some(Ok(command)) => command.run(engine),
        Some(Err(error)) => Reply::failure(&error.into()),
        None => match dispatch(engine, transaction, database, command, Waits::Blocking) {
            Started::Reply(reply) => reply,
            Started::Pending(_) => unreachable!("a command that may block is not parked"),
        },
    }
}

/// Starts a command in a database. It does not block as long as it would have to wait for somebody else.
pub(crate) fn start(engine: &Arc<Engine>, database: &str, command: &RawDocument) -> Started {
    match about_locks(engine, None, command) {
        Some(Ok(command)) => command.start(engine),
        Some(Err(error)) => Started::Reply(Reply::failure(&error.into())),
        None => dispatch(engine, None, database, command, Waits::Parked),
    }
}

/// The command, if it is one about locks.
fn about_locks<'c>(
    engine: &Engine,
    transaction: Option<&Arc<TransactionState>>,
    command: &'c RawDocument,
) -> Option<Result<LockCommand<'c>, Error>> {
    // What is not well-formed is refused below; to be asked its first name it need not be.
    let name = command.iter().next()?.ok()?.0.as_str();
    if transaction.is_some() || !name.starts_with("lock") {
        return None;
    }
    if let Err(error) = limits::check_bson(command, COMMAND_DEPTH_MAX) {
        return Some(Err(error));
    }
    LockCommand::parse(engine, name, Document::from(command))
}

/// The reply of a command that failed before anybody ran it.
pub(crate) fn failed(error: &DocumentError) -> RawDocumentBuf {
    Reply::failure(error)
}

fn dispatch(
    engine: &Arc<Engine>,
    transaction: Option<&Arc<TransactionState>>,
    database: &str,
    command: &RawDocument,
    waits: Waits,
) -> Started {
    try_dispatch(engine, transaction, database, command, waits)
        .unwrap_or_else(|error| Started::Reply(Reply::failure(&error)))
}

fn try_dispatch(
    engine: &Arc<Engine>,
    transaction: Option<&Arc<TransactionState>>,
    database: &str,
    command: &RawDocument,
    waits: Waits,
) -> Result<Started, DocumentError> {
    limits::check_bson(command, COMMAND_DEPTH_MAX)?;
    let command = Document::from(command);
    let (name, target) = command.first().unwrap_or(("", Value::Missing));
    let ours = &locks::documents::COMMANDS;
    let Some(known) = COMMANDS.iter().chain(ours).find(|known| known.name == name) else {
        return Err(
            Error::new(ErrorCode::COMMAND_NOT_FOUND, format!("no such command: '{name}'")).into()
        );
    };
    if transaction.is_some() && !IN_TRANSACTIONS.contains(&name) {
        let message = format!("Cannot run '{name}' in a multi-document transaction.");
        let code = ErrorCode::OPERATION_NOT_SUPPORTED_IN_TRANSACTION;
        return Err(Error::new(code, message).into());
    }
    let takes = known.takes;
    let call = Call { engine, transaction, database, name, target, takes, command, waits };
    match known.run {
        Run::Usual(run) => Ok(Started::Reply(run(&call)?.finish())),
        Run::Special(start) => Ok(start(&call)),
    }
}

impl<'c> Call<'c> {
    /// The arguments, in which `of` names the command.
    fn arguments(&self, of: &'static str) -> Result<Arguments<'c>, Error> {
        let mut arguments = Arguments::new(of, self.command)?;
        arguments.value(self.name);
        Ok(arguments)
    }

    /// The collection that the command is about.
    fn namespace(&self) -> Result<Namespace, Error> {
        match self.target {
            Value::String(collection) => Namespace::new(self.database, collection),
            other => Err(Error::new(
                ErrorCode::INVALID_NAMESPACE,
                format!("collection name has invalid type {}", other.type_name()),
            )),
        }
    }

    /// Where the command runs, once its arguments have been parsed.
    fn place(&self, namespace: Namespace) -> Result<Place<'c>, DocumentError> {
        let Concern { acknowledged, max_time } =
            Concern::parse(self.command, self.takes, self.transaction.is_some())?;
        let place = Place::new(self.scope()?, namespace, max_time);
        Ok(if acknowledged { place } else { place.unacknowledged() })
    }

    /// What it reads on, and whom it asks for what it changes.
    fn scope(&self) -> Result<Scope<'c>, DocumentError> {
        Ok(Scope::new(self.engine, self.transaction, fences::parse(self.command)?))
    }
}

const fn known(
    name: &'static str,
    takes: Takes,
    run: fn(&Call<'_>) -> Result<Reply, DocumentError>,
) -> Known {
    Known { name, takes, run: Run::Usual(run) }
}

const fn special(name: &'static str, takes: Takes, start: fn(&Call<'_>) -> Started) -> Known {
    Known { name, takes, run: Run::Special(start) }
}

const COMMANDS: &[Known] = &[
    known("aggregate", Takes::Both, aggregate::run),
    known("collMod", Takes::WriteConcern, coll_mod::run),
    known("count", Takes::ReadConcern, count::run),
    known("create", Takes::WriteConcern, create::run),
    known("createIndexes", Takes::WriteConcern, create_indexes::run),
    known("delete", Takes::WriteConcern, delete::run),
    known("distinct", Takes::ReadConcern, distinct::run),
    known("drop", Takes::WriteConcern, drop::run),
    known("dropDatabase", Takes::WriteConcern, drop::run_database),
    known("dropIndexes", Takes::WriteConcern, drop_indexes::run),
    known("deleteIndexes", Takes::WriteConcern, drop_indexes::run),
    known("explain", Takes::ReadConcern, explain::run),
    known("find", Takes::ReadConcern, find::run),
    known("findAndModify", Takes::WriteConcern, find_and_modify::run),
    known("findandmodify", Takes::WriteConcern, find_and_modify::run),
    known("getMore", Takes::ReadConcern, cursors::get_more),
    known("insert", Takes::WriteConcern, insert::run),
    known("killCursors", Takes::ReadConcern, cursors::kill),
    known("listCollections", Takes::ReadConcern, listing::collections),
    known("listDatabases", Takes::ReadConcern, listing::databases),
    known("listIndexes", Takes::ReadConcern, listing::indexes),
    known("ping", Takes::ReadConcern, listing::ping),
    known("renameCollection", Takes::WriteConcern, rename_collection::run),
    known("update", Takes::WriteConcern, update::run),
];

/// The commands that may run in a transaction; these are MongoDB's, but for those that make collections and indexes, and one of ours
/// that only reads.
const IN_TRANSACTIONS: [&str; 11] = [
    "aggregate",
    "delete",
    "distinct",
    "find",
    "findAndModify",
    "findandmodify",
    "getMore",
    "insert",
    "killCursors",
    "lockedDocuments",
    "update",
];

/// How deeply a command may be nested: what it carries may be nested as deeply as a document, and one level more is the server's.
const COMMAND_DEPTH_MAX: usize = 200;
