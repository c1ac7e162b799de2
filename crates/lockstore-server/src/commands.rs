//! Commands: those about the server and its connections are answered here, all others by the store.

mod administration;
mod hello;
mod presence;

use std::cell::OnceCell;
use std::os::unix::net::UnixStream;

use bson::{RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Caller, ErrorCode, Started, Store, Waits, refusal_in_session};

use crate::presence::{Joined, Presence, Presences};
pub(crate) use presence::hello as greet;

/// What a command is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'c> {
    pub(crate) store: &'c Store,
    /// The number of the connection that it came on.
    pub(crate) connection: i32,
    /// That connection.
    pub(crate) stream: &'c UnixStream,
    /// What its thread may wait for.
    pub(crate) waits: Waits,
    /// Who is connected.
    pub(crate) presences: &'c Presences,
    /// Whose connection it is, once it has said so.
    pub(crate) joined: &'c OnceCell<Joined>,
    /// Its presence, if it is a control connection.
    pub(crate) presence: &'c OnceCell<Presence>,
}

impl Context<'_> {
    fn caller(&self) -> Caller {
        self.joined.get().map_or(Caller::Stranger, |joined| Caller::Client(joined.client()))
    }

    /// The server's address in its replica set: the path of its socket.
    fn address(&self) -> String {
        let address = self.stream.local_addr().ok();
        let path = address.as_ref().and_then(|address| address.as_pathname());
        path.map_or_else(String::new, |path| path.to_string_lossy().into_owned())
    }
}

/// A command that is about the server.
type OwnCommand = fn(Context<'_>, &RawDocument) -> RawDocumentBuf;

/// Begins a command that names its database in `$db`.
pub(crate) fn start(context: Context<'_>, command: &RawDocument) -> Started {
    match command.get_str("$db") {
        Ok(database) => start_in(context, database, command),
        Err(_) => Started::Reply(failure(
            ErrorCode::new(NO_DATABASE),
            "OP_MSG requests require a $db argument of type string",
        )),
    }
}

/// Begins a command in a database.
pub(crate) fn start_in(context: Context<'_>, database: &str, command: &RawDocument) -> Started {
    let first = command.iter().next();
    let own = match &first {
        Some(Ok((name, _))) => OWN.iter().find(|(own, _)| *own == name.as_str()),
        _ => None,
    };
    if let Some((_, run)) = own {
        let refusal = refusal_in_session(command);
        return Started::Reply(refusal.unwrap_or_else(|| run(context, command)));
    }
    let database = context.store.database(database);
    database.start_command_of(context.caller(), context.waits, command)
}

/// The reply of a command that is refused.
pub(crate) fn failure(code: ErrorCode, message: &str) -> RawDocumentBuf {
    rawdoc! { "ok": 0.0, "errmsg": message, "code": code.value(), "codeName": &*code.name() }
}

const OWN: &[(&str, OwnCommand)] = &[
    ("buildInfo", administration::build_info),
    ("buildinfo", administration::build_info),
    ("connectionStatus", administration::connection_status),
    ("getCmdLineOpts", administration::command_line),
    ("getLog", administration::get_log),
    ("getParameter", administration::get_parameter),
    ("hello", hello::hello),
    ("hostInfo", administration::host_info),
    ("isMaster", hello::is_master),
    ("ismaster", hello::is_master),
    ("lockGoodbye", presence::goodbye),
    ("lockJoin", presence::join),
    ("lockSessionClose", presence::session_close),
    ("lockSessionOpen", presence::session_open),
    ("replSetGetStatus", administration::set_status),
    ("serverStatus", administration::server_status),
    ("whatsmyuri", administration::whats_my_uri),
];

/// The server's code for a message without a database.
const NO_DATABASE: i32 = 40571;
