//! Hand-off between two processes: from before a release in one to the return of the acquisition in the other.

use super::Scale;
use super::child::{Order, Process};
use super::servers::{Floor, Servers};
use crate::Result;
use crate::measure::{Latencies, Series};
use crate::place::Place;
use crate::report::{Section, time};
use std::time::Duration;

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let servers = Servers::start(place, "handoff", 0)?;
    let floor = Floor::new(place, "handoff")?;
    let contenders = servers.of_locks();
    let mut pairs = Vec::new();
    for contender in &contenders {
        let first = Process::start(&contender.address, 0)?;
        pairs.push([first, Process::start(&contender.address, 1)?]);
    }
    let mut commit = Series::default();
    let mut figures: Vec<_> =
        contenders.iter().map(|_| [Series::default(), Series::default()]).collect();
    for _ in 0..scale.rounds {
        commit.push(floor.commit_ns()?);
        for ((contender, pair), [p50, p95]) in contenders.iter().zip(&mut pairs).zip(&mut figures) {
            // Those that sleep and look again take long.
            let times = if contender.polls { scale.handoffs.div_ceil(10) } else { scale.handoffs };
            let took = ping_pong(pair, times)?;
            p50.push(took.quantile(0.5));
            p95.push(took.quantile(0.95));
        }
    }
    let mut section = Section::new(
        "handoff: from a release to the return of another process's acquisition that waited",
        &["store", "p50", "p95"],
    );
    for (contender, [p50, p95]) in contenders.iter().zip(&figures) {
        section.row([contender.name.to_owned(), time(p50.median()), time(p95.median())]);
        section.figure(format!("handoff.{}_p50_ns", contender.key), p50.median());
        section.figure(format!("handoff.{}_p95_ns", contender.key), p95.median());
    }
    let extra = figures[0][0].less(&commit);
    section.note(format!(
        "a commit of one row by redb takes {}: a hand-off costs {} more",
        time(commit.median()),
        time(extra)
    ));
    section.figure("handoff.extra_ns", extra);
    section
        .note("redis and mongod are asked again every 100 ms, as their lock clients do by default");
    servers.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

/// Two processes hand one lock to each other, `times` times each.
fn ping_pong(pair: &mut [Process; 2], times: usize) -> Result<Latencies> {
    for process in &mut *pair {
        process.order(&Order::HandOn { times, hold_ms: HOLD_MS })?;
    }
    let mut turns = Vec::new();
    for (player, process) in pair.iter_mut().enumerate() {
        let measured = process.measured()?;
        turns.extend(measured.turns.into_iter().map(|turn| (turn, player)));
    }
    turns.sort_unstable();
    let mut took = Latencies::new();
    for pair in turns.windows(2) {
        let (((_, released), before), ((acquired, _), after)) = (pair[0], pair[1]);
        assert!(acquired >= released, "two processes have held the lock at once");
        // A lock that its holder got again at once was not handed on.
        if before != after {
            took.record(Duration::from_nanos(acquired - released));
        }
    }
    Ok(took)
}

/// Long enough for the other process to stand in the queue.
const HOLD_MS: u64 = 2;
