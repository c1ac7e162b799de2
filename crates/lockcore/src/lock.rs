//! One held lock as the rest of the world sees it: its mode, its grants, how many wait.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map;
use core::slice;

use crate::wheel::TimerId;
use crate::{Holder, Instant, Key, Mode, SessionId, Token, Ttl};

/// A lock that is held. A key that nobody holds has no `Lock`.
#[derive(Clone, Debug)]
pub struct Lock {
    key: Key,
    mode: Mode,
    waiters: u32,
    grants: Grants,
}

impl Lock {
    pub(crate) fn new(key: Key, mode: Mode) -> Self {
        Self { key, mode, waiters: 0, grants: Grants::Many(BTreeMap::new()) }
    }

    /// What is locked.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The mode of all its grants.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// How many callers wait to acquire it.
    pub fn waiters(&self) -> u32 {
        self.waiters
    }

    /// Its grants: one if exclusive, one for each holder if shared.
    pub fn grants(&self) -> impl ExactSizeIterator<Item = &Grant> {
        self.grants.iter()
    }

    /// The grant of `holder`, if it holds.
    pub fn grant_of(&self, holder: &str) -> Option<&Grant> {
        match &self.grants {
            Grants::One(grant) => (&*grant.holder == holder).then_some(grant),
            Grants::Many(grants) => grants.get(holder),
        }
    }

    /// The grant with this token, if it holds.
    pub fn grant_with(&self, token: Token) -> Option<&Grant> {
        self.grants().find(|grant| grant.token == token)
    }

    pub(crate) fn grant_of_mut(&mut self, holder: &str) -> Option<&mut Grant> {
        match &mut self.grants {
            Grants::One(grant) => (&*grant.holder == holder).then_some(grant),
            Grants::Many(grants) => grants.get_mut(holder),
        }
    }

    pub(crate) fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    pub(crate) fn set_waiters(&mut self, waiters: usize) {
        self.waiters = u32::try_from(waiters).unwrap_or(u32::MAX);
    }

    pub(crate) fn is_free(&self) -> bool {
        self.grants.len() == 0
    }

    pub(crate) fn add(&mut self, grant: Grant) {
        match &mut self.grants {
            Grants::Many(grants) if grants.is_empty() => self.grants = Grants::One(grant),
            Grants::Many(grants) => {
                let before = grants.insert(grant.holder.clone(), grant);
                assert!(before.is_none(), "one holder has two grants of {:?}", self.key);
            }
            Grants::One(first) => {
                assert_ne!(
                    first.holder, grant.holder,
                    "one holder has two grants of {:?}",
                    self.key
                );
                let pair = [first.clone(), grant];
                self.grants =
                    Grants::Many(pair.into_iter().map(|g| (g.holder.clone(), g)).collect());
            }
        }
    }

    pub(crate) fn remove(&mut self, holder: &str) -> Option<Grant> {
        match &mut self.grants {
            Grants::Many(grants) => grants.remove(holder),
            Grants::One(grant) if &*grant.holder == holder => {
                let grant = grant.clone();
                self.grants = Grants::Many(BTreeMap::new());
                Some(grant)
            }
            Grants::One(_) => None,
        }
    }
}

/// One holder's hold of one lock.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who holds.
    pub holder: Holder,
    /// The fencing token: higher than that of every earlier grant of the store.
    pub token: Token,
    /// The session that the grant ends with, if it is bound to one.
    pub session: Option<SessionId>,
    /// When it was granted, in the caller's calendar: [`Now::stamp`](crate::Now::stamp).
    pub stamp: u64,
    /// When it ends by itself; `None` when it lasts until it is released.
    pub lease: Option<Lease>,
    /// Where its expiry waits in the wheel; set when the grant is applied.
    pub(crate) timer: Option<TimerId>,
}

impl Grant {
    /// A grant of the moment that the caller calls `stamp`.
    pub fn new(
        holder: Holder,
        token: Token,
        session: Option<SessionId>,
        stamp: u64,
        lease: Option<Lease>,
    ) -> Self {
        Self { holder, token, session, stamp, lease, timer: None }
    }

    /// Whether its lease has run out at `now`. It is held nevertheless until its expiry is applied.
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.lease.is_some_and(|lease| lease.expires_at <= now)
    }
}

/// A hold that ends by itself unless it is renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How long it was granted, and is renewed, for.
    pub ttl: Ttl,
    /// When it runs out: a whole millisecond, never earlier than the TTL promised.
    pub expires_at: Instant,
}

impl Lease {
    /// A lease of `ttl` that begins at `start`.
    pub fn starting(start: Instant, ttl: Ttl) -> Self {
        Self { ttl, expires_at: ttl.deadline(start) }
    }
}

/// Most locks have one grant; it needs no map of its own.
#[derive(Clone, Debug)]
enum Grants {
    One(Grant),
    Many(BTreeMap<Holder, Grant>),
}

impl Grants {
    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(grants) => grants.len(),
        }
    }

    fn iter(&self) -> GrantsIter<'_> {
        match self {
            Self::One(grant) => GrantsIter::One(slice::from_ref(grant).iter()),
            Self::Many(grants) => GrantsIter::Many(grants.values()),
        }
    }
}

enum GrantsIter<'a> {
    One(slice::Iter<'a, Grant>),
    Many(btree_map::Values<'a, Holder, Grant>),
}

impl<'a> Iterator for GrantsIter<'a> {
    type Item = &'a Grant;

    fn next(&mut self) -> Option<&'a Grant> {
        match self {
            Self::One(grant) => grant.next(),
            Self::Many(grants) => grants.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::One(grant) => grant.size_hint(),
            Self::Many(grants) => grants.size_hint(),
        }
    }
}

impl ExactSizeIterator for GrantsIter<'_> {}
