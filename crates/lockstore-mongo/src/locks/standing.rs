//! How a lock stands at one moment, and what is done to it: lockcore decides, as it does in a file.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{DateTime, Uuid};
use lockcore::{
    Change, Command, Grant, Holder, Instant, Key, Lease, LeaveCause, Limits, Now, Outcome, Poll,
    Refusal, SessionId, Table, Token, Transition, Ttl, Wait, Waiter, WaiterId, Want,
};
use lockstore::StoreError;

use super::lock_document::{
    Cause, Entry, Happened, LockDocument, Page, StoredGrant, StoredLease, StoredWaiter, new_rev,
};
use super::look::Look;
use crate::failure::damaged;
use crate::time::{date, instant};

/// A lock at one moment of the primary's time: what had run out by then is over.
#[derive(Debug)]
pub(crate) struct Standing {
    table: Table,
    now: Instant,
    document: LockDocument,
    /// Those who wait, as the table numbers them.
    requests: BTreeMap<WaiterId, Uuid>,
    /// The call that is done just now.
    request: Option<Uuid>,
    /// Whether that is an acquisition.
    acquires: bool,
    first_token: Token,
    /// What has changed.
    entries: Vec<Entry>,
    /// Whether anything is to be written that is not told.
    has_stayed: bool,
}

impl Standing {
    /// What a look has seen.
    pub(crate) fn new(look: &Look) -> Result<Self, StoreError> {
        let now = look.moment.there;
        let mut standing = Self {
            table: Table::new(LIMITS, 0, now),
            now,
            document: look.document.clone().unwrap_or_else(|| LockDocument::free(&look.key)),
            requests: BTreeMap::new(),
            request: None,
            acquires: false,
            first_token: Token::FIRST,
            entries: Vec::new(),
            has_stayed: false,
        };
        standing.restore(look)?;
        standing.first_token = standing.table.next_token();
        standing.settle();
        Ok(standing)
    }

    /// Does what `request` asks.
    pub(crate) fn execute(&mut self, command: &Command, request: Uuid) -> Result<Outcome, Refusal> {
        self.request = Some(request);
        self.acquires = matches!(command, Command::Acquire(_));
        let now = Now { instant: self.now, stamp: self.now.millis_floor() };
        let transition = self.table.decide(now, command)?;
        let outcome = transition.outcome.clone();
        self.apply(&transition);
        Ok(outcome)
    }

    /// The moment, by the primary's time.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// Has somebody who waits keep its place for `ttl` from now on. It is written only where it is worth it.
    pub(crate) fn stay(&mut self, place: usize, ttl: Duration) {
        let waiter = &mut self.document.waiters[place];
        if instant(waiter.until).saturating_since(self.now) < ttl.mul_f32(0.7) {
            waiter.until = date(self.now.saturating_add(ttl));
            self.has_stayed = true;
        }
    }

    /// Has the grant of a call be the caller's, as if it had got it without a wait.
    pub(crate) fn claim(&mut self, acquire: &Command, request: Uuid) -> Result<(), Refusal> {
        let was_joined = self.document.granted_to(request).is_some_and(|grant| grant.joined);
        self.execute(acquire, request)?;
        let claimed = self.document.grants.iter_mut().find(|grant| grant.request == request);
        if let Some(grant) = claimed {
            grant.joined = was_joined;
        }
        Ok(())
    }

    /// Notes when the document of a document's lock was locked, for the grant that a call was given.
    pub(crate) fn locked_at(&mut self, request: Uuid, lock_time: Option<DateTime>) {
        let mut grants = self.document.grants.iter_mut();
        if let Some(grant) = grants.find(|grant| grant.request == request) {
            grant.lock_time = lock_time;
        }
    }

    /// The number of a wait, for the table.
    pub(crate) fn waiter(&self, request: Uuid) -> Option<WaiterId> {
        self.requests.iter().find(|(_, of)| **of == request).map(|(id, _)| *id)
    }

    /// The lock as the table has it, if it is held.
    pub(crate) fn lock(&self) -> Option<&lockcore::Lock> {
        self.table.lock(&self.document.key).map(|lock| &**lock)
    }

    /// The token of the grant that `holder` has.
    pub(crate) fn token_of(&self, holder: &Holder) -> Result<Option<Token>, StoreError> {
        let grant = self.document.grants.iter().find(|grant| grant.holder == holder.as_str());
        grant.map(|grant| token(grant.token)).transpose()
    }

    /// Whether a call is known to have ended a grant.
    pub(crate) fn has_ended(&self, request: Uuid) -> bool {
        let last = self.document.last_of(request);
        last.is_some_and(|entry| matches!(entry.what, Happened::Ended { .. }))
    }

    /// Its document, as the changes leave it.
    pub(crate) fn document(&self) -> &LockDocument {
        &self.document
    }

    /// Whether anything is to be written.
    pub(crate) fn has_changed(&self) -> bool {
        self.has_stayed || !self.entries.is_empty()
    }

    /// How many new grants there are. Their tokens are not known before they are written: until then they count from -1 downwards.
    pub(crate) fn new_grants(&self) -> i64 {
        i64::try_from(self.table.next_token().get() - self.first_token.get()).unwrap_or(i64::MAX)
    }

    /// Which of the new grants a token of the table is: 1 for the first, as it is written below 0; `None` for one that was there.
    pub(crate) fn new_grant(&self, token: Token) -> Option<i64> {
        let before = token.get().checked_sub(self.first_token.get())?;
        Some(i64::try_from(before).unwrap_or(i64::MAX) + 1)
    }

    /// When something runs out next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.table.next_deadline()
    }

    /// The document to write.
    pub(crate) fn into_document(self) -> LockDocument {
        let has_changed = self.has_changed();
        let Self { mut document, now, table, entries, .. } = self;
        if !has_changed {
            return document;
        }
        document.rev = new_rev();
        document.writes += 1;
        let is_free = document.grants.is_empty();
        document.freed_at = is_free.then(|| document.freed_at.unwrap_or_else(|| date(now)));
        let leases = document.grants.iter().filter_map(|grant| grant.lease);
        document.due = leases.map(|lease| lease.expires_at).min();
        if let Some(lock) = table.lock(&document.key) {
            document.mode = lock.mode();
        }
        let write = document.writes;
        document.log.retain(|_, page| page.write > write - LOG_MAX);
        document.log.insert(document.rev.to_hex(), Page { write, is_free, entries });
        document
    }

    fn restore(&mut self, look: &Look) -> Result<(), StoreError> {
        let document = self.document.clone();
        let key = key(&document.key)?;
        let grants = document.grants.iter().filter_map(|grant| grant.session);
        let waiters = document.waiters.iter().filter_map(|waiter| waiter.session);
        let mut sessions: Vec<i64> =
            grants.chain(waiters).chain(look.wanted_sessions.iter().copied()).collect();
        sessions.sort_unstable();
        sessions.dedup();
        for number in sessions {
            // One that is over ends now, with all that is bound to it.
            let ends_at = look.lives_until(number);
            // One that nobody ever had is not known to the table, unless something is bound to it.
            let is_bound = look.is_bound(number);
            if ends_at.is_none() && !is_bound {
                continue;
            }
            let restored =
                self.table.restore_session(session(number)?, ends_at.unwrap_or(self.now));
            restored.map_err(damaged)?;
        }
        for stored in &document.grants {
            let grant = grant(stored)?;
            self.table.restore(&key, document.mode, grant).map_err(damaged)?;
        }
        for stored in &document.waiters {
            if self.table.lock(&key).is_none() {
                return Err(damaged(format_args!("somebody waits for {key:?}, which is free")));
            }
            let id = self.requests.last_key_value().map_or(WaiterId::FIRST, |(id, _)| id.next());
            let waiter = waiter(id, stored)?;
            let queued = Change::Queued { key: key.clone(), waiter };
            self.table.apply(&Transition { outcome: Outcome::Waiting(id), changes: vec![queued] });
            self.requests.insert(id, stored.request);
        }
        Ok(())
    }

    /// What has run out is over.
    fn settle(&mut self) {
        loop {
            match self.table.poll(self.now, &mut u32::MAX.clone()) {
                Poll::Due(command) => {
                    let now = Now { instant: self.now, stamp: self.now.millis_floor() };
                    match self.table.decide(now, &command) {
                        Ok(transition) => self.apply(&transition),
                        Err(refusal) => {
                            tracing::error!(?refusal, ?command, "what is due cannot be done");
                            return;
                        }
                    }
                }
                Poll::Idle(_) => return,
                Poll::Unfinished => {}
            }
        }
    }

    fn apply(&mut self, transition: &Transition) {
        self.table.apply(transition);
        for change in &transition.changes {
            self.note(change);
        }
    }

    /// Makes a change of the table in the document too.
    fn note(&mut self, change: &Change) {
        match change {
            Change::Granted { mode, grant, waiter, .. } => {
                let waited = waiter.and_then(|id| self.leave(id));
                let request = waited.as_ref().map(|waiter| waiter.request).or(self.request);
                let lease = grant.lease.map(StoredLease::from);
                self.document.mode = *mode;
                self.document.grants.push(StoredGrant {
                    holder: grant.holder.as_str().into(),
                    token: self.written(grant.token),
                    request: request.unwrap_or_default(),
                    since: date(self.now),
                    lease,
                    session: grant.session.map(number_of),
                    joined: false,
                    lock_time: None,
                });
                let what = Happened::Granted { mode: *mode, lease, waited: waited.is_some() };
                self.log(request, Some((&grant.holder, grant.token)), what);
            }
            Change::Renewed { holder, token, lease, waiter, .. } => {
                let waited = waiter.and_then(|id| self.leave(id));
                let acquired = waited.is_some() || self.acquires;
                let lease = lease.map(StoredLease::from);
                let request = waited.map(|waiter| waiter.request).or(self.request);
                if let Some(grant) = self.document.grant_of(holder) {
                    grant.lease = lease;
                    grant.joined |= acquired;
                }
                let what = Happened::Renewed { lease, acquired };
                self.log(request, Some((holder, *token)), what);
            }
            Change::Ended { holder, token, cause, .. } => {
                self.document.grants.retain(|grant| grant.holder != holder.as_str());
                let what = Happened::Ended { cause: (*cause).into() };
                self.log(self.request, Some((holder, *token)), what);
            }
            Change::Queued { waiter, .. } => {
                let Want::Grant { holder, mode, ttl } = &waiter.want else { return };
                let request = self.request.unwrap_or_default();
                self.requests.insert(waiter.id, request);
                self.document.waiters.push(StoredWaiter {
                    request,
                    holder: holder.as_str().into(),
                    mode: *mode,
                    ttl_ms: ttl.map(millis),
                    endless: false,
                    session: waiter.session.map(number_of),
                    until: match waiter.wait {
                        Wait::Until(until) => date(until),
                        Wait::No | Wait::Forever => date(self.now),
                    },
                });
                self.log(Some(request), None, Happened::Waiting);
            }
            Change::Left { waiter, cause, .. } => {
                let left = self.leave(*waiter).map(|waiter| waiter.request);
                let cause = match cause {
                    LeaveCause::Free | LeaveCause::Cancelled => Cause::Cancelled,
                    LeaveCause::TimedOut => Cause::TimedOut,
                    LeaveCause::SessionEnded => Cause::SessionEnded,
                };
                self.log(left, None, Happened::Left { cause });
            }
            Change::SessionOpened { .. }
            | Change::SessionLost { .. }
            | Change::SessionTakenUp { .. }
            | Change::SessionClosing { .. }
            | Change::SessionClosed { .. } => {}
        }
    }

    /// Has the last who came want the lock without end.
    pub(crate) fn wants_no_end(&mut self) {
        if let Some(waiter) = self.document.waiters.last_mut() {
            waiter.endless = true;
        }
    }

    fn leave(&mut self, id: WaiterId) -> Option<StoredWaiter> {
        let request = self.requests.remove(&id)?;
        let place = self.document.place_of(request)?;
        Some(self.document.waiters.remove(place))
    }

    fn log(&mut self, request: Option<Uuid>, of: Option<(&Holder, Token)>, what: Happened) {
        let holder = of.map(|(holder, _)| holder.as_str().to_owned());
        let token = of.map(|(_, token)| self.written(token));
        self.entries.push(Entry { request, holder, token, what });
    }

    /// A token as it is written.
    fn written(&self, token: Token) -> i64 {
        self.new_grant(token).map_or_else(|| number(token), |new| -new)
    }
}

impl From<Lease> for StoredLease {
    fn from(lease: Lease) -> Self {
        Self { ttl_ms: millis(lease.ttl), expires_at: date(lease.expires_at) }
    }
}

impl StoredLease {
    /// As the table has it.
    pub(crate) fn lease(&self) -> Result<Lease, StoreError> {
        Ok(Lease { ttl: stored_ttl(self.ttl_ms)?, expires_at: instant(self.expires_at) })
    }
}

fn grant(stored: &StoredGrant) -> Result<Grant, StoreError> {
    let stamp = instant(stored.since).millis_floor();
    let session = stored.session.map(session).transpose()?;
    let (holder, token) = (holder(&stored.holder)?, token(stored.token)?);
    let lease = stored.lease.map(|lease| lease.lease()).transpose()?;
    Ok(Grant::new(holder, token, session, stamp, lease))
}

fn waiter(id: WaiterId, stored: &StoredWaiter) -> Result<Waiter, StoreError> {
    let want = Want::Grant {
        holder: holder(&stored.holder)?,
        mode: stored.mode,
        ttl: stored.ttl_ms.map(stored_ttl).transpose()?,
    };
    let session = stored.session.map(session).transpose()?;
    Ok(Waiter { id, session, wait: Wait::Until(instant(stored.until)), want })
}

/// A key as it stands in a document.
pub(crate) fn key(name: &str) -> Result<Key, StoreError> {
    Key::new(name).map_err(damaged)
}

/// A holder as it stands in a document.
pub(crate) fn holder(name: &str) -> Result<Holder, StoreError> {
    Holder::new(name).map_err(damaged)
}

/// A token as it stands in a document.
pub(crate) fn token(number: i64) -> Result<Token, StoreError> {
    let token = u64::try_from(number).ok().and_then(Token::new);
    token.ok_or_else(|| damaged(format_args!("{number} is no token")))
}

/// A session as it stands in a document.
pub(crate) fn session(number: i64) -> Result<SessionId, StoreError> {
    let session = u64::try_from(number).ok().and_then(SessionId::new);
    session.ok_or_else(|| damaged(format_args!("{number} is no session")))
}

/// A TTL as it stands in a document.
pub(crate) fn stored_ttl(millis: i64) -> Result<Ttl, StoreError> {
    let ttl = u64::try_from(millis).ok().and_then(|millis| Ttl::from_millis(millis).ok());
    ttl.ok_or_else(|| damaged(format_args!("{millis} ms is no TTL")))
}

/// A token as it is stored. None is beyond what a long holds: they are counted by one.
pub(crate) fn number(token: Token) -> i64 {
    i64::try_from(token.get()).unwrap_or(i64::MAX)
}

/// A session as it is stored.
pub(crate) fn number_of(session: SessionId) -> i64 {
    i64::try_from(session.get()).unwrap_or(i64::MAX)
}

/// A TTL as it is stored.
pub(super) fn millis(ttl: Ttl) -> i64 {
    i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX)
}

/// Of one lock: its document is written whole.
const LIMITS: Limits = Limits {
    locks_max: 1,
    holders_per_lock_max: 10_000,
    waiters_per_lock_max: 10_000,
    waiters_max: 10_000,
    sessions_max: 20_001,
    locks_per_session_max: 20_001,
};

/// How many writes a lock remembers: so long can be told what has become of a call whose reply was lost.
pub(super) const LOG_MAX: i64 = 32;
