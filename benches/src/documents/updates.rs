//! `find_one_and_update`: by an indexed field, from a queue that everybody takes from, and by a field without an index.
//!
//! An operation is one call, durable when it returns.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Scale;
use super::filled::{self, Filled};
use super::job::{Mark, Names};
use crate::Result;
use crate::pace::{Pace, Turn};
use crate::peers::{JobStore, JobWriter};
use crate::place::Place;
use crate::report::{Section, count, rate, ratio, time};

/// How many threads call at once.
const THREADS: [usize; 2] = [1, 64];

/// One way to update, and who can.
struct Kind<'k> {
    what: &'k str,
    name: &'k str,
    threads: usize,
    contenders: Vec<(&'static str, &'k dyn JobWriter)>,
    take_turn: &'k (dyn Fn(&dyn JobWriter, usize, &mut Turn<'_>) + Sync),
}

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let mut filled = Filled::new(place, "updates", scale.documents)?;
    let (ours, redb) = filled::with_redb(filled.ours, &place.file("updates.lockstore"))?;
    filled.ours = ours;
    let stores = filled.contenders();
    let mut writers: Vec<(_, &dyn JobWriter)> =
        stores.iter().map(|&(name, store)| (name, store as &dyn JobWriter)).collect();
    writers.push(("redb", &redb));

    let mut section = Section::new(
        format!("updates: durable find_one_and_update among {} documents", count(scale.documents)),
        &["of", "threads", "store", "calls/s", "p50", "p99", "rate, ours to this"],
    );
    let numbers = AtomicUsize::new(scale.documents);
    for threads in THREADS {
        let names: Vec<_> = (0..threads)
            .map(|thread| Names::sample((thread..scale.documents).step_by(threads)))
            .collect();
        let kind = Kind {
            what: "one by an indexed field",
            name: "updates",
            threads,
            contenders: writers.clone(),
            take_turn: &|writer, thread, turn| update(writer, &names[thread], &numbers, turn),
        };
        kind.measure(&mut section, scale);
        let kind = Kind {
            what: "the next of a queue, and back",
            name: "queue",
            threads,
            contenders: writers.clone(),
            take_turn: &|writer, thread, turn| take(writer, (thread, threads), &numbers, turn),
        };
        kind.measure(&mut section, scale);
    }
    unindexed(&stores, &mut section, scale, &numbers);
    section.note("redb: a commit for each call that writes the same rows; it looks for nothing");
    filled.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

impl Kind<'_> {
    fn measure(&self, section: &mut Section, scale: &Scale) {
        let mut paces: Vec<_> = self.contenders.iter().map(|_| Pace::default()).collect();
        // One thread needs less time to show its pace, and its ratios gain by more rounds.
        let parts = if self.threads == 1 { 4 } else { 1 };
        let length = scale.round / parts;
        for _ in 0..scale.rounds * parts as usize {
            for ((_, writer), pace) in self.contenders.iter().zip(&mut paces) {
                pace.round(self.threads, length, |thread, turn| {
                    (self.take_turn)(*writer, thread, turn);
                });
            }
        }
        let contenders: Vec<_> = self.contenders.iter().map(|(name, _)| *name).collect();
        self.tell(section, &contenders, &paces);
    }

    fn tell(&self, section: &mut Section, contenders: &[&str], paces: &[Pace]) {
        let [ours, ..] = paces else { return };
        for (name, pace) in contenders.iter().zip(paces) {
            let faster = ours.calls_per_s.over(&pace.calls_per_s);
            section.row([
                self.what.to_owned(),
                self.threads.to_string(),
                (*name).to_owned(),
                rate(pace.calls_per_s.median()),
                time(pace.p50_ns.median()),
                time(pace.p99_ns.median()),
                ratio(faster),
            ]);
            let figure = |what| format!("{}.{}.{what}", self.name, self.threads);
            section.figure(figure(format!("{name}_per_s")), pace.calls_per_s.median());
            section.figure(figure(format!("{name}_p50_ns")), pace.p50_ns.median());
            section.figure(figure(format!("{name}_p99_ns")), pace.p99_ns.median());
            section.figure(figure(format!("over_{name}")), faster);
            if *name == "redb" {
                let commits = pace.calls_per_s.over(&ours.calls_per_s);
                section.figure(figure("commits".into()), commits);
            }
        }
    }
}

/// Each thread updates jobs that no other does.
fn update(writer: &dyn JobWriter, names: &[Names], numbers: &AtomicUsize, turn: &mut Turn<'_>) {
    let mut caller = writer.caller();
    turn.begin();
    for names in names.iter().cycle() {
        if turn.is_over() {
            break;
        }
        let mark = Mark::new(numbers.fetch_add(1, Ordering::Relaxed));
        turn.time(|| caller.update(names, &mark));
    }
}

/// Each thread takes the job at the head of the one queue, and puts it back at the end.
fn take(
    writer: &dyn JobWriter,
    (thread, threads): (usize, usize),
    numbers: &AtomicUsize,
    turn: &mut Turn<'_>,
) {
    let mut caller = writer.caller();
    caller.enter(thread, threads);
    turn.begin();
    while !turn.is_over() {
        let number = numbers.fetch_add(1, Ordering::Relaxed);
        let mark = Mark::new(number);
        turn.time(|| caller.take(&mark));
        turn.time(|| caller.put_back(&mark, super::job::index(number)));
    }
}

/// One thread updates jobs by a field that has no index.
fn unindexed(
    stores: &[(&'static str, &dyn JobStore)],
    section: &mut Section,
    scale: &Scale,
    numbers: &AtomicUsize,
) {
    let names = Names::sample(0..scale.documents);
    let mut paces: Vec<_> = stores.iter().map(|_| Pace::default()).collect();
    for round in 0..scale.rounds {
        // All look for the same jobs, and so through as many.
        let names: Vec<_> = names.iter().cycle().skip(round * AT_ONCE).take(AT_ONCE).collect();
        for ((_, store), pace) in stores.iter().zip(&mut paces) {
            pace.round(1, scale.round, |_, turn| {
                let mut caller = store.jobs();
                turn.begin();
                for names in names.iter().cycle() {
                    if turn.is_over() {
                        break;
                    }
                    let mark = Mark::new(numbers.fetch_add(1, Ordering::Relaxed));
                    turn.time(|| caller.update_by_uuid(names, &mark));
                }
            });
        }
    }
    let kind = Kind {
        what: "one by a field without an index",
        name: "unindexed",
        threads: 1,
        contenders: Vec::new(),
        take_turn: &|_, _, _| {},
    };
    let contenders: Vec<_> = stores.iter().map(|(name, _)| *name).collect();
    kind.tell(section, &contenders, &paces);
}

/// How many jobs are looked for in a round.
const AT_ONCE: usize = 50;
