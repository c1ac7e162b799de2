//! Questions about locks and about the store, and what is done to the store as a whole.

use std::path::Path;
use std::sync::Arc;

use bson::RawDocumentBuf;
use docquery::{Value, Writer, limits};

use super::next_events;
use crate::commands::caller::Caller;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::remote::form::parts::{number, uuid};
use crate::remote::form::query::Query;
use crate::remote::form::{backup, field, figures, info, session, store_error, success, tokens};
use crate::store::PAGE_MAX;

/// Answers a query.
pub(super) fn run(engine: &Arc<Engine>, caller: Caller, query: &Query<'_>) -> RawDocumentBuf {
    if let Query::Backup { path } = query {
        return match engine.backup(Path::new(&**path)) {
            Ok(()) => success(|_| {}),
            Err(error) => backup::reply(&error),
        };
    }
    if let Query::ReserveTokens { at_least } = query {
        return tokens::reply(&engine.reserve_tokens(*at_least));
    }
    if let Query::NextEvents { subscription } = query {
        return next_events::at_once(engine, *subscription);
    }
    let mut fields = Writer::new();
    match answer(engine, caller, query, &mut fields) {
        Ok(()) => success(|reply| *reply = fields),
        Err(error) => store_error::reply(&error),
    }
}

fn answer(
    engine: &Arc<Engine>,
    caller: Caller,
    query: &Query<'_>,
    fields: &mut Writer,
) -> Result<(), StoreError> {
    engine.check_usable()?;
    match query {
        Query::IsHeld { key, holder } => {
            fields.field(field::HELD, Value::Bool(engine.is_held(key, holder.as_deref())));
        }
        Query::Inspect { key } => {
            if let Some(lock) = engine.inspect(key) {
                fields.open_document(field::LOCK);
                info::write_lock(&lock, fields);
                fields.close();
            }
        }
        Query::List { prefix, after, limit } => {
            let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let locks = engine.list(prefix, after.as_deref(), limit);
            page(field::LOCKS, locks, limit, info::write_lock, fields);
        }
        Query::Audit { before, limit } => {
            let limit = limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let records = engine.audit(*before, limit)?.into_iter();
            page(field::RECORDS, records, limit, info::write_break, fields);
        }
        Query::Subscribe { prefix, events_max } => {
            let now = engine.clock.now();
            let subscription = engine.subscribe(prefix, *events_max)?;
            let number_of = engine.subscriptions.keep(subscription, caller.client(), now)?;
            fields.field(field::SUBSCRIPTION, number(number_of));
        }
        Query::Unsubscribe { subscription } => engine.subscriptions.end(*subscription),
        Query::Sessions => {
            fields.open_array(field::SESSIONS);
            for session in engine.sessions()? {
                fields.open_document_item();
                session::write(&session, fields);
                fields.close();
            }
            fields.close();
        }
        Query::Stats => figures::write_stats(&engine.stats()?, fields),
        Query::Recovery => figures::write_recovery(&engine.recovery, fields),
        Query::Check => figures::write_check(&engine.check()?, fields),
        Query::Compact => fields.field(field::MOVED, Value::Bool(engine.compact()?)),
        Query::StoreId => {
            fields.field(field::ID, uuid(&engine.id()?.bytes()));
        }
        Query::Backup { .. } | Query::NextEvents { .. } | Query::ReserveTokens { .. } => {}
    }
    Ok(())
}

/// Writes as many items as fit into a reply, and whether there may be more behind them.
fn page<T>(
    name: &str,
    items: impl Iterator<Item = T>,
    limit: usize,
    write: fn(&T, &mut Writer),
    fields: &mut Writer,
) {
    let mut written = 0;
    fields.open_array(name);
    for item in items {
        fields.open_document_item();
        write(&item, fields);
        fields.close();
        written += 1;
        if fields.len() >= limits::DOCUMENT_BYTES_MAX {
            break;
        }
    }
    fields.close();
    let is_full = fields.len() >= limits::DOCUMENT_BYTES_MAX || (written == limit && limit > 0);
    fields.field(field::MORE, Value::Bool(is_full));
}
