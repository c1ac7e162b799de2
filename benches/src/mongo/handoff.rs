//! Hand-off: from before a release to the return of the acquisition that waited for it, between two clients.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use lockstore::{LockGuard, Store};

use super::floor::Floor;
use super::peers::{Peer, Peers};
use super::{Scale, connect};
use crate::measure::{Latencies, Series};
use crate::place::Place;
use crate::report::{Section, ratio, time};
use crate::{Result, bulk};

#[derive(Default)]
struct Took {
    p50: Series,
    p99: Series,
}

pub(super) fn run(_: &Place, scale: &Scale) -> Result<Section> {
    let floor = Floor::connect()?;
    let stores = [connect()?, connect()?];
    let mut peers = Peers::start()?;
    let (mut write, mut ours) = (Series::default(), Took::default());
    let mut theirs: Vec<_> = Peer::ALL.map(|_| Took::default()).into();
    for _ in 0..scale.rounds {
        write.push(floor.write_ns(scale.handoffs));
        ours.push(&ping_pong(&stores, scale.handoffs));
        for (peer, took) in peers.iter_mut().zip(&mut theirs) {
            took.push(&peer.handoffs(scale.polled)?);
        }
    }
    let mut section = Section::new(
        "handoff: from a release to the return of the acquisition that waited",
        &["what", "p50", "p99", "in majority writes"],
    );
    section.row(["one majority write".into(), time(write.median()), String::new(), ratio(1.0)]);
    ours.tell(&mut section, "lockstore", &write);
    for (peer, took) in peers.iter_mut().zip(&theirs) {
        took.tell(&mut section, peer.name(), &write);
        section.figure(format!("handoff.{}_p50_ns", peer.key()), took.p50.median());
    }
    let extra = ours.p50.less(&write);
    section.note(format!("a hand-off costs {} more than a majority write", time(extra)));
    peers.notes().into_iter().for_each(|note| section.note(note));
    section.figure("handoff.extra_ns", extra);
    section.figure("handoff.p50_ns", ours.p50.median());
    section.figure("handoff.p99_ns", ours.p99.median());
    section.figure("handoff.write_ns", write.median());
    for store in stores {
        store.close()?;
    }
    Ok(section)
}

impl Took {
    fn push(&mut self, took: &Latencies) {
        self.p50.push(took.quantile(0.5));
        self.p99.push(took.quantile(0.99));
    }

    fn tell(&self, section: &mut Section, name: &str, write: &Series) {
        let writes = self.p50.over(write);
        let [p50, p99] = [&self.p50, &self.p99].map(|series| time(series.median()));
        section.row([name.to_owned(), p50, p99, ratio(writes)]);
    }
}

/// Two clients hand one lock to each other, `times` times in all.
fn ping_pong(stores: &[Store; 2], times: usize) -> Latencies {
    let game = Game { released: Mutex::new(Instant::now()), turns_left: AtomicUsize::new(times) };
    let first = Game::acquire(&stores[0], "referee");
    thread::scope(|scope| {
        let game = &game;
        let play = |(store, holder)| scope.spawn(move || game.play(store, holder, times / 2));
        let players = [(&stores[0], "ping"), (&stores[1], "pong")].map(play);
        game.release(&stores[0], first, players.len());
        let mut sum = Latencies::new();
        for player in players {
            sum.add(&player.join().expect("no player panics"));
        }
        sum
    })
}

struct Game {
    /// When the last release began.
    released: Mutex<Instant>,
    turns_left: AtomicUsize,
}

impl Game {
    /// Waits for the lock and hands it on, `turns` times.
    fn play(&self, store: &Store, holder: &str, turns: usize) -> Latencies {
        let mut took = Latencies::new();
        for _ in 0..turns {
            let guard = Self::acquire(store, holder);
            took.record(self.lock().elapsed());
            // Nobody waits for the last one to release.
            let waiters = usize::from(self.turns_left.fetch_sub(1, Ordering::Relaxed) > 1);
            self.release(store, guard, waiters);
        }
        took
    }

    fn acquire(store: &Store, holder: &str) -> LockGuard {
        let request = store.lock(KEY).holder(holder).ttl(bulk::TTL);
        request.acquire().expect("the lock is handed on")
    }

    /// Releases the lock as soon as so many wait for it.
    fn release(&self, store: &Store, guard: LockGuard, waiters: usize) {
        let here = || store.inspect(KEY).ok().flatten().map_or(0, |lock| lock.waiters);
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
