//! Commands that tools send to find out whom they talk to. What they ask of a server that there is nothing of here is left out.

use std::fs;
use std::thread::available_parallelism;

use bson::{DateTime, RawArrayBuf, RawBson, RawDocument, RawDocumentBuf, cstr, rawdoc};
use lockstore::ErrorCode;

use super::hello::{DOCUMENT_BYTES_MAX, SET_NAME, SET_VERSION, TERM, last_write};
use super::{Context, failure};

/// `buildInfo`: the version of MongoDB whose language this is. `lockstore` says who speaks it.
pub(super) fn build_info(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! {
        "version": VERSION,
        "versionArray": [6, 0, 5, 0],
        "lockstore": env!("CARGO_PKG_VERSION"),
        "gitVersion": "none",
        "modules": [],
        "bits": 64,
        "debug": false,
        "maxBsonObjectSize": DOCUMENT_BYTES_MAX,
        "storageEngines": ["redb"],
        "ok": 1.0,
    }
}

/// `connectionStatus`: whoever gets in may do everything.
pub(super) fn connection_status(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! { "authInfo": { "authenticatedUsers": [], "authenticatedUserRoles": [] }, "ok": 1.0 }
}

/// `whatsmyuri`.
pub(super) fn whats_my_uri(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! { "you": format!("connection {}", context.connection), "ok": 1.0 }
}

/// `getParameter`, which knows `featureCompatibilityVersion` and `transactionLifetimeLimitSeconds`.
pub(super) fn get_parameter(_: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    let all = matches!(command.get_str("getParameter"), Ok("*"));
    let asked = |name: &str| all || matches!(command.get(name), Ok(Some(_)));
    let mut reply = RawDocumentBuf::new();
    if asked("featureCompatibilityVersion") {
        reply.append(cstr!("featureCompatibilityVersion"), rawdoc! { "version": "6.0" });
    }
    if asked("transactionLifetimeLimitSeconds") {
        reply.append(cstr!("transactionLifetimeLimitSeconds"), TRANSACTION_SECONDS);
    }
    if reply.is_empty() && !all {
        return failure(ErrorCode::INVALID_OPTIONS, "no option found to get");
    }
    reply.append(cstr!("ok"), 1.0);
    reply
}

/// `getCmdLineOpts`.
pub(super) fn command_line(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    let words: RawArrayBuf = words.collect();
    rawdoc! { "argv": words, "parsed": { "replication": { "replSet": SET_NAME } }, "ok": 1.0 }
}

/// `hostInfo`.
pub(super) fn host_info(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let cores =
        available_parallelism().map_or(1, |cores| i32::try_from(cores.get()).unwrap_or(i32::MAX));
    rawdoc! {
        "system": {
            "currentTime": DateTime::now(),
            "hostname": host_name(),
            "cpuAddrSize": i32::try_from(usize::BITS).unwrap_or(i32::MAX),
            "numCores": cores,
            "cpuArch": std::env::consts::ARCH,
        },
        "os": { "type": "Linux", "name": "Linux" },
        "extra": {},
        "ok": 1.0,
    }
}

/// `serverStatus`.
pub(super) fn server_status(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let stats = match context.store.stats() {
        Ok(stats) => stats,
        Err(error) => return failure(ErrorCode::SHUTDOWN_IN_PROGRESS, &error.to_string()),
    };
    let me = context.address();
    rawdoc! {
        "host": me.as_str(),
        "version": VERSION,
        "process": "lockstore",
        "pid": i64::from(std::process::id()),
        "localTime": DateTime::now(),
        "logicalSessionRecordCache": { "activeSessionsCount": count(stats.client_sessions) },
        "repl": {
            "setName": SET_NAME,
            "setVersion": SET_VERSION,
            "isWritablePrimary": true,
            "secondary": false,
            "hosts": [me.as_str()],
            "primary": me.as_str(),
            "me": me.as_str(),
        },
        "storageEngine": { "name": "redb", "persistent": true, "supportsCommittedReads": true },
        "lockstore": {
            "version": env!("CARGO_PKG_VERSION"),
            "locks": count(stats.locks),
            "documentLocks": count(stats.document_locks),
            "waiters": count(stats.waiters),
            "sessions": count(stats.sessions),
            "clientSessions": count(stats.client_sessions),
            "commits": whole(stats.commits),
            "requests": whole(stats.requests),
            "fileBytes": whole(stats.file_bytes),
            "collections": count(stats.collections),
            "documents": whole(stats.documents),
        },
        "ok": 1.0,
    }
}

/// `getLog`: what there is to log is in the server's log file.
pub(super) fn get_log(_: Context<'_>, command: &RawDocument) -> RawDocumentBuf {
    match command.get_str("getLog") {
        Ok("*") => rawdoc! { "names": ["global", "startupWarnings"], "ok": 1.0 },
        Ok("global" | "startupWarnings") => {
            rawdoc! { "totalLinesWritten": 0, "log": [], "ok": 1.0 }
        }
        Ok(name) => failure(ErrorCode::OPERATION_FAILED, &format!("No log named '{name}'")),
        Err(_) => failure(ErrorCode::TYPE_MISMATCH, "Argument to getLog must be of type String"),
    }
}

/// `replSetGetStatus`: the set has one member.
pub(super) fn set_status(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    let (me, last) = (context.address(), last_write());
    let moment = last.get("opTime").ok().flatten().map_or(RawBson::Null, RawBson::from);
    rawdoc! {
        "set": SET_NAME,
        "date": DateTime::now(),
        "myState": PRIMARY,
        "term": TERM,
        "majorityVoteCount": 1,
        "writeMajorityCount": 1,
        "votingMembersCount": 1,
        "writableVotingMembersCount": 1,
        "optimes": {
            "lastCommittedOpTime": moment.clone(),
            "readConcernMajorityOpTime": moment.clone(),
            "appliedOpTime": moment.clone(),
            "durableOpTime": moment.clone(),
        },
        "members": [{
            "_id": 0,
            "name": me,
            "health": 1.0,
            "state": PRIMARY,
            "stateStr": "PRIMARY",
            "optime": moment,
            "configVersion": SET_VERSION,
            "configTerm": TERM,
            "self": true,
        }],
        "ok": 1.0,
    }
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}

fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The MongoDB whose language this is.
const VERSION: &str = "6.0.5";

/// The state of a primary.
const PRIMARY: i32 = 1;

/// How long a transaction may be open.
const TRANSACTION_SECONDS: i32 = 60;
