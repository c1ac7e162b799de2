//! How a lock stands at one moment, and what is done to it: lockcore decides, as it does in a file.

use std::collections::BTreeMap;
use std::time::Duration;

use bson::{DateTime, Uuid};
use lockcore::{
    Change, Command, Granted, Holder, Instant, Lease, Limit, Limits, Now, Outcome, Poll, Refusal,
    Release, Table, Token, Transition, WaiterId,
};
use lockstore::StoreError;

use super::lock_document::{LockDocument, StoredGrant, new_rev};
use super::log::{Entry, Happened, Page};
use super::look::Look;
use super::stored::{grant, key, session, token, waiter};
use crate::failure::damaged;
use crate::time::{date, instant};

mod changes;

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
        let comes = match &transition.outcome {
            Outcome::Waiting(_) => true,
            Outcome::Granted(granted) => !granted.rejoined,
            _ => false,
        };
        if let (true, Command::Acquire(acquire)) = (comes, command) {
            self.check_room(&acquire.holder)?;
        }
        let outcome = transition.outcome.clone();
        self.apply(&transition);
        if let (Command::Acquire(acquire), Outcome::Granted(Granted { rejoined: true, .. })) =
            (command, &outcome)
        {
            self.rejoined(&acquire.holder);
        }
        Ok(outcome)
    }

    /// Notes that a holder relies on its grant anew. That is written also where nothing else is: whatever was to end the grant before, and is on its
    /// way yet, finds another state.
    fn rejoined(&mut self, holder: &Holder) {
        if let Some(grant) = self.document.grant_of(holder) {
            grant.joined = true;
        }
        self.be_written();
    }

    /// Whether there is room for one more in the document.
    fn check_room(&self, holder: &Holder) -> Result<(), Refusal> {
        let LockDocument { grants, waiters, .. } = &self.document;
        let holders = grants.iter().map(|grant| grant.holder.len());
        let names = holders.chain(waiters.iter().map(|waiter| waiter.holder.len()));
        let bytes: usize = names.chain([holder.len()]).map(|name| name + EACH_BYTES).sum();
        if bytes > BYTES_MAX {
            return Err(Refusal::LimitReached { limit: Limit::WaitersPerLock, max: waiters.len() });
        }
        Ok(())
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

    /// Has it be written also if nothing has changed.
    pub(super) fn be_written(&mut self) {
        self.has_stayed = true;
    }

    /// Ends a grant that nobody waits for any more, unless another call of its holder has joined it.
    pub(super) fn hand_on(&mut self, granted: &Release, request: Uuid) -> Result<Outcome, Refusal> {
        let token = granted.token.map(|token| self.written(token));
        let is_it = |grant: &StoredGrant| Some(grant.token) == token && !grant.joined;
        if !self.document.grants.iter().any(is_it) {
            return Ok(Outcome::Ended);
        }
        self.execute(&Command::Release(granted.clone()), request)
    }

    /// Has the grant of a call be the caller's, as if it had got it without a wait. Gives its lease.
    pub(super) fn claim(
        &mut self,
        acquire: &Command,
        request: Uuid,
    ) -> Result<Option<Lease>, Refusal> {
        let was_joined = self.document.granted_to(request).is_some_and(|grant| grant.joined);
        let outcome = self.execute(acquire, request)?;
        let claimed = self.document.grants.iter_mut().find(|grant| grant.request == request);
        if let Some(grant) = claimed {
            grant.joined = was_joined;
        }
        Ok(match outcome {
            Outcome::Granted(granted) => granted.lease,
            _ => None,
        })
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

    /// What has changed last for a call.
    pub(super) fn last_of(&self, request: Uuid) -> Option<&Entry> {
        let now = self.entries.iter().rev().find(|entry| entry.request == Some(request));
        now.or_else(|| self.document.last_of(request))
    }

    /// Whether a call is known to have ended a grant.
    pub(crate) fn has_ended(&self, request: Uuid) -> bool {
        let last = self.last_of(request);
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
        let mut sessions: Vec<i64> =
            document.waiters.iter().filter_map(|waiter| waiter.session).collect();
        sessions.sort_unstable();
        sessions.dedup();
        document.waiting_sessions = sessions;
        let page = Page { write: document.writes, is_free, entries };
        document.log.add(document.rev, page);
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
}

/// Of one lock, which is one document: see [`BYTES_MAX`] too.
const LIMITS: Limits = Limits {
    locks_max: 1,
    holders_per_lock_max: 10_000,
    waiters_per_lock_max: WAITERS_MAX,
    waiters_max: WAITERS_MAX,
    sessions_max: 20_001,
    locks_per_session_max: 20_001,
};

/// How many may wait for one lock.
const WAITERS_MAX: usize = 2_000;

/// How many bytes those who hold a lock and wait for it may have in its document. With [what it remembers](super::log) it stays far below the
/// 16 MiB that a document may have.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// How many bytes one of them has at most beside its name.
const EACH_BYTES: usize = 256;

#[cfg(test)]
pub(super) mod tests;
