//! Durable calls: threads that acquire and release, each its own locks, among many that are held.
//!
//! An operation is one call: an acquisition or a release, durable when it returns.

use super::Scale;
use super::live::{CACHE_BYTES, Live};
use crate::measure::float;
use crate::pace::{Pace, Turn};
use crate::peers::{LockTable, Ours, Sqlite, SyncedLog};
use crate::place::Place;
use crate::report::{Section, count, rate, ratio, time};
use crate::{Result, bulk};

/// How many threads call at once.
const THREADS: [usize; 4] = [1, 8, 64, 512];

/// So many threads are few.
const FEW: usize = 8;

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let Live { store, plain, redb } = Live::new(place, "calls", scale.live)?;
    let sqlite = Sqlite::new(&place.file("calls.sqlite"), scale.live, CACHE_BYTES)?;
    let log = SyncedLog::new(&place.file("calls.log"))?;
    let (ours, plain) = (Ours(store.clone()), Ours(plain));
    let contenders: [(&str, &dyn LockTable); 5] = [
        ("lockstore", &ours),
        ("plain", &plain),
        ("redb", &redb),
        ("sqlite", &sqlite),
        ("log", &log),
    ];

    let mut section = Section::new(
        format!("calls: durable acquisitions and releases among {} live locks", count(scale.live)),
        &["threads", "table", "calls/s", "p50", "p99", "rate, ours to this", "p99, ours to this"],
    );
    for threads in THREADS {
        let before = store.stats()?;
        let mut figures = contenders.map(|_| Pace::default());
        // Few threads need less time to show their pace, and their ratios gain by more rounds.
        let parts = if threads <= FEW { 4 } else { 1 };
        let (rounds, length) = (scale.rounds * parts, scale.round / u32::try_from(parts)?);
        for _ in 0..rounds {
            for ((_, table), figures) in contenders.iter().zip(&mut figures) {
                figures.round(threads, length, |thread, turn| call(*table, thread, turn));
            }
        }
        let after = store.stats()?;
        let shared =
            float(after.requests - before.requests) / float(after.commits - before.commits);
        section
            .note(format!("{threads} threads: {shared:.1} calls shared one commit of lockstore"));
        section.figure(format!("calls.{threads}.shared"), shared);
        let [ours, ..] = &figures;
        for ((name, _), theirs) in contenders.iter().zip(&figures) {
            let faster = ours.calls_per_s.over(&theirs.calls_per_s);
            let p99 = ours.p99_ns.over(&theirs.p99_ns);
            section.row([
                threads.to_string(),
                (*name).to_owned(),
                rate(theirs.calls_per_s.median()),
                time(theirs.p50_ns.median()),
                time(theirs.p99_ns.median()),
                ratio(faster),
                ratio(p99),
            ]);
            let figure = |what| format!("calls.{threads}.{what}");
            section.figure(figure(format!("{name}_per_s")), theirs.calls_per_s.median());
            section.figure(figure(format!("{name}_p50_ns")), theirs.p50_ns.median());
            section.figure(figure(format!("{name}_p99_ns")), theirs.p99_ns.median());
            section.figure(figure(format!("over_{name}")), faster);
            section.figure(figure(format!("p99_over_{name}")), p99);
        }
    }
    section.note("plain: lockstore without its journal, each commit a durable one of redb");
    section.note("redb: a transaction for each call, the same rows and cache; it compares nothing");
    section.note(
        "sqlite: WAL, synchronous=FULL, one connection behind a mutex; log: one fdatasync a call",
    );
    Ok(section)
}

/// One thread's calls until the time is over.
fn call(table: &dyn LockTable, thread: usize, turn: &mut Turn<'_>) {
    let keys: Vec<_> = (0..KEYS).map(|key| format!("task/{thread:06}/{key:08}")).collect();
    let holder = bulk::holder(thread);
    let mut caller = table.caller();
    turn.begin();
    for key in keys.iter().cycle() {
        if turn.is_over() {
            break;
        }
        turn.time(|| caller.acquire(key, &holder));
        turn.time(|| caller.release());
    }
}

/// How many locks a thread has for itself.
const KEYS: usize = 64;
