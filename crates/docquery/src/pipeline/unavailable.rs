//! Stages of the server that ask for what is not here: they are answered as a server without it answers.

use crate::{Error, ErrorCode};

/// The error for the stage `name`, if it is one of them.
pub(crate) fn error(name: &str) -> Option<Error> {
    let (code, message) = match name {
        "$geoNear" => {
            (ErrorCode::INDEX_NOT_FOUND, "$geoNear needs a geographic index, and there is none")
        }
        "$currentOp" | "$listLocalSessions" => (
            ErrorCode::INVALID_NAMESPACE,
            "it runs in no collection: there are no operations of others to list",
        ),
        "$listSessions" => {
            (ErrorCode::INVALID_NAMESPACE, "$listSessions runs in config.system.sessions")
        }
        "$changeStream" => (ErrorCode::new(40573), "$changeStream needs a replica set"),
        "$shardedDataDistribution" => {
            (ErrorCode::new(6_789_101), "$shardedDataDistribution needs a sharded cluster")
        }
        _ => return None,
    };
    Some(Error::new(code, message))
}
