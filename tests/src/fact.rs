//! What a store has answered: one fact an answer, one line a fact.

use lockstore::{Holder, Instant, Key, Mode, Token};
use lockstore_testkit::crash::Record;

/// Something that a caller knows. But for [`Fact::Ending`], it knows it because it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A lock was granted.
    Granted(Granted),
    /// A lease begins anew.
    Renewed {
        /// The grant.
        token: Token,
        /// Until when it is promised to last; `None` when it has no end.
        valid_until: Option<Instant>,
    },
    /// A caller is about to end a grant: from here on it does not count on it, and it may be over.
    Ending {
        /// The grant.
        token: Token,
        /// When the caller was about to.
        at: Instant,
    },
    /// A grant is over: released, broken, expired, or found to be over.
    Ended {
        /// The grant.
        token: Token,
    },
}

/// A grant as its holder was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The fencing token.
    pub token: Token,
    /// The lock.
    pub key: Key,
    /// Who holds it.
    pub holder: Holder,
    /// Alone, or beside others.
    pub mode: Mode,
    /// Whether it ends with a session, and so with the process.
    pub bound: bool,
    /// When the holder knew it, by the store's clock.
    pub at: Instant,
    /// Until when it is promised to last; `None` when it has no end.
    pub valid_until: Option<Instant>,
}

impl Record for Fact {
    fn to_line(&self) -> String {
        match self {
            Self::Granted(Granted { token, key, holder, mode, bound, at, valid_until }) => {
                let (at, until) = (at.as_nanos(), until_to_text(*valid_until));
                format!("granted {token} {key} {holder} {mode} {bound} {at} {until}")
            }
            Self::Renewed { token, valid_until } => {
                format!("renewed {token} {}", until_to_text(*valid_until))
            }
            Self::Ending { token, at } => format!("ending {token} {}", at.as_nanos()),
            Self::Ended { token } => format!("ended {token}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        Some(match *words.as_slice() {
            ["granted", token, key, holder, mode, bound, at, until] => Self::Granted(Granted {
                token: token_from(token)?,
                key: Key::new(key).ok()?,
                holder: Holder::new(holder).ok()?,
                mode: match mode {
                    "exclusive" => Mode::Exclusive,
                    "shared" => Mode::Shared,
                    _ => return None,
                },
                bound: bound.parse().ok()?,
                at: instant_from(at)?,
                valid_until: until_from(until)?,
            }),
            ["renewed", token, until] => {
                Self::Renewed { token: token_from(token)?, valid_until: until_from(until)? }
            }
            ["ending", token, at] => {
                Self::Ending { token: token_from(token)?, at: instant_from(at)? }
            }
            ["ended", token] => Self::Ended { token: token_from(token)? },
            _ => return None,
        })
    }
}

fn token_from(text: &str) -> Option<Token> {
    Token::new(text.parse().ok()?)
}

fn instant_from(text: &str) -> Option<Instant> {
    Some(Instant::from_nanos(text.parse().ok()?))
}

/// No end is later than any.
fn until_to_text(until: Option<Instant>) -> String {
    until.unwrap_or(Instant::MAX).as_nanos().to_string()
}

#[allow(clippy::option_option)] // No text of an instant, and an instant that never comes.
fn until_from(text: &str) -> Option<Option<Instant>> {
    instant_from(text).map(|until| (until != Instant::MAX).then_some(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_read_back() {
        let token = Token::new(17).unwrap();
        let granted = Granted {
            token,
            key: Key::new("k").unwrap(),
            holder: Holder::new("h").unwrap(),
            mode: Mode::Shared,
            bound: true,
            at: Instant::from_nanos(5),
            valid_until: None,
        };
        let facts = [
            Fact::Granted(Granted { valid_until: Some(Instant::from_nanos(9)), ..granted.clone() }),
            Fact::Granted(granted),
            Fact::Renewed { token, valid_until: Some(Instant::from_nanos(9)) },
            Fact::Ending { token, at: Instant::from_nanos(9) },
            Fact::Ended { token },
        ];
        for fact in facts {
            assert_eq!(Fact::parse(&fact.to_line()), Some(fact));
        }
        assert_eq!(Fact::parse("granted 17 k h exclusive"), None);
    }
}
