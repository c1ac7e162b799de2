//! Deciding several commands that are to be done all or not at all.

use alloc::collections::BTreeMap;

use crate::command::{Acquire, Command};
use crate::decide::check_limit;
use crate::refusal::{Limit, Refusal};
use crate::table::Table;
use crate::transition::{Granted, Outcome, Transition};
use crate::{Now, SessionId};

impl Table {
    /// Whether all of `commands` can be done at `now`, one after the other. They acquire without waiting, renew and
    /// release, each another key. Pure; where this is `Ok`, [`decide`](Table::decide) refuses none of them as long as nothing
    /// else is done in between.
    ///
    /// # Errors
    ///
    /// Which command would be refused, by its index, and why.
    pub fn decide_together(
        &self,
        now: impl Into<Now>,
        commands: &[Command],
    ) -> Result<(), (usize, Refusal)> {
        let now = now.into();
        let mut locks = self.locks.len();
        let mut bound: BTreeMap<SessionId, usize> = BTreeMap::new();
        for (index, command) in commands.iter().enumerate() {
            let refused = |refusal| (index, refusal);
            let Transition { outcome, .. } = self.decide(now, command).map_err(refused)?;
            let (Command::Acquire(acquire), Outcome::Granted(granted)) = (command, outcome) else {
                continue;
            };
            let Granted { rejoined: false, .. } = granted else { continue };
            let Acquire { key, session, .. } = acquire;
            // What each of them alone has room for, all of them together may not have.
            if self.lock(key).is_none() {
                check_limit(Limit::Locks, locks, self.limits.locks_max).map_err(refused)?;
                locks += 1;
            }
            if let Some(session) = session
                && let Some(state) = self.sessions.get(session)
            {
                let max = self.limits.locks_per_session_max;
                let more = bound.entry(*session).or_default();
                check_limit(Limit::LocksPerSession, state.len() + *more, max).map_err(refused)?;
                *more += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::{Holder, Instant, Key, Limits, Mode, Wait};

    fn acquire(key: &str, session: Option<SessionId>) -> Command {
        Command::Acquire(Acquire {
            key: Key::new(key).unwrap(),
            holder: Holder::new("me").unwrap(),
            mode: Mode::Exclusive,
            ttl: None,
            session,
            wait: Wait::No,
        })
    }

    fn table(limits: Limits) -> Table {
        Table::new(limits, 1, Instant::ZERO)
    }

    fn apply(table: &mut Table, command: &Command) -> Outcome {
        let transition = table.decide(Instant::ZERO, command).unwrap();
        table.apply(&transition);
        transition.outcome
    }

    #[test]
    fn what_can_be_done_together_is_refused_by_nobody_one_after_the_other() {
        let mut table = table(Limits { locks_max: 3, ..Limits::default() });
        apply(&mut table, &acquire("old", None));
        let commands: Vec<_> =
            ["a", "b", "old"].into_iter().map(|key| acquire(key, None)).collect();
        table.decide_together(Instant::ZERO, &commands).unwrap();
        for command in &commands {
            apply(&mut table, command);
        }
    }

    #[test]
    fn room_for_each_is_no_room_for_all() {
        let mut table =
            table(Limits { locks_max: 3, locks_per_session_max: 2, ..Limits::default() });
        let Outcome::SessionOpened(session) = apply(&mut table, &Command::OpenSession) else {
            panic!("a session is opened");
        };
        let keys = || (0..4).map(|number| format!("k{number}"));
        let commands: Vec<_> = keys().map(|key| acquire(&key, None)).collect();
        let refused = table.decide_together(Instant::ZERO, &commands).unwrap_err();
        assert_eq!(refused, (3, Refusal::LimitReached { limit: Limit::Locks, max: 3 }));
        let bound: Vec<_> = keys().map(|key| acquire(&key, Some(session))).collect();
        let refused = table.decide_together(Instant::ZERO, &bound).unwrap_err();
        assert_eq!(refused, (2, Refusal::LimitReached { limit: Limit::LocksPerSession, max: 2 }));
        assert_eq!(table.locks_len(), 0);
    }

    #[test]
    fn the_one_that_is_refused_is_named() {
        let mut table = table(Limits::default());
        let other = Holder::new("other").unwrap();
        let Command::Acquire(held) = acquire("held", None) else { panic!("it acquires") };
        apply(&mut table, &Command::Acquire(Acquire { holder: other, ..held }));
        let commands = [acquire("free", None), acquire("held", None)];
        let refused = table.decide_together(Instant::ZERO, &commands).unwrap_err();
        assert!(matches!(refused, (1, Refusal::Held(_))), "{refused:?}");
    }
}
