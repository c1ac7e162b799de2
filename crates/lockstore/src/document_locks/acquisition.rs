//! How a document is locked: looking, and looking again until it is had or the time is over.
//!
//! Written once, over the three things it needs of a collection ([`LockableCollection`]), and as a state machine without a
//! clock or a thread of its own, so that blocking callers and futures go the same way.

use std::time::Duration;

use bson::RawDocumentBuf;
use lockcore::Instant;

/// What locking a document needs of a collection. What releasing it needs, [`HeldLocks`](super::HeldLocks) has.
pub(crate) trait LockableCollection {
    /// What a lock is held by.
    type Held;
    /// Why it cannot be locked.
    type Error;

    /// The time.
    fn now(&self) -> Instant;

    /// Looks once: finds the first document and locks it if it can be had, in one step, as a conditional
    /// `find_one_and_update` does. With a turn, a collection that knows of its changes may itself wait for one, until
    /// the turn's time at the latest.
    fn take(&self, look: Look) -> Result<Looked<Self::Held>, Self::Error>;

    /// Waits until then, or until it is worth looking again. A collection that waits in [`take`](Self::take) is never asked to.
    fn wait(&self, until: Instant);
}

/// A look at a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// When it began. One that has to be taken again because what it found has changed is still the same look: the time that a look
    /// may take counts from here.
    pub began: Instant,
    /// How long it may wait; `None` when it is the last one.
    pub turn: Option<Turn>,
}

/// When a waiter looks again at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its place among the waiters, once it has one.
    pub number: Option<u64>,
    /// By then.
    pub look_again_at: Instant,
}

/// What a look has come to.
#[derive(Debug, PartialEq)]
pub enum Looked<H> {
    /// The document is locked by the caller, and this is what it is.
    Locked(H),
    /// The document is locked by another.
    Unavailable(RawDocumentBuf),
    /// No document matches.
    Nothing,
    /// What was found has changed meanwhile, or has become worth a look. The place among the waiters, if it waited.
    Changed(Option<u64>),
}

/// What has come of it all.
#[derive(Debug, PartialEq)]
pub enum Found<H> {
    /// The document is locked by the caller.
    Locked(H),
    /// It is locked by another.
    Unavailable(RawDocumentBuf),
    /// No document matches.
    Nothing,
}

/// What to do next.
#[derive(Debug, PartialEq)]
pub enum Next<H> {
    /// Nothing: it is done.
    Done(Found<H>),
    /// Look.
    Look,
    /// Wait until then, or until something has changed, and look.
    Wait(Instant),
}

/// A document that is about to be locked.
#[derive(Clone, Debug)]
pub struct Acquisition {
    patience: Option<Patience>,
    number: Option<u64>,
    /// When the look began that is not over yet.
    began: Option<Instant>,
}

/// How long somebody waits for a document that is locked.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest time between two looks.
    pub sleep: Duration,
    /// Until when it waits.
    pub deadline: Instant,
}

impl Acquisition {
    /// Begins. With patience, it is waited for a document that is locked.
    pub fn new(patience: Option<Patience>) -> Self {
        Self { patience, number: None, began: None }
    }

    /// Does all of it.
    pub(crate) fn run<C: LockableCollection>(
        mut self,
        collection: &C,
    ) -> Result<Found<C::Held>, C::Error> {
        loop {
            let looked = collection.take(self.look(collection.now()))?;
            match self.looked(looked, collection.now()) {
                Next::Done(found) => return Ok(found),
                Next::Look => {}
                Next::Wait(until) => collection.wait(until),
            }
        }
    }

    /// The next look, or the rest of one that has to be taken again.
    pub fn look(&mut self, now: Instant) -> Look {
        let turn = |look_again_at| Turn { number: self.number, look_again_at };
        let turn = self.look_again_at(now).map(turn);
        Look { began: *self.began.get_or_insert(now), turn }
    }

    /// Takes what a look has come to.
    pub fn looked<H>(&mut self, looked: Looked<H>, now: Instant) -> Next<H> {
        if !matches!(looked, Looked::Changed(None)) {
            self.began = None;
        }
        match looked {
            Looked::Locked(held) => Next::Done(Found::Locked(held)),
            Looked::Nothing => Next::Done(Found::Nothing),
            Looked::Changed(number) => {
                self.number = number.or(self.number);
                Next::Look
            }
            Looked::Unavailable(document) => match self.look_again_at(now) {
                Some(until) => Next::Wait(until),
                None => Next::Done(Found::Unavailable(document)),
            },
        }
    }

    fn look_again_at(&self, now: Instant) -> Option<Instant> {
        let Patience { sleep, deadline } = self.patience?;
        (now < deadline).then(|| now.saturating_add(sleep).min(deadline))
    }
}

/// How long is waited at most by default, as `MongoLock` does.
pub(crate) const MAX_WAIT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use bson::rawdoc;

    /// A collection that can only be looked at, as one behind a connection is.
    struct Polled {
        now: Cell<Instant>,
        looks: RefCell<Vec<Looked<&'static str>>>,
        waited_until: RefCell<Vec<u64>>,
    }

    impl LockableCollection for Polled {
        type Held = &'static str;
        type Error = &'static str;

        fn now(&self) -> Instant {
            self.now.get()
        }

        fn take(&self, _: Look) -> Result<Looked<Self::Held>, Self::Error> {
            self.looks.borrow_mut().pop().ok_or("looked once too often")
        }

        fn wait(&self, until: Instant) {
            self.waited_until.borrow_mut().push(until.millis_floor());
            self.now.set(until);
        }
    }

    fn run(
        sleep_ms: Option<u64>,
        max_wait_ms: u64,
        mut looks: Vec<Looked<&'static str>>,
    ) -> (Result<Found<&'static str>, &'static str>, Vec<u64>) {
        looks.reverse();
        let collection = Polled {
            now: Cell::new(Instant::from_millis(1_000)),
            looks: looks.into(),
            waited_until: RefCell::default(),
        };
        let deadline = collection.now().saturating_add(Duration::from_millis(max_wait_ms));
        let patience = |sleep| Patience { sleep: Duration::from_millis(sleep), deadline };
        let acquisition = Acquisition::new(sleep_ms.map(patience));
        (acquisition.run(&collection), collection.waited_until.into_inner())
    }

    fn held() -> Looked<&'static str> {
        Looked::Unavailable(rawdoc! { "lock_id": "other" })
    }

    #[test]
    fn who_does_not_sleep_looks_once() {
        let unavailable = Found::Unavailable(rawdoc! { "lock_id": "other" });
        assert_eq!(run(None, 50, vec![held()]), (Ok(unavailable), vec![]));
        assert_eq!(run(None, 50, vec![Looked::Nothing]), (Ok(Found::Nothing), vec![]));
        assert_eq!(run(None, 50, vec![Looked::Locked("a")]), (Ok(Found::Locked("a")), vec![]));
        assert_eq!(run(None, 50, vec![]), (Err("looked once too often"), vec![]));
    }

    #[test]
    fn who_sleeps_looks_until_max_wait_and_then_once_more() {
        let looks = vec![held(), held(), held(), held()];
        let unavailable = Found::Unavailable(rawdoc! { "lock_id": "other" });
        assert_eq!(run(Some(20), 50, looks), (Ok(unavailable), vec![1_020, 1_040, 1_050]));
        let looks = vec![held(), Looked::Changed(Some(7)), Looked::Locked("a")];
        assert_eq!(run(Some(20), 50, looks), (Ok(Found::Locked("a")), vec![1_020]));
        let looks = vec![held(), Looked::Nothing];
        assert_eq!(run(Some(20), 50, looks), (Ok(Found::Nothing), vec![1_020]));
    }

    #[test]
    fn a_place_among_the_waiters_is_kept() {
        let now = Instant::from_millis(1);
        let sleep = Duration::from_secs(1);
        let deadline = now.saturating_add(sleep);
        let mut acquisition = Acquisition::new(Some(Patience { sleep, deadline }));
        assert_eq!(acquisition.looked::<()>(Looked::Changed(Some(7)), now), Next::Look);
        assert_eq!(acquisition.looked::<()>(Looked::Changed(None), now), Next::Look);
        assert_eq!(acquisition.look(now).turn.unwrap().number, Some(7));
    }

    #[test]
    fn a_look_that_is_taken_again_began_when_it_was_first_taken() {
        let at = Instant::from_millis;
        let mut acquisition = Acquisition::new(None);
        assert_eq!(acquisition.look(at(1)).began, at(1));
        acquisition.looked::<()>(Looked::Changed(None), at(2));
        assert_eq!(acquisition.look(at(3)).began, at(1));
        // Who has waited looks anew.
        acquisition.looked::<()>(Looked::Changed(Some(7)), at(4));
        assert_eq!(acquisition.look(at(5)).began, at(5));
    }
}
