//! Sessions, and what ends with them.

use lockcore::{
    Change, EndCause, Instant, Key, LeaveCause, Limit, Now, Outcome, Refusal, SessionId, Standing,
    Token, WaiterId,
};

use super::{Model, ModelSession, check};

impl Model {
    pub(super) fn open_session(&mut self, changes: &mut Vec<Change>) -> Result<Outcome, Refusal> {
        check(Limit::Sessions, self.sessions.len(), self.limits.sessions_max)?;
        let session = SessionId::new(self.next_number.get()).expect("numbers begin at 1");
        self.next_number = self.next_number.next();
        self.sessions.push(ModelSession { id: session, closing: false, lost: None });
        changes.push(Change::SessionOpened { session });
        Ok(Outcome::SessionOpened(session))
    }

    /// Has a session end at a time. An earlier one that was set before stays.
    pub(super) fn lose_session(
        &mut self,
        session: SessionId,
        ends_at: Instant,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        self.check_lives(Some(session))?;
        let is_earlier = self.session_mut(session).lost.is_none_or(|(before, _)| ends_at < before);
        if is_earlier {
            let place = self.place_of_deadline(true);
            self.session_mut(session).lost = Some((ends_at, place));
            changes.push(Change::SessionLost { session, ends_at });
        }
        Ok(Outcome::SessionLost)
    }

    pub(super) fn take_up_session(
        &mut self,
        session: SessionId,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        self.check_lives(Some(session))?;
        if self.session_mut(session).lost.take().is_some() {
            changes.push(Change::SessionTakenUp { session });
        }
        Ok(Outcome::SessionTakenUp)
    }

    fn session_mut(&mut self, session: SessionId) -> &mut ModelSession {
        let state = self.sessions.iter_mut().find(|state| state.id == session);
        state.expect("the session is there")
    }

    /// How the session stands, as a table tells it.
    pub(super) fn standing(session: &ModelSession) -> Standing {
        match session.lost {
            _ if session.closing => Standing::Closing,
            Some((ends_at, _)) => Standing::Lost { ends_at },
            None => Standing::Present,
        }
    }

    /// Ends one thing of a session: its earliest wait, else its earliest grant, else the session itself.
    pub(super) fn close_session(
        &mut self,
        now: Now,
        session: SessionId,
        changes: &mut Vec<Change>,
    ) -> Result<Outcome, Refusal> {
        let state = self.sessions.iter_mut().find(|state| state.id == session);
        let state = state.ok_or(Refusal::UnknownSession)?;
        if !state.closing {
            state.closing = true;
            changes.push(Change::SessionClosing { session });
        }
        if let Some((waiter, key)) = self.waits_of(session).into_iter().min() {
            let key = key.clone();
            self.unqueue(&key, waiter, LeaveCause::SessionEnded, changes);
            self.serve(now, &key, changes);
            return Ok(Outcome::SessionClosing);
        }
        if let Some((token, key)) = self.grants_of(session).into_iter().min() {
            let key = key.clone();
            self.end(now, &key, token, EndCause::SessionEnded, changes);
            return Ok(Outcome::SessionClosing);
        }
        self.sessions.retain(|state| state.id != session);
        changes.push(Change::SessionClosed { session });
        Ok(Outcome::SessionClosed)
    }

    /// Whether `session` lives: it was opened, and its end has not begun.
    pub fn session_lives(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|state| state.id == session && !state.closing)
    }

    pub(super) fn check_lives(&self, session: Option<SessionId>) -> Result<(), Refusal> {
        match session {
            Some(session) if !self.session_lives(session) => Err(Refusal::UnknownSession),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether one more lock or wait may be bound to `session`.
    pub(super) fn check_room(&self, session: Option<SessionId>) -> Result<(), Refusal> {
        let Some(session) = session else {
            return Ok(());
        };
        let bound = self.waits_of(session).len() + self.grants_of(session).len();
        check(Limit::LocksPerSession, bound, self.limits.locks_per_session_max)
    }

    fn waits_of(&self, session: SessionId) -> Vec<(WaiterId, &Key)> {
        let mut waits = Vec::new();
        for lock in &self.locks {
            for (waiter, _) in
                lock.queue.iter().filter(|(waiter, _)| waiter.session == Some(session))
            {
                waits.push((waiter.id, &lock.key));
            }
        }
        waits
    }

    fn grants_of(&self, session: SessionId) -> Vec<(Token, &Key)> {
        let mut grants = Vec::new();
        for lock in &self.locks {
            for (grant, _) in lock.grants.iter().filter(|(grant, _)| grant.session == Some(session))
            {
                grants.push((grant.token, &lock.key));
            }
        }
        grants
    }
}
