//! The update that makes a lock what was decided of what was seen: only what is different is written, however many wait.

use bson::{Bson, Document, bson, doc};
use lockstore::StoreError;
use serde::Serialize;

use super::lock_document::{LockDocument, mode_name};
use super::tokens::{before_the_first, with_tokens};
use crate::failure::damaged;

/// The update that makes `seen` what `decided` is, with tokens for its new grants, which are written as -1 for the first, -2 for the second ...
pub(super) fn update(
    seen: Option<&LockDocument>,
    decided: &LockDocument,
    new_grants: i64,
) -> Result<Vec<Document>, StoreError> {
    let nothing = LockDocument::free(&decided.key);
    let (set, unset) = difference(seen.unwrap_or(&nothing), decided)?;
    let mut stages = Vec::new();
    if new_grants > 0 {
        stages.push(doc! { "$set": { "last": before_the_first() } });
    }
    if !unset.is_empty() {
        stages.push(doc! { "$unset": unset });
    }
    stages.push(doc! { "$set": set });
    if new_grants > 0 {
        let entries = format!("log.{}.entries", decided.rev.to_hex());
        let told = with_tokens(&format!("${entries}"));
        stages.push(doc! { "$set": { "grants": with_tokens("$grants"), entries: told } });
        stages.push(doc! { "$set": { "last": { "$add": ["$last", new_grants] } } });
    }
    Ok(stages)
}

/// The fields to be set, and those to be removed.
fn difference(
    seen: &LockDocument,
    decided: &LockDocument,
) -> Result<(Document, Vec<String>), StoreError> {
    let mut set = doc! {
        "rev": decided.rev,
        "writes": decided.writes,
        "mode": mode_name::of(decided.mode),
        "grants": literal(&decided.grants)?,
    };
    let mut unset = Vec::new();
    // An array without elements has an entry in an index.
    if decided.waiting_sessions.is_empty() {
        unset.push("waitingSessions".to_owned());
    } else {
        set.insert("waitingSessions", decided.waiting_sessions.clone());
    }
    for (field, date) in [("due", decided.due), ("freedAt", decided.freed_at)] {
        match date {
            Some(date) => drop(set.insert(field, date)),
            None => unset.push(field.to_owned()),
        }
    }
    if let Some(page) = decided.log.page(decided.rev) {
        set.insert(format!("log.{}", decided.rev.to_hex()), literal(page)?);
    }
    unset.extend(seen.log.gone_in(&decided.log).map(|rev| format!("log.{rev}")));
    // Both are in the order of their numbers.
    let mut before = seen.waiters.iter().peekable();
    for waiter in &decided.waiters {
        while let Some(gone) = before.next_if(|it| it.number < waiter.number) {
            unset.push(format!("waiters.{}", gone.name()));
        }
        let was = before.next_if(|it| it.number == waiter.number);
        if was != Some(waiter) {
            set.insert(format!("waiters.{}", waiter.name()), literal(waiter)?);
        }
    }
    unset.extend(before.map(|gone| format!("waiters.{}", gone.name())));
    if seen.waiters.is_empty() && decided.waiters.is_empty() {
        set.insert("waiters", doc! { "$literal": {} });
    }
    Ok((set, unset))
}

/// A value as it is: nothing in it is an expression.
fn literal(value: &impl Serialize) -> Result<Bson, StoreError> {
    let value = bson::serialize_to_bson(value).map_err(damaged)?;
    Ok(bson!({ "$literal": value }))
}
