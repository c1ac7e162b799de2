//! The interface of a store over its commands: what is asked is written, sent, and its reply read.

use std::borrow::Cow;
use std::path::Path;

use bson::{RawDocument, RawDocumentBuf, Uuid};
use lockcore::{Holder, Key, Refusal, Token, Wait};

use super::form::code::Code;
use super::form::query::Query;
use super::form::{self, Came, event, field, figures, info, session, store_error};
use super::{LockAnswer, LockCall, OnAnswer, OnEvents, Outstanding, Remote};
use crate::commands::Arguments;
use crate::disk::{BackupError, DiskError};
use crate::error::StoreError;
use crate::events::Event;
use crate::info::{BreakRecord, LockInfo, Stats};
use crate::maintenance::{CheckReport, MaintenanceError};
use crate::presence::SessionInfo;
use crate::recovery::Recovery;
use crate::tokens::ReserveTokensError;

/// Makes a call about a lock. One that may wait is made at first as if it did not want to: then the caller's thread gets the answer
/// itself, which is the quickest way to a lock that is free.
pub(super) fn call<R: Remote + ?Sized>(remote: &R, call: LockCall) -> LockAnswer {
    let wait = call.wait();
    // A session is that of the connection that stays.
    let is_session = matches!(call, LockCall::OpenSession | LockCall::CloseSession { .. });
    if !is_session {
        let answer = ask_at_once(remote, &call);
        let is_held = matches!(answer, LockAnswer::Refused(Refusal::Held(_)));
        if !is_held || wait == Wait::No || wait.is_over(remote.clock().now()) {
            return answer;
        }
    }
    let (tell, told) = crossbeam_channel::bounded(1);
    // Nobody gives up here, so the answer finds somebody who waits for it.
    let outstanding = remote.start(call, Box::new(move |answer| drop(tell.send(answer))));
    let answer = told.recv();
    outstanding.detach();
    answer.unwrap_or_else(|_| {
        let what = "a call that was started elsewhere was never answered".into();
        LockAnswer::Failed(StoreError::Internal { what })
    })
}

fn ask_at_once<R: Remote + ?Sized>(remote: &R, call: &LockCall) -> LockAnswer {
    let command = form::call::write(&call.without_waiting());
    match remote.run_command(DATABASE, &command, call.deadline()) {
        Ok(reply) => form::answer::read(call, &reply),
        Err(error) => LockAnswer::Failed(error),
    }
}

pub(super) fn start<R: Remote + ?Sized>(
    remote: &R,
    call: LockCall,
    on_answer: OnAnswer,
) -> Outstanding {
    let (command, deadline) = (form::call::write(&call), call.deadline());
    let on_reply = Box::new(move |reply: Result<RawDocumentBuf, StoreError>| {
        on_answer(match reply {
            Ok(reply) => form::answer::read(&call, &reply),
            Err(error) => LockAnswer::Failed(error),
        });
    });
    remote.start_command(DATABASE, command, deadline, on_reply)
}

pub(super) fn is_held<R: Remote + ?Sized>(
    remote: &R,
    key: &Key,
    holder: Option<&Holder>,
) -> Result<bool, StoreError> {
    let query = Query::IsHeld { key: key.clone(), holder: holder.cloned() };
    ask(remote, &query, |fields| fields.need(field::HELD, Arguments::boolean))
}

pub(super) fn inspect<R: Remote + ?Sized>(
    remote: &R,
    key: &Key,
) -> Result<Option<LockInfo>, StoreError> {
    ask(remote, &Query::Inspect { key: key.clone() }, |fields| {
        let lock = fields.document(field::LOCK)?;
        lock.map(|lock| info::read_lock(Arguments::new(field::LOCK, lock)?)).transpose()
    })
}

pub(super) fn list<R: Remote + ?Sized>(
    remote: &R,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<LockInfo>, StoreError> {
    let mut locks: Vec<LockInfo> = Vec::new();
    loop {
        let after = locks.last().map_or(after, |last| Some(last.key.as_str()));
        let (after, left) = (after.map(Cow::from), limit - locks.len());
        let query = Query::List { prefix: prefix.into(), after, limit: Some(left) };
        let (page, more) = ask(remote, &query, |fields| {
            let page = fields.documents(field::LOCKS, info::read_lock)?;
            Ok((page, fields.need(field::MORE, Arguments::boolean)?))
        })?;
        let ends = page.is_empty() || !more;
        locks.extend(page.into_iter().take(left));
        if ends || locks.len() == limit {
            return Ok(locks);
        }
    }
}

pub(super) fn audit<R: Remote + ?Sized>(
    remote: &R,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<BreakRecord>, StoreError> {
    let mut records: Vec<BreakRecord> = Vec::new();
    loop {
        let before = records.last().map_or(before, |last| Some(last.number));
        let left = limit - records.len();
        let (page, more) = ask(remote, &Query::Audit { before, limit: Some(left) }, |fields| {
            let page = fields.documents(field::RECORDS, info::read_break)?;
            Ok((page, fields.need(field::MORE, Arguments::boolean)?))
        })?;
        let ends = page.is_empty() || !more;
        records.extend(page.into_iter().take(left));
        if ends || records.len() == limit {
            return Ok(records);
        }
    }
}

pub(super) fn subscribe<R: Remote + ?Sized>(
    remote: &R,
    prefix: &str,
    events_max: Option<usize>,
) -> Result<u64, StoreError> {
    ask(remote, &Query::Subscribe { prefix: prefix.into(), events_max }, |fields| {
        fields.need(field::SUBSCRIPTION, Arguments::count)
    })
}

pub(super) fn next_events<R: Remote + ?Sized>(
    remote: &R,
    subscription: u64,
    on_events: OnEvents,
) -> Outstanding {
    let command = Query::NextEvents { subscription }.write();
    let on_reply = Box::new(move |reply: Result<RawDocumentBuf, StoreError>| {
        on_events(reply.and_then(|reply| read_events(&reply)));
    });
    remote.start_command(DATABASE, command, None, on_reply)
}

fn read_events(reply: &RawDocument) -> Result<Option<Vec<Event>>, StoreError> {
    match form::came(reply)? {
        Came::Success(mut fields) => {
            fields.documents(field::EVENTS, event::read).map(Some).map_err(form::nonsense)
        }
        Came::Failure(Code::LockSubscriptionUnknown, _) => Ok(None),
        Came::Failure(code, fields) => Err(store_error::read(code, fields)),
    }
}

pub(super) fn unsubscribe<R: Remote + ?Sized>(remote: &R, subscription: u64) {
    let command = Query::Unsubscribe { subscription }.write();
    // A subscription that nobody reads ends by itself after a while.
    remote.start_command(DATABASE, command, None, Box::new(drop)).detach();
}

pub(super) fn sessions<R: Remote + ?Sized>(remote: &R) -> Result<Vec<SessionInfo>, StoreError> {
    ask(remote, &Query::Sessions, |fields| fields.documents(field::SESSIONS, session::read))
}

pub(super) fn stats<R: Remote + ?Sized>(remote: &R) -> Result<Stats, StoreError> {
    ask(remote, &Query::Stats, figures::read_stats)
}

pub(super) fn id<R: Remote + ?Sized>(remote: &R) -> Result<Uuid, StoreError> {
    let id = ask(remote, &Query::StoreId, |fields| fields.need(field::ID, Arguments::uuid))?;
    Ok(Uuid::from_bytes(id))
}

pub(super) fn reserve_tokens<R: Remote + ?Sized>(
    remote: &R,
    at_least: Token,
) -> Result<Token, ReserveTokensError> {
    let command = Query::ReserveTokens { at_least }.write();
    form::tokens::read(&remote.run_command(DATABASE, &command, None)?)
}

pub(super) fn recovery<R: Remote + ?Sized>(remote: &R) -> Result<Recovery, StoreError> {
    ask(remote, &Query::Recovery, figures::read_recovery)
}

pub(super) fn check<R: Remote + ?Sized>(remote: &R) -> Result<CheckReport, StoreError> {
    ask(remote, &Query::Check, figures::read_check)
}

pub(super) fn backup<R: Remote + ?Sized>(remote: &R, path: &Path) -> Result<(), MaintenanceError> {
    let Some(path) = path.to_str() else {
        let what = "a store elsewhere is told paths in UTF-8 only, and this is none".into();
        let (path, source) = (path.to_owned(), DiskError::Elsewhere { what });
        return Err(BackupError::Destination { path, source }.into());
    };
    let command = Query::Backup { path: path.into() }.write();
    form::backup::read(&remote.run_command(DATABASE, &command, None)?)
}

pub(super) fn compact<R: Remote + ?Sized>(remote: &R) -> Result<bool, StoreError> {
    ask(remote, &Query::Compact, |fields| fields.need(field::MOVED, Arguments::boolean))
}

fn ask<R: Remote + ?Sized, T>(
    remote: &R,
    query: &Query<'_>,
    read: impl FnOnce(&mut Arguments<'_>) -> docquery::Result<T>,
) -> Result<T, StoreError> {
    let reply = remote.run_command(DATABASE, &query.write(), None)?;
    read(&mut form::expect_success(&reply)?).map_err(form::nonsense)
}

/// Lock commands are the same in any database.
const DATABASE: &str = "admin";
