//! Locks that are free: an acquisition and its release, each on most members when it returns, each thread of a lock of its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lockstore::{Session, Store};

use super::floor::Floor;
use super::peers::{Peer, Peers};
use super::{Scale, connect};
use crate::measure::Series;
use crate::pace::{Pace, Turn};
use crate::place::Place;
use crate::report::{Section, rate, ratio, time};
use crate::{Result, bulk};

/// How many threads call at once.
const THREADS: [usize; 2] = [1, 8];

pub(super) fn run(_: &Place, scale: &Scale) -> Result<Section> {
    let (floor, store, other) = (Floor::connect()?, connect()?, connect()?);
    let session = store.session()?;
    let mut peers = Peers::start()?;
    let mut section = Section::new(
        "locks: an acquisition and its release",
        &["threads", "what", "1/s", "p50", "p99", "in majority writes"],
    );
    for threads in THREADS {
        measure(threads, &floor, [&store, &other], &session, &mut section, scale);
    }
    let mut writes = Series::default();
    let mut paces: Vec<_> = Peer::ALL.map(|_| Pace::default()).into();
    for _ in 0..scale.rounds {
        writes.push(floor.write_ns(WRITES));
        for (peer, pace) in peers.iter_mut().zip(&mut paces) {
            peer.pairs(scale.round, pace)?;
        }
    }
    for (peer, pace) in peers.iter_mut().zip(&paces) {
        tell(&mut section, 1, peer.name(), pace, &writes);
    }
    section.note("a majority write: findOneAndUpdate of one document by the driver alone, one at a time as well");
    peers.notes().into_iter().for_each(|note| section.note(note));
    session.end()?;
    other.close()?;
    store.close()?;
    Ok(section)
}

fn measure(
    threads: usize,
    floor: &Floor,
    [store, other]: [&Store; 2],
    session: &Session,
    section: &mut Section,
    scale: &Scale,
) {
    let keys: Vec<_> = (0..threads).map(|thread| format!("task/{thread:08}")).collect();
    let lease = |thread: usize| {
        let request = store.lock(&keys[thread]).holder("me").ttl(bulk::TTL);
        request.acquire().expect("it is free").release().expect("it is held");
    };
    let bound = |thread: usize| {
        let request = store.lock(&keys[thread]).holder("me").session(session);
        request.acquire().expect("it is free").release().expect("it is held");
    };
    let turns: Vec<_> = keys.iter().map(|_| AtomicBool::new(false)).collect();
    let in_turns = |thread: usize| {
        let mine = if turns[thread].fetch_not(Ordering::Relaxed) { other } else { store };
        let key = format!("{}/shared", keys[thread]);
        let request = mine.lock(&key).holder("me").ttl(bulk::TTL);
        request.acquire().expect("it is free").release().expect("it is held");
    };
    let made = AtomicU64::new(0);
    let new = |thread: usize| {
        let key = format!("{}/{}", keys[thread], made.fetch_add(1, Ordering::Relaxed));
        let request = store.lock(&key).holder("me").ttl(bulk::TTL);
        request.acquire().expect("it is free").release().expect("it is held");
    };
    let write = |thread: usize| floor.write(&keys[thread]);
    let contenders: [(&str, &(dyn Fn(usize) + Sync)); 5] = [
        ("one majority write", &write),
        ("lockstore, with a TTL", &lease),
        ("lockstore, in turns with another client", &in_turns),
        ("lockstore, each time a lock that is new", &new),
        ("lockstore, bound to a session", &bound),
    ];
    let mut paces = contenders.map(|_| Pace::default());
    for _ in 0..scale.rounds {
        for ((_, call), pace) in contenders.iter().zip(&mut paces) {
            pace.round(threads, scale.round, |thread, turn| calls(turn, || call(thread)));
        }
    }
    let [writes, leases, in_turns, new, bound] = &paces;
    for ((name, _), pace) in contenders.iter().zip(&paces) {
        tell(section, threads, name, pace, &writes.p50_ns);
    }
    for (name, pace) in [("lease", leases), ("turns", in_turns), ("new", new), ("session", bound)] {
        let writes = writes.calls_per_s.over(&pace.calls_per_s);
        section.figure(format!("locks.{threads}.{name}_writes"), writes);
        section.figure(format!("locks.{threads}.{name}_p50_ns"), pace.p50_ns.median());
    }
    section.figure(format!("locks.{threads}.write_p50_ns"), writes.p50_ns.median());
}

fn calls(turn: &mut Turn<'_>, call: impl Fn()) {
    call();
    turn.begin();
    while !turn.is_over() {
        turn.time(&call);
    }
}

fn tell(section: &mut Section, threads: usize, name: &str, pace: &Pace, write_ns: &Series) {
    section.row([
        threads.to_string(),
        name.to_owned(),
        rate(pace.calls_per_s.median()),
        time(pace.p50_ns.median()),
        time(pace.p99_ns.median()),
        ratio(pace.p50_ns.over(write_ns)),
    ]);
}

/// How many writes are a round's measure of one.
const WRITES: usize = 50;
