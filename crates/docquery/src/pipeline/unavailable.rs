//! Stages of the server that ask for what is not here: they are answered as a server without it answers.

use super::stage::Within;
use crate::{Error, ErrorCode, Result};

/// Checks that a stage may stand where it does, though there is none.
pub(crate) fn check_place(name: &str, within: Within, index: usize) -> Result<()> {
    match name {
        "$geoNear" if within == Within::Facet => {
            Err(Error::location(40600, "$geoNear is not allowed in a $facet"))
        }
        "$geoNear" if index > 0 => {
            Err(Error::location(40603, "$geoNear is only valid as the first stage of a pipeline"))
        }
        _ => Ok(()),
    }
}

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
