//! MongoDB's commands: a document in, a document out.
//!
//! A command is parsed into the request of an [operation](crate::operations), with the checks and errors of the server, and what
//! the operation gives is written as the server writes it.

mod aggregate;
mod arguments;
mod caller;
mod coll_mod;
mod compact;
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
mod session_fields;
mod session_rules;
mod sessions;
mod started;
mod statements;
mod transactions;
mod update;
mod write_batch;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Document, Error, ErrorCode, Value, limits};
use lockcore::Instant;

use crate::client_sessions::RetryableWrite;
use crate::documents::{Namespace, Scope};
use crate::engine::Engine;
use crate::error::{DocumentError, StoreError};
use crate::operations::Place;
use crate::transaction::TransactionState;
pub(crate) use arguments::Arguments;
pub use caller::Caller;
use concern::{Concern, Takes};
use cursors::Owner;
use locks::LockCommand;
use reply::Reply;
use session_fields::{Part, SessionFields};

pub(crate) use cursors::Cursors;
pub(crate) use locks::Subscriptions;
pub use session_rules::refusal_in_session;
use session_rules::{IN_TRANSACTIONS, check_attached, check_in_transaction, check_retryable};
pub use started::{CommandFuture, Started};

/// One command on its way.
#[derive(Clone, Copy, Debug)]
struct Call<'c> {
    engine: &'c Arc<Engine>,
    /// The transaction in which it runs, if it runs in one.
    transaction: Option<&'c Arc<TransactionState>>,
    /// The write that it is, if it may come again.
    write: Option<&'c RetryableWrite<'c>>,
    /// The client session and transaction that its cursors belong to.
    owner: Owner,
    database: &'c str,
    /// What the command is, in its own spelling, and what it is about: a collection mostly.
    name: &'c str,
    target: Value<'c>,
    takes: Takes,
    command: Document<'c>,
    waits: Waits,
}

/// What the thread of a command waits for. When it has to wait for anything else, the command becomes a
/// future; see [`Database::start_command_of`](crate::Database::start_command_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// For whatever it needs, but for events, and a wait that is remembered by its client session.
    Everything,
    /// For commits, and for no lock and no event: the quicker way for a thread that has nothing else to do.
    Commits,
    /// For nothing, if it can be helped.
    Nothing,
}

impl Waits {
    /// Whether the thread stays with a command, which may have to wait for somebody else.
    fn cover(self, others: bool) -> bool {
        match self {
            Self::Everything => true,
            Self::Commits => !others,
            Self::Nothing => false,
        }
    }
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
        Some(Ok(lock)) => lock.run(engine, command),
        Some(Err(error)) => failed(&error.into()),
        None => match dispatch(engine, transaction, database, command, Waits::Everything) {
            Started::Reply(reply) => reply,
            Started::Pending(_) => unreachable!("a command that may block is not parked"),
        },
    }
}

/// Starts a command in a database. It is pending when it has to wait for what `waits` leaves out.
pub(crate) fn start(
    engine: &Arc<Engine>,
    caller: Caller,
    waits: Waits,
    database: &str,
    command: &RawDocument,
) -> Started {
    if let Some(refusal) = caller.refusal(engine, command) {
        return Started::Reply(refusal);
    }
    match about_locks(engine, None, command) {
        Some(Ok(lock)) => lock.start(engine, caller, waits, command),
        Some(Err(error)) => Started::Reply(failed(&error.into())),
        None => dispatch(engine, None, database, command, waits),
    }
}

/// What a command is called. What is not well-formed is refused later; to be asked its first name it need not be.
fn name_of(command: &RawDocument) -> Option<&str> {
    Some(command.iter().next()?.ok()?.0.as_str())
}

/// The command, if it is one about locks, and is not part of a transaction.
fn about_locks<'c>(
    engine: &Engine,
    transaction: Option<&Arc<TransactionState>>,
    command: &'c RawDocument,
) -> Option<Result<LockCommand<'c>, Error>> {
    let name = name_of(command)?;
    if !name.starts_with("lock") {
        return None;
    }
    if let Err(error) = limits::check_bson(command, COMMAND_DEPTH_MAX) {
        return Some(Err(error));
    }
    let fields = Document::from(command);
    let is_part = transaction.is_some() || !fields.get("autocommit").is_missing();
    if is_part && IN_TRANSACTIONS.contains(&name) {
        return None;
    }
    let lock = LockCommand::parse(engine, name, fields)?;
    Some(if is_part { check_in_transaction(name).and(lock) } else { lock })
}

/// The reply of a command that failed before anybody ran it.
pub(crate) fn failed(error: &DocumentError) -> RawDocumentBuf {
    Reply::failure(error, &Within::Nothing.labels(error))
}

/// The reply of a command that failed in a transaction.
pub(crate) fn failed_in_transaction(error: &DocumentError) -> RawDocumentBuf {
    Reply::failure(error, &Within::Transaction.labels(error))
}

/// What a command runs in, so that it is known what its error means for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Within {
    Nothing,
    /// It is a write that may come again.
    RetryableWrite,
    Transaction,
    /// It is the end of a transaction.
    End,
}

fn dispatch(
    engine: &Arc<Engine>,
    transaction: Option<&Arc<TransactionState>>,
    database: &str,
    command: &RawDocument,
    waits: Waits,
) -> Started {
    let mut within = Within::Nothing;
    let ran = try_dispatch(engine, transaction, database, command, waits, &mut within);
    Started::Reply(match ran {
        Ok(Ran::Started(started)) => return started,
        Ok(Ran::Reply(reply)) => match Document::from(command).get("writeConcern") {
            Value::Document(concern) => {
                let error = concern::unsatisfied(concern);
                reply.with_write_concern_error(concern, error.as_ref()).finish()
            }
            _ => reply.finish(),
        },
        Err(error) => Reply::failure(&error, &within.labels(&error)),
    })
}

/// What a command has come to.
enum Ran {
    Reply(Reply),
    Started(Started),
}

fn try_dispatch(
    engine: &Arc<Engine>,
    transaction: Option<&Arc<TransactionState>>,
    database: &str,
    command: &RawDocument,
    waits: Waits,
    within: &mut Within,
) -> Result<Ran, DocumentError> {
    limits::check_bson(command, COMMAND_DEPTH_MAX)?;
    let command = Document::from(command);
    let (name, target) = command.first().unwrap_or(("", Value::Missing));
    let ours = locks::documents::COMMANDS.iter().chain(&locks::changes::COMMANDS);
    let Some(known) = COMMANDS.iter().chain(ours).find(|known| known.name == name) else {
        return Err(
            Error::new(ErrorCode::COMMAND_NOT_FOUND, format!("no such command: '{name}'")).into()
        );
    };
    check_api(name, command)?;
    let (takes, owner) = (known.takes, Owner::default());
    let write = None;
    let call =
        Call { engine, transaction, write, owner, database, name, target, takes, command, waits };
    if transaction.is_some() {
        *within = Within::Transaction;
        check_in_transaction(name)?;
        return call.run(known);
    }
    check_attached(name, command)?;
    let SessionFields { lsid, part } = SessionFields::parse(command)?;
    let owner = Owner { lsid, transaction: None };
    match part {
        Part::None => {
            if let Some(lsid) = lsid {
                engine.client_sessions.touch(lsid, engine.clock.now());
            }
            Call { owner, ..call }.run(known)
        }
        Part::Write { lsid, number, resent } => {
            check_retryable(name)?;
            *within = Within::RetryableWrite;
            let session = engine.client_sessions.take(engine, lsid, call.deadline()?)?;
            let write = RetryableWrite::begin(session, number, resent)?;
            Call { write: Some(&write), owner, ..call }.run(known)
        }
        Part::Transaction(part) => {
            let is_end = matches!(name, "commitTransaction" | "abortTransaction");
            *within = if is_end { Within::End } else { Within::Transaction };
            call.in_transaction_of(part, known).map(Ran::Reply)
        }
    }
}

impl Within {
    /// MongoDB's labels for an error: what its client may well do again.
    fn labels(self, error: &DocumentError) -> Vec<&'static str> {
        let is_going = error.code() == ErrorCode::SHUTDOWN_IN_PROGRESS;
        let is_over = error.code() == ErrorCode::NO_SUCH_TRANSACTION || error.is_transient();
        match self {
            _ if matches!(error, DocumentError::Store(StoreError::OutcomeUnknown { .. })) => {
                vec![OUTCOME_UNKNOWN]
            }
            Self::RetryableWrite | Self::End if is_going => vec!["RetryableWriteError"],
            Self::Transaction if is_going => vec![TRANSIENT],
            Self::Transaction | Self::End if is_over => vec![TRANSIENT],
            Self::Nothing | Self::RetryableWrite | Self::Transaction | Self::End => Vec::new(),
        }
    }
}

/// Checks the version of the interface that a command asks for: there is one.
fn check_api(name: &str, command: Document<'_>) -> Result<(), Error> {
    let strict = command.get("apiStrict").is_truthy();
    match command.get("apiVersion") {
        Value::Missing if strict || command.get("apiDeprecationErrors").is_truthy() => {
            let message =
                "Provided apiStrict and/or apiDeprecationErrors without passing apiVersion";
            Err(Error::location(4_886_600, message))
        }
        Value::String("1") if strict && NOT_IN_API_1.contains(&name) => {
            let message =
                format!("Provided apiStrict:true, but the command {name} is not in API Version 1");
            Err(Error::new(ErrorCode::API_STRICT_ERROR, message))
        }
        Value::Missing | Value::String("1") => Ok(()),
        Value::String(version) => {
            let message = format!("Cannot accept API version {version}");
            Err(Error::new(ErrorCode::API_VERSION_ERROR, message))
        }
        other => Err(Error::type_mismatch(format!(
            "BSON field 'APIVersion.apiVersion' is the wrong type '{}', expected type 'string'",
            other.type_name()
        ))),
    }
}

impl<'c> Call<'c> {
    fn run(&self, known: &Known) -> Result<Ran, DocumentError> {
        match known.run {
            Run::Usual(run) => run(self).map(Ran::Reply),
            Run::Special(start) => Ok(Ran::Started(start(self))),
        }
    }

    /// Whether it has come before, as far as its sender knows: who sent it has never heard the reply.
    fn is_resent(&self) -> bool {
        matches!(self.command.get("lockRetry"), Value::Bool(true))
    }

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

    /// Until when it may take, if that is limited.
    fn deadline(&self) -> Result<Option<Instant>, Error> {
        let limit = concern::max_time(self.command)?;
        Ok(limit.map(|limit| self.engine.clock.now().saturating_add(limit)))
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
    known("abortTransaction", Takes::WriteConcern, transactions::alone),
    known("aggregate", Takes::Both, aggregate::run),
    known("collMod", Takes::WriteConcern, coll_mod::run),
    known("commitTransaction", Takes::WriteConcern, transactions::alone),
    known("compact", Takes::ReadConcern, compact::run),
    known("count", Takes::ReadConcern, count::run),
    known("create", Takes::WriteConcern, create::run),
    known("createIndexes", Takes::WriteConcern, create_indexes::run),
    known("delete", Takes::WriteConcern, delete::run),
    known("distinct", Takes::ReadConcern, distinct::run),
    known("drop", Takes::WriteConcern, drop::run),
    known("dropDatabase", Takes::WriteConcern, drop::run_database),
    known("dropIndexes", Takes::WriteConcern, drop_indexes::run),
    known("deleteIndexes", Takes::WriteConcern, drop_indexes::run),
    known("endSessions", Takes::ReadConcern, sessions::end),
    known("explain", Takes::ReadConcern, explain::run),
    known("find", Takes::ReadConcern, find::run),
    known("findAndModify", Takes::WriteConcern, find_and_modify::run),
    known("findandmodify", Takes::WriteConcern, find_and_modify::run),
    known("getMore", Takes::ReadConcern, cursors::get_more),
    known("insert", Takes::WriteConcern, insert::run),
    known("killAllSessions", Takes::ReadConcern, sessions::kill),
    known("killCursors", Takes::ReadConcern, cursors::kill),
    known("killSessions", Takes::ReadConcern, sessions::kill),
    known("listCollections", Takes::ReadConcern, listing::collections),
    known("listDatabases", Takes::ReadConcern, listing::databases),
    known("listIndexes", Takes::ReadConcern, listing::indexes),
    known("ping", Takes::ReadConcern, listing::ping),
    known("refreshSessions", Takes::ReadConcern, sessions::refresh),
    known("renameCollection", Takes::WriteConcern, rename_collection::run),
    known("startSession", Takes::ReadConcern, sessions::start),
    known("update", Takes::WriteConcern, update::run),
];

/// The commands that MongoDB's API version 1 does not have.
const NOT_IN_API_1: [&str; 8] = [
    "compact",
    "deleteIndexes",
    "distinct",
    "findandmodify",
    "killAllSessions",
    "killSessions",
    "renameCollection",
    "startSession",
];

/// The label of an error that tells of no outcome.
const OUTCOME_UNKNOWN: &str = "OutcomeUnknown";

/// The label of an error after which the whole transaction may well succeed if it is run again.
const TRANSIENT: &str = "TransientTransactionError";

/// How deeply a command may be nested: what it carries may be nested as deeply as a document, and one level more is the server's.
const COMMAND_DEPTH_MAX: usize = 200;
