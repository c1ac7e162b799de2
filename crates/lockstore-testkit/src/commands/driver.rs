//! Drives a table and the model side by side.

use std::time::Duration;

use lockcore::{
    Acquire, Change, Command, Holder, Instant, Key, Limits, Now, Poll, Refusal, Release, Renew,
    SessionId, Table, Token, Transition, Ttl, Wait, WaitUntilFree, WaiterId,
};

use super::{Marks, Op, Patience, Step, TokenRef};
use crate::model::Model;

/// A table and a model that are given the same commands at the same times.
///
/// After each command the two must have given the same answer, changes in their order included, and must
/// show the same; and the table's invariants must hold. All methods panic where that is not so.
///
/// ```
/// use std::time::Duration;
/// use lockcore::{Command, Instant, Limits, Outcome};
/// use lockstore_testkit::commands::Driver;
///
/// let mut driver = Driver::new(Limits::default(), 0, Instant::ZERO);
/// let opened = driver.execute(&Command::OpenSession).expect("there is room for a session");
/// assert!(matches!(opened.outcome, Outcome::SessionOpened(_)));
/// driver.advance(Duration::from_secs(1));
/// assert_eq!(driver.settle(), 0, "nothing was due");
/// ```
#[derive(Debug)]
pub struct Driver {
    table: Table,
    model: Model,
    now: Now,
    sessions: Vec<SessionId>,
    waiters: Vec<WaiterId>,
    tokens: Vec<Token>,
    marks: Marks,
    answers: Vec<String>,
    compares: bool,
}

impl Driver {
    /// An empty table, with a hash of this seed, and an empty model.
    pub fn new(limits: Limits, seed: u64, start: Instant) -> Self {
        Self {
            table: Table::new(limits, seed, start),
            model: Model::new(limits),
            now: Now { instant: start, stamp: 0 },
            sessions: Vec::new(),
            waiters: Vec::new(),
            tokens: Vec::new(),
            marks: Marks::default(),
            answers: Vec::new(),
            compares: true,
        }
    }

    /// Executes ops on both sides and compares nothing: for the beginning of a run that has been compared
    /// before, as in an enumeration of all runs.
    pub fn replay(&mut self, ops: &[Op]) {
        self.compares = false;
        for op in ops {
            self.step(op);
        }
        self.compares = true;
    }

    /// The table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the time is.
    pub fn now(&self) -> Instant {
        self.now.instant
    }

    /// What has been seen so far.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Every answer so far, as its `Debug` shows it: two runs are equal when these are.
    pub fn answers(&self) -> &[String] {
        &self.answers
    }

    /// Lets time pass, without a poll.
    pub fn advance(&mut self, by: Duration) {
        self.now.instant = self.now.instant.saturating_add(by);
    }

    /// Executes one op, and compares.
    ///
    /// # Panics
    ///
    /// When table and model differ, or an invariant of the table is broken.
    pub fn step(&mut self, op: &Op) {
        match *op {
            Op::Acquire { key, .. } => {
                self.expire_overdue(key);
                self.execute_op(op);
            }
            Op::CloseSession { steps, .. } => {
                for _ in 0..steps {
                    self.execute_op(op);
                }
            }
            Op::Advance(Step::Nanos(nanos)) => self.advance(Duration::from_nanos(nanos)),
            Op::Advance(Step::ToNextDeadline) => {
                let next = self.table.next_deadline().unwrap_or_default();
                self.now.instant = self.now.instant.max(next);
            }
            Op::Poll { calls, budget } => {
                for _ in 0..calls {
                    if self.poll(budget) == Polled::Idle {
                        break;
                    }
                }
            }
            Op::Settle => {
                self.settle();
            }
            Op::Watch { .. }
            | Op::Cancel { .. }
            | Op::TimeOut { .. }
            | Op::Renew { .. }
            | Op::Release { .. }
            | Op::Break { .. }
            | Op::Expire { .. }
            | Op::OpenSession
            | Op::LoseSession { .. }
            | Op::TakeUpSession { .. } => self.execute_op(op),
        }
    }

    /// Executes a command on both sides and compares everything.
    ///
    /// # Errors
    ///
    /// The refusal that both gave.
    ///
    /// # Panics
    ///
    /// When table and model differ, or an invariant of the table is broken.
    pub fn execute(&mut self, command: &Command) -> Result<Transition, Refusal> {
        self.now.stamp += 1;
        let answer = self.table.decide(self.now, command);
        let expected = self.model.execute(self.now, command);
        if let Ok(transition) = &answer {
            self.table.apply(transition);
        }
        if self.compares {
            let shown = format!("{answer:?}");
            let (expected, now) = (format!("{expected:?}"), self.now);
            assert_eq!(shown, expected, "table and model, {command:?} at {now:?}");
            self.table.check_invariants();
            self.model.assert_agrees(&self.table);
            self.marks.see(&answer);
            self.answers.push(shown);
        }
        self.see(&answer);
        answer
    }

    /// Executes what [`Table::overdue`] tells of `key`, as a caller does before it acquires; returns how many.
    ///
    /// # Panics
    ///
    /// When table and model differ, or an invariant of the table is broken.
    pub fn expire_overdue(&mut self, key: &str) -> usize {
        let mut executed = 0;
        loop {
            let expected = self.model.overdue(key, self.now.instant);
            let expected: Vec<_> = expected.iter().map(|command| format!("{command:?}")).collect();
            let Some(command) = self.table.overdue(key, self.now.instant) else {
                assert!(expected.is_empty(), "the table tells of nothing, and due is {expected:?}");
                return executed;
            };
            let told = format!("{command:?}");
            assert!(expected.contains(&told), "the table tells of {told}, and due is {expected:?}");
            self.execute(&command).expect("what is overdue can be ended");
            executed += 1;
        }
    }

    /// Polls once, with a budget, and executes what is due.
    ///
    /// # Panics
    ///
    /// When table and model differ, or an invariant of the table is broken.
    pub fn poll(&mut self, budget: u32) -> Polled {
        let now = self.now.instant;
        let due = self.model.due(now);
        let mut rest = budget;
        match self.table.poll(now, &mut rest) {
            Poll::Due(command) => {
                let shown = format!("{:?}", Some(&command));
                assert_eq!(
                    shown,
                    format!("{:?}", due.first()),
                    "what is due first, table and model"
                );
                // It is shown until it is applied, and showing it again costs nothing.
                let again = self.table.poll(now, &mut 0);
                assert_eq!(format!("{again:?}"), format!("{:?}", Poll::Due(command.clone())));
                self.execute(&command).expect("what is due can be done");
                self.marks.add("poll: due");
                Polled::Executed
            }
            Poll::Idle(next) => {
                assert!(due.is_empty(), "the table is idle, and due is {due:?}");
                let first = self.model.next_deadline();
                assert_eq!(next.is_some(), first.is_some(), "{next:?} and {first:?}");
                assert!(next <= first, "the table sleeps until {next:?}, past {first:?}");
                // Nothing is later than the end of time.
                let later = next.is_none_or(|next| next > now) || now == Instant::MAX;
                assert!(later, "the table is idle at {now:?} until {next:?}");
                self.marks.add("poll: idle");
                Polled::Idle
            }
            Poll::Unfinished => {
                assert_eq!(rest, 0, "of a budget of {budget}");
                self.table.check_invariants();
                self.model.assert_agrees(&self.table);
                self.marks.add("poll: unfinished");
                Polled::Unfinished
            }
        }
    }

    /// Polls until nothing is due, with budgets of 1 to 4; returns how many commands were executed.
    ///
    /// # Panics
    ///
    /// When table and model differ, an invariant of the table is broken, or it comes to no end.
    pub fn settle(&mut self) -> usize {
        let grants: usize = self.model.locks().iter().map(|lock| lock.grants.len()).sum();
        // Each timer moves at most 7 times, is executed once, and may hand on to a waiter that is timed anew. That of a
        // session is executed once for each thing that it ends, and once more.
        let timed = grants + self.table.waiters_len() + self.table.sessions_len();
        let calls_max = 16 * timed + 16;
        let mut executed = 0;
        for call in 0..calls_max {
            let budget = 1 + u32::try_from(call % 4).expect("less than 4");
            match self.poll(budget) {
                Polled::Executed => executed += 1,
                Polled::Unfinished => {}
                Polled::Idle => return executed,
            }
        }
        panic!("not idle after {calls_max} polls; due is {:?}", self.model.due(self.now.instant));
    }

    /// Executes the command of an op that is one.
    fn execute_op(&mut self, op: &Op) {
        let command = self.command(op).expect("the op is a command");
        // A refusal is an answer like any other here.
        let _compared = self.execute(&command);
    }

    /// The command that `op` is now; `None` for the passing of time.
    fn command(&self, op: &Op) -> Option<Command> {
        Some(match *op {
            Op::Acquire { key, holder, mode, ttl_ms, session, wait } => Command::Acquire(Acquire {
                key: name(key),
                holder: Holder::new(holder).expect("the holders of ops are names"),
                mode,
                ttl: ttl_ms.map(ttl),
                session: session.and_then(|nth| newest(&self.sessions, nth)),
                wait: self.until(wait),
            }),
            Op::Watch { key, session, wait } => Command::WaitUntilFree(WaitUntilFree {
                key: name(key),
                wait: self.until(wait),
                session: session.and_then(|nth| newest(&self.sessions, nth)),
            }),
            Op::Cancel { waiter } => Command::Cancel { waiter: self.waiter(waiter) },
            Op::TimeOut { waiter } => Command::TimeOut { waiter: self.waiter(waiter) },
            Op::Renew { key, holder, token, ttl_ms } => {
                let (holder, token) = self.named(key, holder, token);
                Command::Renew(Renew { key: name(key), holder, token, ttl: ttl_ms.map(ttl) })
            }
            Op::Release { key, holder, token } => {
                let (holder, token) = self.named(key, holder, token);
                Command::Release(Release { key: name(key), holder, token })
            }
            Op::Break { key, token } => {
                let (_, token) = self.named(key, "nobody", token);
                Command::Break { key: name(key), token: token.unwrap_or(NO_TOKEN) }
            }
            Op::Expire { key, holder, token } => {
                let (holder, token) = self.named(key, holder, token);
                Command::Expire { key: name(key), holder, token: token.unwrap_or(NO_TOKEN) }
            }
            Op::OpenSession => Command::OpenSession,
            Op::LoseSession { session, nanos } => Command::LoseSession {
                session: self.session(session),
                ends_at: self.now.instant.saturating_add(Duration::from_nanos(nanos)),
            },
            Op::TakeUpSession { session } => {
                Command::TakeUpSession { session: self.session(session) }
            }
            Op::CloseSession { session, .. } => {
                Command::CloseSession { session: self.session(session) }
            }
            Op::Advance(_) | Op::Poll { .. } | Op::Settle => return None,
        })
    }

    fn until(&self, wait: Patience) -> Wait {
        match wait {
            Patience::No => Wait::No,
            Patience::Nanos(nanos) => {
                Wait::Until(self.now.instant.saturating_add(Duration::from_nanos(nanos)))
            }
            Patience::Forever => Wait::Forever,
        }
    }

    /// The holder and the token to name.
    fn named(&self, key: &str, holder: &str, token: TokenRef) -> (Holder, Option<Token>) {
        let lock = self.model.lock(key);
        let held = lock.map(|lock| lock.grant_of(holder).unwrap_or(&lock.grants[0].0));
        let given = || Holder::new(holder).expect("the holders of ops are names");
        match (token, held) {
            (TokenRef::Unnamed, _) | (TokenRef::Held | TokenRef::HeldByItsHolder, None) => {
                (given(), None)
            }
            (TokenRef::Held, Some(held)) => (given(), Some(held.token)),
            (TokenRef::HeldByItsHolder, Some(held)) => (held.holder.clone(), Some(held.token)),
            (TokenRef::Newest(nth), _) => {
                (given(), Some(newest(&self.tokens, nth).unwrap_or(NO_TOKEN)))
            }
        }
    }

    fn session(&self, nth: u8) -> SessionId {
        newest(&self.sessions, nth).unwrap_or(NO_SESSION)
    }

    fn waiter(&self, nth: u8) -> WaiterId {
        newest(&self.waiters, nth).unwrap_or(NO_WAITER)
    }

    /// Notes what later ops may refer to.
    fn see(&mut self, answer: &Result<Transition, Refusal>) {
        let changes = answer.iter().flat_map(|transition| &transition.changes);
        for change in changes {
            match change {
                Change::Granted { grant, waiter, .. } => {
                    self.tokens.push(grant.token);
                    waiter.map(|waiter| retire(&mut self.waiters, waiter));
                }
                Change::Renewed { waiter, .. } => {
                    waiter.map(|waiter| retire(&mut self.waiters, waiter));
                }
                Change::Queued { waiter, .. } => self.waiters.push(waiter.id),
                Change::Left { waiter, .. } => retire(&mut self.waiters, *waiter),
                Change::SessionOpened { session } => self.sessions.push(*session),
                Change::SessionClosed { session } => retire(&mut self.sessions, *session),
                Change::Ended { .. }
                | Change::SessionLost { .. }
                | Change::SessionTakenUp { .. }
                | Change::SessionClosing { .. } => {}
            }
        }
    }
}

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Something was due, and was executed.
    Executed,
    /// The budget did not suffice.
    Unfinished,
    /// Nothing is due.
    Idle,
}

/// Makes what is over the oldest of those seen.
fn retire<T: PartialEq>(seen: &mut Vec<T>, over: T) {
    seen.retain(|one| *one != over);
    seen.insert(0, over);
}

fn newest<T: Copy>(seen: &[T], nth: u8) -> Option<T> {
    seen.iter().rev().nth(nth.into()).or(seen.first()).copied()
}

fn name(key: &str) -> Key {
    Key::new(key).expect("the keys of ops are names")
}

fn ttl(millis: u64) -> Ttl {
    Ttl::from_millis(millis).expect("the leases of ops are within the bounds")
}

const NO_TOKEN: Token = Token::new(u64::MAX).expect("it is not 0");
const NO_SESSION: SessionId = SessionId::new(u64::MAX).expect("it is not 0");
const NO_WAITER: WaiterId = WaiterId::new(u64::MAX).expect("it is not 0");
