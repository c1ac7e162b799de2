//! Commits of transactions, and what writes rely on.

use lockcore::{Command, Holder, Key, Mode, Outcome, Refusal, Release, Renew, Token, Transition};

use super::{Moment, Writer};
use crate::documents::DocumentAnswer;
use crate::error::{AcquireError, DocumentError, HeldBy, LockLost};
use crate::fence::Fence;
use crate::request::{Answer, Commit};

impl Writer {
    /// Checks that the grants are there which a write relies on.
    pub(super) fn check_fences(
        &self,
        fences: &[Fence],
        moment: Moment<'_>,
    ) -> Result<(), DocumentError> {
        for Fence { key, holder, token } in fences {
            let (key, holder, token) = (key.clone(), holder.clone(), Some(*token));
            // A grant that can be renewed is there.
            let renew = Command::Renew(Renew { key, holder, token, ttl: None });
            if let Err(refusal) = self.table.decide(moment.now, &renew) {
                return Err(self.refused(&renew, refusal, moment));
            }
        }
        Ok(())
    }

    /// Does all that a transaction wants, or nothing.
    pub(super) fn commit_transaction(&mut self, commit: Commit, moment: Moment<'_>) -> Answer {
        match self.try_commit(commit, moment) {
            Ok(outcomes) => Answer::Committed(outcomes),
            Err(error) => Answer::Documents(Box::new(DocumentAnswer::Failed(error))),
        }
    }

    fn try_commit(
        &mut self,
        commit: Commit,
        moment: Moment<'_>,
    ) -> Result<Box<[Outcome]>, DocumentError> {
        let Commit { fences, locks, writes } = commit;
        for lock in &locks {
            if matches!(lock, Command::Acquire(_)) {
                // What has run out at its key is expired, whatever becomes of the transaction.
                drop(self.acquire(lock, moment));
            }
        }
        self.check_fences(&fences, moment)?;
        self.table
            .decide_together(moment.now, &locks)
            .map_err(|(index, refusal)| self.refused(&locks[index], refusal, moment))?;
        self.documents.commit(writes, moment.ground)?;
        // From here on nothing can fail.
        let apply = |command: &Command| {
            let decision = self.table.decide(moment.now, command);
            let transition = decision.expect("all of them can be done together");
            self.apply(&transition, moment);
            if let Transition { outcome: Outcome::Granted(granted), .. } = &transition
                && granted.rejoined
            {
                self.joined.insert(granted.token);
            }
            transition.outcome
        };
        Ok(locks.iter().map(apply).collect())
    }

    /// Why a command that a transaction wants, or a fence stands for, cannot be.
    fn refused(&self, command: &Command, refusal: Refusal, moment: Moment<'_>) -> DocumentError {
        match (command, refusal) {
            (Command::Acquire(_), Refusal::LimitReached { limit, max }) => {
                AcquireError::LimitReached { limit, max }.into()
            }
            (Command::Acquire(_), Refusal::UnknownSession) => AcquireError::SessionEnded.into(),
            // It is held beside others, and somebody waits before this one: that lasts.
            (Command::Acquire(acquire), Refusal::Held(by))
                if (by.mode, acquire.mode) == (Mode::Shared, Mode::Shared) =>
            {
                let by = HeldBy::new(by, moment.now.instant);
                AcquireError::Held { key: acquire.key.clone(), by }.into()
            }
            (Command::Acquire(acquire), _) => {
                DocumentError::write_conflict(format!("the lock {:?} was taken", acquire.key))
            }
            (
                Command::Renew(Renew { key, holder, token: Some(token), .. })
                | Command::Release(Release { key, holder, token: Some(token) }),
                refusal,
            ) => {
                let now_held_by = match refusal {
                    Refusal::HeldByOther(by) => Some(HeldBy::new(by, moment.now.instant)),
                    Refusal::OtherToken { token } => self.held_by(key, holder, token, moment),
                    _ => None,
                };
                let (key, holder, token) = (key.clone(), holder.clone(), *token);
                Box::new(LockLost { key, holder, token, now_held_by }).into()
            }
            (command, refusal) => {
                unreachable!(
                    "a transaction does not want {command:?}, which was refused: {refusal:?}"
                )
            }
        }
    }

    /// The grant by which `holder` holds `key`.
    fn held_by(
        &self,
        key: &Key,
        holder: &Holder,
        token: Token,
        moment: Moment<'_>,
    ) -> Option<HeldBy> {
        let lock = self.table.lock(key)?;
        let expires_at = lock.grant_with(token)?.lease.map(|lease| lease.expires_at);
        let by = lockcore::HeldBy { mode: lock.mode(), holder: holder.clone(), token, expires_at };
        Some(HeldBy::new(by, moment.now.instant))
    }
}
