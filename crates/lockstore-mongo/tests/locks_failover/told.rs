//! What a client tells of what it asks, before it asks, and of what it is told: so also of an operation that it does not live to see answered.

use std::collections::HashMap;

use lockstore::{Holder, Instant, Key, Mode, Token};
use lockstore_testkit::crash::Record;
use lockstore_testkit::history::{Call, Moment, Operation, Outcome, Wait};
use serde::{Deserialize, Serialize};

use super::{KEY, TTL, WAIT};

/// A line of a client's ledger. Times are nanoseconds since the machine was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    Asked {
        operation: u64,
        holder: String,
        asked: Asked,
        at: u64,
    },
    Answered {
        operation: u64,
        answer: Answer,
        at: u64,
    },
    /// A guarded write of a grant's token is asked for.
    Writes {
        token: u64,
    },
    /// What has become of it; `None` if nobody knows.
    Wrote {
        token: u64,
        is_done: Option<bool>,
    },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Asked {
    Acquire { is_bound: bool },
    Renew(u64),
    Release(u64),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Granted {
        token: u64,
        until: Option<u64>,
    },
    TimedOut,
    Renewed {
        until: Option<u64>,
    },
    Released,
    NotHeld,
    /// Nothing was done.
    Failed,
    /// Nobody knows what has become of it.
    Unknown,
}

impl Record for Told {
    fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap()
    }

    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

/// A client's part of the history.
pub(crate) fn operations(client: u32, told: &[Told]) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut places = HashMap::new();
    for told in told {
        match told {
            Told::Asked { operation, holder, asked, at } => {
                places.insert(*operation, operations.len());
                operations.push(Operation {
                    client,
                    key: Key::new(KEY).unwrap(),
                    holder: Holder::new(holder).unwrap(),
                    call: asked.call(),
                    invoked: moment(*at),
                    returned: None,
                    outcome: Outcome::Unknown,
                });
            }
            Told::Answered { operation, answer, at } => {
                let operation = &mut operations[places[operation]];
                operation.outcome = answer.outcome();
                let is_known = operation.outcome != Outcome::Unknown;
                operation.returned = is_known.then_some(moment(*at));
            }
            Told::Writes { .. } | Told::Wrote { .. } => {}
        }
    }
    operations
}

impl Asked {
    fn call(self) -> Call {
        match self {
            Self::Acquire { is_bound } => Call::Acquire {
                mode: Mode::Exclusive,
                ttl: (!is_bound).then_some(TTL),
                wait: Wait::For(WAIT),
            },
            Self::Renew(token) => Call::Renew { token: Token::new(token), ttl: Some(TTL) },
            Self::Release(token) => Call::Release { token: Token::new(token) },
        }
    }
}

impl Answer {
    fn outcome(self) -> Outcome {
        let instant = |until: Option<u64>| until.map(Instant::from_nanos);
        match self {
            Self::Granted { token, until } => {
                Outcome::Granted { token: Token::new(token).unwrap(), valid_until: instant(until) }
            }
            Self::TimedOut => Outcome::TimedOut,
            Self::Renewed { until } => Outcome::Renewed { valid_until: instant(until) },
            Self::Released => Outcome::Released,
            Self::NotHeld => Outcome::NotHeld,
            Self::Failed => Outcome::Failed,
            Self::Unknown => Outcome::Unknown,
        }
    }
}

fn moment(at: u64) -> Moment {
    Moment::on_clock(Instant::from_nanos(at))
}
