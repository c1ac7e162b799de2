//! Hand-off: from before a release to the return of the acquisition that waited for it, beside one commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use lockstore::{LockGuard, Store};

use super::Scale;
use super::live::Live;
use crate::measure::{Latencies, Series};
use crate::place::Place;
use crate::report::{Section, ratio, time};
use crate::{Result, bulk};

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let Live { store, plain: _, redb } = Live::new(place, "handoff", scale.live)?;
    let (mut handoff, mut handoff_p99) = (Series::default(), Series::default());
    let (mut commit, mut commit_p99) = (Series::default(), Series::default());
    let times = scale.handoffs / PARTS;
    for _ in 0..scale.rounds * PARTS {
        let mut took = Latencies::new();
        for _ in 0..times / 2 {
            let token = took.time(|| redb.put())?;
            took.time(|| redb.delete(token))?;
        }
        commit.push(took.quantile(0.5));
        commit_p99.push(took.quantile(0.99));

        let took = ping_pong(&store, times);
        handoff.push(took.quantile(0.5));
        handoff_p99.push(took.quantile(0.99));
    }
    let mut section = Section::new(
        "handoff: from a release to the return of the acquisition that waited",
        &["what", "p50", "p99", "in commits"],
    );
    let commits = handoff.over(&commit);
    section.row([
        "lockstore, hand-off".into(),
        time(handoff.median()),
        time(handoff_p99.median()),
        ratio(commits),
    ]);
    section.row([
        "redb, one commit".into(),
        time(commit.median()),
        time(commit_p99.median()),
        ratio(1.0),
    ]);
    section.figure("handoff.commits", commits);
    section.figure("handoff.p50_ns", handoff.median());
    section.figure("handoff.p99_ns", handoff_p99.median());
    section.figure("handoff.commit_ns", commit.median());
    Ok(section)
}

/// Two threads hand one lock to each other, `times` times in all.
fn ping_pong(store: &Store, times: usize) -> Latencies {
    let game =
        Game { store, released: Mutex::new(Instant::now()), turns_left: AtomicUsize::new(times) };
    let first = game.acquire("referee");
    thread::scope(|scope| {
        let players = ["ping", "pong"].map(|holder| scope.spawn(|| game.play(holder, times / 2)));
        game.release(first, players.len());
        let mut sum = Latencies::new();
        for player in players {
            sum.add(&player.join().expect("no player panics"));
        }
        sum
    })
}

struct Game<'a> {
    store: &'a Store,
    /// When the last release began.
    released: Mutex<Instant>,
    turns_left: AtomicUsize,
}

impl Game<'_> {
    /// Waits for the lock and hands it on, `turns` times.
    fn play(&self, holder: &str, turns: usize) -> Latencies {
        let mut took = Latencies::new();
        for _ in 0..turns {
            let guard = self.acquire(holder);
            took.record(self.lock().elapsed());
            // Nobody waits for the last one to release.
            let waiters = usize::from(self.turns_left.fetch_sub(1, Ordering::Relaxed) > 1);
            self.release(guard, waiters);
        }
        took
    }

    fn acquire(&self, holder: &str) -> LockGuard {
        let request = self.store.lock(KEY).holder(holder).ttl(bulk::TTL);
        request.acquire().expect("the lock is handed on")
    }

    /// Releases the lock as soon as so many wait for it.
    fn release(&self, guard: LockGuard, waiters: usize) {
        let here = || self.store.inspect(KEY).ok().flatten().map_or(0, |lock| lock.waiters);
        while (here() as usize) < waiters {
            thread::yield_now();
        }
        *self.lock() = Instant::now();
        guard.release().expect("the lock is held");
    }

    fn lock(&self) -> MutexGuard<'_, Instant> {
        self.released.lock().expect("no player panics")
    }
}

const KEY: &str = "the ball";
/// Into how many parts a round is cut, so that hand-offs and commits take turns often.
const PARTS: usize = 5;
