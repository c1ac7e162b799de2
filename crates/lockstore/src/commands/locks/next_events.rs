//! The next events of a subscription.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bson::RawDocumentBuf;

use super::subscriptions::Reader;
use crate::commands::started::{CommandFuture, Started};
use crate::engine::Engine;
use crate::error::StoreError;
use crate::events::Event;
use crate::remote::form::code::Code;
use crate::remote::form::{event, failure, field, store_error, success};

/// The events that there are. It does not wait, so there may be none.
pub(super) fn at_once(engine: &Engine, subscription: u64) -> RawDocumentBuf {
    match engine.subscriptions.read(subscription, engine.clock.now()) {
        Some(reader) => reply(&reader.take()),
        None => unknown(subscription),
    }
}

/// The events that there are, or those that come next.
pub(super) fn start(engine: &Arc<Engine>, subscription: u64) -> Started {
    let Some(reader) = engine.subscriptions.read(subscription, engine.clock.now()) else {
        return Started::Reply(unknown(subscription));
    };
    let events = reader.take();
    if !events.is_empty() {
        return Started::Reply(reply(&events));
    }
    let engine = Arc::clone(engine);
    Started::Pending(CommandFuture::new(async move {
        poll_fn(|context| {
            // Asked for before the look: what comes behind it wakes.
            let ended = !reader.subscription().wake_with(context.waker());
            let events = reader.take();
            if !events.is_empty() {
                return Poll::Ready(reply(&events));
            }
            if ended {
                let error = engine.check_usable().err().unwrap_or(StoreError::Closed);
                return Poll::Ready(store_error::reply(&error));
            }
            Poll::Pending
        })
        .await
    }))
}

impl Reader {
    fn take(&self) -> Vec<Event> {
        self.subscription().try_iter().take(EVENTS_MAX).collect()
    }
}

fn reply(events: &[Event]) -> RawDocumentBuf {
    success(|fields| {
        fields.open_array(field::EVENTS);
        for event in events {
            fields.open_document_item();
            event::write(event, fields);
            fields.close();
        }
        fields.close();
    })
}

fn unknown(subscription: u64) -> RawDocumentBuf {
    let sentence = format!("no subscription {subscription}, or somebody else reads it now");
    failure(&sentence, Code::LockSubscriptionUnknown, |_| {})
}

/// How many events one reply has at most: 3 MiB of them.
const EVENTS_MAX: usize = 1_000;
