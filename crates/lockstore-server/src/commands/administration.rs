//! Commands that tools send to find out whom they talk to.

use bson::{RawDocument, RawDocumentBuf, rawdoc};

use super::Context;
use super::hello::DOCUMENT_BYTES_MAX;

/// `buildInfo`: the version of MongoDB whose language this is. `lockstore` says who speaks it.
pub(super) fn build_info(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! {
        "version": "6.0.5",
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

/// `endSessions` and `refreshSessions`: a client session has no state here that would end.
pub(super) fn end_sessions(_: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! { "ok": 1.0 }
}

/// `whatsmyuri`.
pub(super) fn whats_my_uri(context: Context<'_>, _: &RawDocument) -> RawDocumentBuf {
    rawdoc! { "you": format!("connection {}", context.connection), "ok": 1.0 }
}
