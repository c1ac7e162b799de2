//! The sessions that are other processes' presence: whose each is, its row, and what becomes of all of one client.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lockcore::{Command, Instant, Outcome, Session, SessionId, Standing};

use super::{Moment, SESSION_STEPS_MAX, Writer};
use crate::clock::WallTime;
use crate::document_locks::side_grant::is_side_key;
use crate::presence::{
    Instance, Presence, Process, SessionInfo, SessionOwner, SessionOwners, SessionStanding,
};
use crate::records::{Record, SessionRecordV1};
use crate::request::{Answer, Reply};
use crate::rows::{RowChange, RowKey, TableId};

/// Whose the sessions are. The table has all others too: those of the process that has the file open.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    known: BTreeMap<SessionId, Known>,
    by_instance: BTreeSet<(Instance, SessionId)>,
    /// What others may ask meanwhile.
    owners: Arc<SessionOwners>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    presence: Presence,
    opened: WallTime,
}

impl Presences {
    /// Notes whose session it is.
    pub(crate) fn insert(&mut self, session: SessionId, presence: Presence, opened: WallTime) {
        self.known.insert(session, Known { presence, opened });
        self.by_instance.insert((presence.instance, session));
        self.owners.insert(session, presence);
    }

    /// Whose they are, for who does not sit in the writer's seat.
    pub(crate) fn owners(&self) -> &Arc<SessionOwners> {
        &self.owners
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whose session it is.
    pub(crate) fn of(&self, session: SessionId) -> Option<Presence> {
        self.known.get(&session).map(|known| known.presence)
    }

    /// The process of a client that has sessions.
    pub(crate) fn owner(&self, instance: Instance) -> Option<Process> {
        let session = self.sessions_of(instance).next()?;
        self.of(session).map(|presence| presence.process)
    }

    /// What the row of a session that stands so is to hold; `None` when it has none.
    pub(crate) fn record(&self, session: SessionId, standing: Standing) -> Option<SessionRecordV1> {
        let Known { presence, opened } = *self.known.get(&session)?;
        Some(SessionRecordV1::new(presence, opened, standing))
    }

    fn sessions_of(&self, instance: Instance) -> impl Iterator<Item = SessionId> {
        let from = self.by_instance.range((instance, SessionId::FIRST)..);
        from.take_while(move |(of, _)| *of == instance).map(|(_, session)| *session)
    }

    fn remove(&mut self, session: SessionId) -> bool {
        let known = self.known.remove(&session);
        self.owners.remove(session);
        known.is_some_and(|known| self.by_instance.remove(&(known.presence.instance, session)))
    }
}

impl Writer {
    pub(crate) fn presences(&self) -> &Presences {
        &self.presences
    }

    pub(super) fn open_session(&mut self, presence: Presence, reply: Reply, moment: Moment<'_>) {
        let decision = self.table.decide(moment.now, &Command::OpenSession);
        if let Ok(transition) = &decision
            && let Outcome::SessionOpened(session) = transition.outcome
        {
            self.presences.insert(session, presence, moment.wall);
        }
        self.settle(decision, reply, moment);
    }

    /// Has all sessions of a client end at a time. Where that is over, it begins in this batch, and goes on with the timers.
    pub(super) fn lose_sessions(
        &mut self,
        instance: Instance,
        ends_at: Instant,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let sessions = self.living_sessions_of(instance);
        let mut steps = 0;
        for &session in &sessions {
            let lose = Command::LoseSession { session, ends_at };
            let decided = self.table.decide(moment.now, &lose);
            self.apply(&decided.expect("a session that lives can be lost"), moment);
            let mut is_over = ends_at > moment.now.instant;
            while !is_over && steps < SESSION_STEPS_MAX {
                let step = self.table.decide(moment.now, &Command::CloseSession { session });
                let step = step.expect("a session that is not closed can be");
                is_over = step.outcome == Outcome::SessionClosed;
                self.apply(&step, moment);
                steps += 1;
            }
        }
        self.batch.answers.push((reply, Answer::Sessions(sessions.into())));
    }

    pub(super) fn take_up_sessions(
        &mut self,
        presence: Presence,
        reply: Reply,
        moment: Moment<'_>,
    ) {
        let sessions = self.living_sessions_of(presence.instance);
        for &session in &sessions {
            let known = self.presences.known.get_mut(&session).expect("it is the client's");
            let moved = std::mem::replace(&mut known.presence, presence) != presence;
            let decided = self.table.decide(moment.now, &Command::TakeUpSession { session });
            self.apply(&decided.expect("a session that lives can be taken up"), moment);
            if moved {
                self.presences.owners.insert(session, presence);
                self.put_session(session);
            }
        }
        self.batch.answers.push((reply, Answer::Sessions(sessions.into())));
    }

    /// Has the row of a session say how it stands, if it has one.
    pub(super) fn put_session(&mut self, session: SessionId) {
        let standing = self.table.session(session).map(Session::standing);
        let record = standing.and_then(|standing| self.presences.record(session, standing));
        if let Some(record) = record {
            let key = RowKey::session(session);
            let value = record.to_row(&key);
            self.batch.rows.push(RowChange::put(TableId::Sessions, key, value));
        }
    }

    /// Takes away the row of a session that is closed, if it has one.
    pub(super) fn delete_session(&mut self, session: SessionId) {
        if self.presences.remove(session) {
            let key = RowKey::session(session);
            self.batch.rows.push(RowChange::delete(TableId::Sessions, key));
        }
    }

    pub(crate) fn session_infos(&self, now: Instant) -> Vec<SessionInfo> {
        let info = |(id, session): (SessionId, &Session)| {
            let document_locks = session.grants().filter(|(_, key)| is_side_key(key)).count();
            SessionInfo {
                session: id,
                owner: match self.presences.known.get(&id) {
                    Some(known) => {
                        SessionOwner::Client { presence: known.presence, since: known.opened }
                    }
                    None => SessionOwner::Opener,
                },
                locks: session.grants().len() - document_locks,
                document_locks,
                waiters: session.waiters_len(),
                standing: match session.standing() {
                    Standing::Present => SessionStanding::Connected,
                    Standing::Lost { ends_at } => {
                        SessionStanding::Lost { remaining: ends_at.saturating_since(now) }
                    }
                    Standing::Closing => SessionStanding::Ending,
                },
            }
        };
        self.table.sessions().map(info).collect()
    }

    fn living_sessions_of(&self, instance: Instance) -> Vec<SessionId> {
        let sessions = self.presences.sessions_of(instance);
        sessions.filter(|session| self.table.session_lives(*session)).collect()
    }
}
