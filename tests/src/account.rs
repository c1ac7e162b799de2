//! What a store has answered, held against what it shows after a crash.

use std::collections::BTreeMap;

use lockstore::{Holder, Instant, Key, Mode, Store, Token};

use crate::fact::{Fact, Granted};

/// All that is known of the grants of one store, over all its crashes.
///
/// Its methods panic when the store broke a promise: that is the verdict of a test.
#[derive(Clone, Debug, Default)]
pub struct Account {
    grants: BTreeMap<Token, Known>,
    /// The highest token known when the store was last looked at: later grants are higher.
    floor: Option<Token>,
}

/// What is known of one grant. A fact can come before its grant's own, from another thread.
#[derive(Clone, Debug, Default)]
struct Known {
    granted: Option<Granted>,
    /// Who was seen to hold by it, where nobody was told of the grant.
    seen: Option<Held>,
    /// The latest end that a renewal promised.
    renewed_until: Option<Instant>,
    ending_at: Option<Instant>,
    /// It is known to be over, and must not come back.
    over: bool,
}

/// A grant as the store shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    key: Key,
    holder: Holder,
    mode: Mode,
    endless: bool,
}

impl Account {
    /// Adds what a caller knows.
    pub fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Granted(granted) => self.take_grant(granted),
            Fact::Renewed { token, valid_until } => {
                let known = self.grants.entry(token).or_default();
                // Renewals are told by several threads, in any order.
                known.renewed_until = known.renewed_until.max(Some(end(valid_until)));
            }
            Fact::Ending { token, at } => {
                let known = self.grants.entry(token).or_default();
                known.ending_at = Some(known.ending_at.map_or(at, |before| before.min(at)));
            }
            Fact::Ended { token } => self.grants.entry(token).or_default().over = true,
        }
    }

    fn take_grant(&mut self, granted: Granted) {
        let token = granted.token;
        assert!(
            self.floor.is_none_or(|floor| token > floor),
            "{granted:?} was granted after token {:?} had been seen",
            self.floor
        );
        let known = self.grants.entry(token).or_default();
        if let Some(before) = &known.granted {
            panic!("one token for two grants: {before:?} and {granted:?}");
        }
        known.granted = Some(granted);
    }

    /// How many grants are known.
    pub fn grants(&self) -> usize {
        self.grants.len()
    }

    /// Looks at the store after it was opened again: what was answered is there, what has ended has not come
    /// back, and what is there now is remembered. `now` shows the time by the clock of the facts, and is asked
    /// after the store: a lease may run out while that is looked at.
    ///
    /// # Panics
    ///
    /// When this does not hold.
    pub fn check(&mut self, store: &Store, now: impl FnOnce() -> Instant) {
        let report = store.check().expect("the store can be checked");
        assert!(report.is_sound(), "{:?}", report.problems);
        for token in held(store).keys() {
            let granted = self.grants.get(token).and_then(|known| known.granted.as_ref());
            let outlived = granted.filter(|granted| granted.bound);
            assert_eq!(outlived, None, "it has outlived its session");
        }
        self.compare(store, now);
    }

    /// As [`Account::check`], for a store that was not closed since: its sessions live, and what it has answered
    /// is all that is asked of it.
    ///
    /// # Panics
    ///
    /// When this does not hold.
    pub fn compare(&mut self, store: &Store, now: impl FnOnce() -> Instant) {
        let held = held(store);
        // After the look: what is gone may have run out until then.
        let now = now();
        for (token, known) in &mut self.grants {
            match held.get(token) {
                Some(held) => known.check_held(*token, held),
                None => known.check_gone(*token, now),
            }
        }
        for (token, held) in held {
            let known = self.grants.entry(token).or_insert_with(|| {
                assert!(
                    self.floor.is_none_or(|floor| token > floor),
                    "token {token} of {held:?} comes after {:?} had been seen",
                    self.floor
                );
                Known::default()
            });
            known.seen = Some(held);
        }
        self.floor = self.grants.last_key_value().map(|(token, _)| *token);
    }

    /// Takes a lock that is free, and gives it back: its token is higher than every other one, and lower than
    /// all to come.
    ///
    /// # Panics
    ///
    /// When this does not hold.
    pub fn check_next_token(&mut self, store: &Store) {
        let guard = store.lock("(next)").try_acquire().expect("nobody holds it");
        assert!(
            self.floor.is_none_or(|floor| guard.token() > floor),
            "the next token is {}, after {:?}",
            guard.token(),
            self.floor
        );
        self.floor = Some(guard.token());
        guard.release().expect("it is held");
    }

    /// Nobody believed in a lock while another did, unless both shared it.
    ///
    /// A holder believes in it from when it is told of its grant until it gives it up, somebody sets out to
    /// break it, or its lease is over.
    ///
    /// # Panics
    ///
    /// When this does not hold.
    pub fn check_beliefs(&self) {
        let mut by_key: BTreeMap<&Key, Vec<(&Granted, Instant)>> = BTreeMap::new();
        for known in self.grants.values() {
            if let Some(granted) = &known.granted
                && !granted.bound
            {
                let until = known.promised_until();
                let until = known.ending_at.map_or(until, |ending| ending.min(until));
                by_key.entry(&granted.key).or_default().push((granted, until));
            }
        }
        for grants in by_key.values() {
            let mut alone: Option<(&Granted, Instant)> = None;
            let mut any: Option<(&Granted, Instant)> = None;
            for &(granted, until) in grants {
                let rival = if granted.mode == Mode::Exclusive { any } else { alone };
                if let Some((rival, believed_until)) = rival {
                    assert!(
                        believed_until <= granted.at,
                        "{rival:?} is believed in until {believed_until:?}, and so is {granted:?}"
                    );
                }
                let latest = |before: Option<(_, Instant)>| match before {
                    Some((rival, believed)) if believed > until => Some((rival, believed)),
                    _ => Some((granted, until)),
                };
                any = latest(any);
                if granted.mode == Mode::Exclusive {
                    alone = latest(alone);
                }
            }
        }
    }
}

impl Known {
    fn check_held(&self, token: Token, held: &Held) {
        assert!(!self.over, "{self:?} is over, and token {token} has come back: {held:?}");
        if let Some(granted) = &self.granted {
            let told = (&granted.key, &granted.holder, granted.mode);
            let found = (&held.key, &held.holder, held.mode);
            assert_eq!(told, found, "what token {token} was granted for, and what it holds");
        }
        if let Some(seen) = &self.seen {
            let (before, after) = ((&seen.key, &seen.holder), (&held.key, &held.holder));
            assert_eq!(before, after, "what token {token} held before, and what it holds");
        }
    }

    fn check_gone(&mut self, token: Token, now: Instant) {
        let lease_is_over = self.promised_until() <= now;
        let bound = self.granted.as_ref().is_some_and(|granted| granted.bound);
        assert!(
            self.over || lease_is_over || bound || self.ending_at.is_some(),
            "at {now:?} token {token} is gone, and nobody ended it: {self:?}"
        );
        self.over = true;
    }

    /// Until when the grant was promised to last, as far as anybody was told.
    fn promised_until(&self) -> Instant {
        let granted = self.granted.as_ref().map(|granted| end(granted.valid_until));
        let seen = self.seen.as_ref().filter(|seen| seen.endless).map(|_| Instant::MAX);
        granted.max(seen).max(self.renewed_until).unwrap_or(Instant::ZERO)
    }
}

fn held(store: &Store) -> BTreeMap<Token, Held> {
    let locks = store.list("", None, usize::MAX).expect("the store can be read");
    let mut held = BTreeMap::new();
    for lock in locks {
        for shown in lock.holders {
            let (key, mode, endless) = (lock.key.clone(), lock.mode, shown.expires_at.is_none());
            let holder = shown.holder;
            let before = held.insert(shown.token, Held { key, holder, mode, endless });
            assert_eq!(before, None, "token {} is held twice", shown.token);
        }
    }
    held
}

/// When a lease ends, without which there is no end.
fn end(valid_until: Option<Instant>) -> Instant {
    valid_until.unwrap_or(Instant::MAX)
}
