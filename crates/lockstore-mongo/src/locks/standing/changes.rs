//! What the table changes, in the lock's document too.

use bson::Uuid;
use lockcore::{Change, Holder, LeaveCause, Token, Transition, Wait, WaiterId, Want};

use super::Standing;
use crate::locks::lock_document::{StoredGrant, StoredLease, StoredWaiter};
use crate::locks::log::{Cause, Entry, Happened};
use crate::locks::stored::{millis, number, number_of};
use crate::time::date;

impl Standing {
    pub(super) fn apply(&mut self, transition: &Transition) {
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
                let last = self.document.waiters.last();
                self.document.waiters.push(StoredWaiter {
                    number: last.map_or(0, |last| last.number + 1),
                    request,
                    holder: holder.as_str().into(),
                    mode: *mode,
                    ttl_ms: ttl.map(millis),
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
    pub(super) fn written(&self, token: Token) -> i64 {
        self.new_grant(token).map_or_else(|| number(token), |new| -new)
    }
}
