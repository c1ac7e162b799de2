//! Commands about the server, in client sessions. What is expected is what mongod 6.0.5 answered.

use bson::raw::CStr;
use bson::{Binary, RawDocumentBuf, cstr, rawdoc, spec::BinarySubtype};
use lockstore::Store;
use lockstore_server::{Client, ConnectOptions, ServerOptions};

use super::{Place, client};

/// About the connection: they belong to no session, whatever they say.
const ABOUT_CONNECTIONS: [&str; 8] = [
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "buildInfo",
    "buildinfo",
    "connectionStatus",
    "whatsmyuri",
];

/// About the server.
const ABOUT_SERVERS: [&str; 6] =
    ["getCmdLineOpts", "getLog", "getParameter", "hostInfo", "replSetGetStatus", "serverStatus"];

fn command(name: &str) -> RawDocumentBuf {
    let mut command = RawDocumentBuf::new();
    let first: &CStr = name.try_into().unwrap();
    match name {
        "getLog" => command.append(first, "global"),
        _ => command.append(first, 1_i32),
    }
    if name == "getParameter" {
        command.append(cstr!("featureCompatibilityVersion"), 1_i32);
    }
    command.append(cstr!("$db"), "admin");
    command
}

fn with(mut command: RawDocumentBuf, fields: &RawDocumentBuf) -> RawDocumentBuf {
    for (name, value) in fields.iter().map(Result::unwrap) {
        command.append(name, value);
    }
    command
}

fn session(id: u8) -> RawDocumentBuf {
    let id = Binary { subtype: BinarySubtype::Uuid, bytes: vec![id; 16] };
    rawdoc! { "lsid": { "id": id } }
}

/// What a part of a transaction says, or of what has a number.
fn part(id: u8, fields: &RawDocumentBuf) -> RawDocumentBuf {
    with(with(session(id), &rawdoc! { "txnNumber": 1_i64 }), fields)
}

#[track_caller]
fn refused(client: &mut Client, command: &RawDocumentBuf, code: i32, words: &str) {
    let reply = client.run_command(command).unwrap();
    let told = (reply.get_i32("code").unwrap_or(0), reply.get_str("errmsg").unwrap_or_default());
    assert_eq!(told, (code, words), "{command:?}");
    assert!(reply.get("errorLabels").unwrap().is_none(), "{reply:?}");
}

#[track_caller]
fn done(client: &mut Client, command: &RawDocumentBuf) {
    let reply = client.run_command(command).unwrap();
    assert!(reply.get_f64("ok").is_ok_and(|ok| ok > 0.0), "{command:?}: {reply:?}");
}

#[test]
fn what_is_about_the_server_is_no_part_of_a_transaction_and_leaves_it_as_it_is() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let client = &mut client(&server);
    let inside = rawdoc! { "autocommit": false };
    let first = rawdoc! { "startTransaction": true, "autocommit": false };
    for (id, name) in (1..).zip(ABOUT_CONNECTIONS.into_iter().chain(ABOUT_SERVERS)) {
        let words = if ABOUT_CONNECTIONS.contains(&name) {
            "This command is not supported in transactions".to_owned()
        } else {
            format!("Cannot run '{name}' in a multi-document transaction.")
        };
        refused(client, &with(command(name), &part(id, &first)), 263, &words);
        let insert = rawdoc! { "insert": "jobs", "documents": [{ "by": name }], "$db": "factory" };
        done(client, &with(insert, &part(id, &first)));
        refused(client, &with(command(name), &part(id, &inside)), 263, &words);
        done(client, &with(command("commitTransaction"), &part(id, &inside)));
        done(client, &with(command(name), &session(id)));
    }
}

#[test]
fn what_is_about_the_server_is_no_write_that_may_come_again() {
    let place = Place::new();
    let server = place.start(ServerOptions::new()).unwrap();
    let client = &mut client(&server);
    let number = rawdoc! { "txnNumber": 1_i64 };
    let manual = rawdoc! { "autocommit": false };
    for name in ABOUT_CONNECTIONS {
        let words = "It is illegal to provide a txnNumber for this command";
        refused(client, &with(command(name), &part(1, &rawdoc! {})), 50_889, words);
        refused(client, &with(command(name), &number), 50_889, words);
        let words = "This command is not supported in transactions";
        refused(
            client,
            &with(command(name), &part(1, &rawdoc! { "autocommit": true })),
            263,
            words,
        );
        refused(client, &with(command(name), &manual), 263, words);
    }
    for name in ABOUT_SERVERS {
        let words = format!(
            "txnNumber may only be provided for multi-document transactions and retryable write commands. autocommit:false was \
             not provided, and {name} is not a retryable write command."
        );
        refused(client, &with(command(name), &part(1, &rawdoc! {})), 50_768, &words);
        let words = "Transaction number requires a session ID to also be specified";
        refused(client, &with(command(name), &number), 72, words);
        let words = "Specifying autocommit=true is not allowed.";
        refused(client, &with(command(name), &part(1, &rawdoc! { "autocommit": true })), 72, words);
        let words = "'autocommit' field requires a transaction number to also be specified";
        refused(client, &with(command(name), &manual), 72, words);
    }
    for name in ABOUT_CONNECTIONS.into_iter().chain(ABOUT_SERVERS) {
        let words = "BSON field 'OperationSessionInfo.lsid' is the wrong type 'int', expected type 'object'";
        refused(client, &with(command(name), &rawdoc! { "lsid": 1 }), 14, words);
        let words = "'startTransaction' field requires 'autocommit' field to also be specified";
        refused(client, &with(command(name), &rawdoc! { "startTransaction": true }), 72, words);
    }
}

#[test]
fn a_transaction_of_a_connected_store_answers_for_no_server() {
    let place = Place::new();
    let _server = place.start(ServerOptions::new()).unwrap();
    let store: Store = ConnectOptions::new().program("/nowhere").connect(place.file()).unwrap();
    let mut tx = store.begin_transaction().unwrap();
    for name in ["hello", "serverStatus", "ping"] {
        let reply = tx.run_command("admin", &command(name));
        assert_eq!(reply.get_i32("code").unwrap(), 263, "{reply:?}");
    }
    let insert = rawdoc! { "insert": "jobs", "documents": [{ "_id": 1 }] };
    assert_eq!(tx.run_command("factory", &insert).get_i32("n").unwrap(), 1);
    tx.commit().unwrap();
}
