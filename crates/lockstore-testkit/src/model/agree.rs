//! Whether a real table shows what the model shows.

use lockcore::{Grant, Holder, Lease, Session, SessionId, Table, Token};

use super::Model;

impl Model {
    /// Panics, with both values, unless `table` shows exactly what this model does: the locks with
    /// their modes, grants, leases and numbers of waiters, the sessions, the next token, and a next deadline
    /// that is not too late.
    ///
    /// # Panics
    ///
    /// When they differ.
    pub fn assert_agrees(&self, table: &Table) {
        for lock in &self.locks {
            let key = &lock.key;
            let Some(real) = table.lock(key) else {
                panic!("{key:?} is free in the table, and held in the model: {lock:?}");
            };
            assert_eq!(real.key(), key);
            assert_eq!(real.mode(), lock.mode, "the mode of {key:?}");
            let waiters = lock.acquirers().count();
            assert_eq!(real.waiters() as usize, waiters, "how many wait for {key:?}");
            let mut grants: Vec<_> = real.grants().map(visible).collect();
            grants.sort_by_key(|(token, ..)| *token);
            let expected: Vec<_> = lock.grants.iter().map(|(grant, _)| visible(grant)).collect();
            assert_eq!(grants, expected, "the grants of {key:?}");
        }
        assert_eq!(table.locks_len(), self.locks.len(), "locks that are held");
        assert_eq!(table.waiters_len(), self.waiters_len(), "waiters in all");
        assert_eq!(table.sessions_len(), self.sessions.len(), "sessions");
        for session in &self.sessions {
            let lives = table.session_lives(session.id);
            assert_eq!(lives, !session.closing, "whether {:?} lives", session.id);
            let standing = table.session(session.id).map(Session::standing);
            assert_eq!(standing, Some(Self::standing(session)), "how {:?} stands", session.id);
        }
        assert_eq!(table.next_token(), self.next_number, "the next token");
        let (next, first) = (table.next_deadline(), self.next_deadline());
        assert_eq!(next.is_some(), first.is_some(), "{next:?} and {first:?}: is there a deadline?");
        assert!(next <= first, "the table wakes at {next:?}, too late for the deadline {first:?}");
    }
}

fn visible(grant: &Grant) -> (Token, &Holder, Option<SessionId>, u64, Option<Lease>) {
    (grant.token, &grant.holder, grant.session, grant.stamp, grant.lease)
}
