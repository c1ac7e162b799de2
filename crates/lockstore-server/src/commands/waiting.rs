//! Commands that wait.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};
use lockstore::{Clock, ErrorCode, Instant, SystemClock};

use super::{Context, Started, failure};

/// `lockWait: <key>`: waits until nobody holds the lock, for ever or for `wait: { untilNS: <time since boot> }`. Answers in `free`
/// whether that has come.
pub(super) fn lock_wait(context: Context<'_>, command: &RawDocument) -> Started {
    let Ok(key) = command.get_str("lockWait") else { return malformed("it takes a key") };
    let timeout = match command.get("wait") {
        Ok(None | Some(RawBsonRef::String("forever"))) => None,
        Ok(Some(RawBsonRef::Document(wait))) => match wait.get_i64("untilNS") {
            Ok(until) => {
                let until = Instant::from_nanos(u64::try_from(until).unwrap_or(0));
                let Ok(clock) = SystemClock::new() else { return malformed("there is no clock") };
                Some(until.saturating_since(clock.now()))
            }
            Err(_) => return malformed("untilNS is a long"),
        },
        Ok(Some(_)) | Err(_) => return malformed("wait is \"forever\" or a document"),
    };
    let freed = context.store.wait_until_free_async(key, timeout);
    Started::Pending(Box::pin(async move {
        match freed.await {
            Ok(free) => rawdoc! { "free": free, "ok": 1.0 },
            Err(error) => refusal(&error.to_string()),
        }
    }))
}

fn malformed(what: &str) -> Started {
    Started::Reply(refusal(&format!("lockWait: {what}")))
}

fn refusal(message: &str) -> RawDocumentBuf {
    failure(ErrorCode::FAILED_TO_PARSE, message)
}
