//! What is asked about locks, and what it comes to: the same for a store here and elsewhere.

use lockcore::{
    Acquire, Command, Granted, Holder, Instant, Key, LeaveCause, Outcome, Refusal, Release, Renew,
    SessionId, Token, Wait, WaitUntilFree,
};

use crate::error::{StoreError, unexpected};
use crate::info::BreakRecord;
use crate::request::{Answer, Task};

/// A call about a lock.
#[derive(Clone, Debug)]
pub enum LockCall {
    /// Hold a lock, at once or after a wait.
    Acquire(Acquire),
    /// Be told when nobody holds a key, without taking it.
    WaitUntilFree(WaitUntilFree),
    /// Begin a lease anew.
    Renew(Renew),
    /// End a grant: its holder is done.
    Release(Release),
    /// End a grant whose caller gave up before it was told, unless somebody else has joined it meanwhile.
    HandOn {
        /// The lock.
        key: Key,
        /// Holds it.
        holder: Holder,
        /// The grant.
        token: Token,
    },
    /// End a grant by force, and record that in the same commit.
    Break {
        /// The lock.
        key: Key,
        /// The grant to end.
        token: Token,
        /// Why: at most 1,024 bytes.
        reason: Box<str>,
    },
    /// Begin a session: the presence of this process, which ends with it.
    OpenSession,
    /// End a session, and all that is bound to it.
    CloseSession {
        /// Which.
        session: SessionId,
    },
}

/// What a call about a lock has come to. What it tells is durable.
#[derive(Clone, Debug)]
pub enum LockAnswer {
    /// It is done.
    Done(Outcome),
    /// It waited, and the lock is its own now.
    HandedOff(Granted),
    /// The grant is broken, and recorded.
    Broken(Box<BreakRecord>),
    /// It was refused, and nothing has changed.
    Refused(Refusal),
    /// It waited, and its wait is over.
    Left(LeaveCause),
    /// The store cannot serve.
    Failed(StoreError),
}

impl LockCall {
    /// The lock that it is about, if it is about one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Acquire(Acquire { key, .. })
            | Self::WaitUntilFree(WaitUntilFree { key, .. })
            | Self::Renew(Renew { key, .. })
            | Self::Release(Release { key, .. })
            | Self::HandOn { key, .. }
            | Self::Break { key, .. } => Some(key),
            Self::OpenSession | Self::CloseSession { .. } => None,
        }
    }

    /// How long it may wait for somebody else.
    pub fn wait(&self) -> Wait {
        match self {
            Self::Acquire(acquire) => acquire.wait,
            Self::WaitUntilFree(watch) => watch.wait,
            _ => Wait::No,
        }
    }

    /// By when its caller wants to be told.
    pub fn deadline(&self) -> Option<Instant> {
        match self.wait() {
            Wait::Until(deadline) => Some(deadline),
            Wait::No | Wait::Forever => None,
        }
    }

    /// The same call of a caller who does not want to wait.
    #[must_use]
    pub fn without_waiting(&self) -> Self {
        let mut call = self.clone();
        if let Self::Acquire(Acquire { wait, .. })
        | Self::WaitUntilFree(WaitUntilFree { wait, .. }) = &mut call
        {
            *wait = Wait::No;
        }
        call
    }

    /// Whose lock it would be.
    pub(crate) fn acquires(&self) -> Option<(Key, Holder)> {
        match self {
            Self::Acquire(Acquire { key, holder, .. }) => Some((key.clone(), holder.clone())),
            _ => None,
        }
    }
}

impl LockAnswer {
    /// The grant that it tells of, if that is one that its holder did not have before.
    pub fn new_grant(&self) -> Option<&Granted> {
        match self {
            Self::Done(Outcome::Granted(granted)) | Self::HandedOff(granted) => {
                Some(granted).filter(|granted| !granted.rejoined)
            }
            _ => None,
        }
    }
}

impl From<LockCall> for Task {
    fn from(call: LockCall) -> Self {
        Self::Command(match call {
            LockCall::Acquire(acquire) => Command::Acquire(acquire),
            LockCall::WaitUntilFree(wait) => Command::WaitUntilFree(wait),
            LockCall::Renew(renew) => Command::Renew(renew),
            LockCall::Release(release) => Command::Release(release),
            LockCall::OpenSession => Command::OpenSession,
            LockCall::CloseSession { session } => Command::CloseSession { session },
            LockCall::HandOn { key, holder, token } => return Self::HandOn { key, holder, token },
            LockCall::Break { key, token, reason } => return Self::Break { key, token, reason },
        })
    }
}

impl From<Answer> for LockAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done(outcome) => Self::Done(outcome),
            Answer::HandedOff(granted) => Self::HandedOff(granted),
            Answer::Broken(record) => Self::Broken(record),
            Answer::Refused(refusal) => Self::Refused(refusal),
            Answer::Left(cause) => Self::Left(cause),
            Answer::Failed(error) => Self::Failed(error),
            answer @ (Answer::Documents(_)
            | Answer::Committed(_)
            | Answer::DocumentLock(_)
            | Answer::Sessions(_)
            | Answer::NextToken(_)
            | Answer::Noted) => Self::Failed(unexpected(&answer)),
        }
    }
}

impl From<LockAnswer> for Answer {
    fn from(answer: LockAnswer) -> Self {
        match answer {
            LockAnswer::Done(outcome) => Self::Done(outcome),
            LockAnswer::HandedOff(granted) => Self::HandedOff(granted),
            LockAnswer::Broken(record) => Self::Broken(record),
            LockAnswer::Refused(refusal) => Self::Refused(refusal),
            LockAnswer::Left(cause) => Self::Left(cause),
            LockAnswer::Failed(error) => Self::Failed(error),
        }
    }
}
