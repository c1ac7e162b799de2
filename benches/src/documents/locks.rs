//! Document locks: a lock and its release, by an indexed field and of a queue; and hand-off to who waits for a document.
//!
//! An operation is a lock and its release, each durable when it returns.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bson::{RawDocumentBuf, rawdoc};
use lockstore::DocumentLock;

use super::Scale;
use super::filled::{self, CACHE_BYTES};
use super::job::{self, Mark, Names};
use crate::Result;
use crate::measure::{Latencies, Series};
use crate::pace::{Pace, Turn};
use crate::peers::{JobLocker, JobWriter, JobsOfRedb, OurJobs};
use crate::place::Place;
use crate::report::{Section, count, rate, ratio, time};

/// How many threads call at once.
const THREADS: [usize; 2] = [1, 64];

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let mut section = Section::new(
        "locks: durable locks of documents, each with its release",
        &["of", "among", "threads", "store", "locks/s", "p50", "p99", "rate, ours to this"],
    );
    for (documents, size) in scale.locks.into_iter().zip(["few.", ""]) {
        let name = format!("locks-{documents}");
        let path = place.file(&format!("{name}.lockstore"));
        let ours = filled::ours(&path, documents, CACHE_BYTES)?;
        ours.unlock_all()?;
        let mongod = filled::mongod(place, &name, documents)?;
        let mut lockers: Vec<(_, &dyn JobLocker)> = vec![("lockstore", &ours)];
        if let Some(mongod) = &mongod {
            mongod.unlock_all()?;
            lockers.push(("mongod", mongod));
        }
        let among = Among { documents, size, lockers, numbers: AtomicUsize::new(documents) };
        for threads in THREADS {
            among.by_index(threads, &mut section, scale);
            among.next_of_queue(threads, &mut section, scale);
        }
        if size.is_empty() {
            section.note(filled::note_of(mongod.as_ref()));
            drop(among);
            // One server less that wants a core.
            drop(mongod);
            let (ours, redb) = filled::with_redb(ours, &path)?;
            hand_off(&ours, &redb, &mut section, scale);
        }
    }
    section.note("mongod: as MongoLock does it, find_one_and_update and then update_one");
    section.note("redb: a commit that writes one document; it looks for nothing");
    Ok(section)
}

/// The same jobs in each of several stores.
struct Among<'a> {
    documents: usize,
    /// What figures of so many are called.
    size: &'static str,
    lockers: Vec<(&'static str, &'a dyn JobLocker)>,
    numbers: AtomicUsize,
}

impl Among<'_> {
    /// Each thread locks jobs that no other does.
    fn by_index(&self, threads: usize, section: &mut Section, scale: &Scale) {
        let names: Vec<_> = (0..threads)
            .map(|thread| Names::sample((thread..self.documents).step_by(threads)))
            .collect();
        self.measure(
            "one by an indexed field",
            "index",
            threads,
            section,
            scale,
            |locker, thread, turn| {
                let mut caller = locker.locker();
                turn.begin();
                for names in names[thread].iter().cycle() {
                    if turn.is_over() {
                        break;
                    }
                    let mark = Mark::new(self.number());
                    turn.time(|| caller.by_index(names, &mark));
                }
            },
        );
    }

    /// Each thread locks the first of one queue that is free.
    fn next_of_queue(&self, threads: usize, section: &mut Section, scale: &Scale) {
        self.measure("the next of a queue", "queue", threads, section, scale, |locker, _, turn| {
            let mut caller = locker.locker();
            turn.begin();
            while !turn.is_over() {
                let number = self.number();
                let mark = Mark::new(number);
                turn.time(|| caller.next_of_queue(&mark, job::index(number)));
            }
        });
    }

    fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn measure(
        &self,
        what: &str,
        name: &str,
        threads: usize,
        section: &mut Section,
        scale: &Scale,
        take_turn: impl Fn(&dyn JobLocker, usize, &mut Turn<'_>) + Sync,
    ) {
        let mut paces: Vec<_> = self.lockers.iter().map(|_| Pace::default()).collect();
        for _ in 0..scale.rounds {
            for ((_, locker), pace) in self.lockers.iter().zip(&mut paces) {
                pace.round(threads, scale.round, |thread, turn| take_turn(*locker, thread, turn));
            }
        }
        for ((store, _), pace) in self.lockers.iter().zip(&paces) {
            let faster = paces[0].calls_per_s.over(&pace.calls_per_s);
            section.row([
                what.to_owned(),
                count(self.documents),
                threads.to_string(),
                (*store).to_owned(),
                rate(pace.calls_per_s.median()),
                time(pace.p50_ns.median()),
                time(pace.p99_ns.median()),
                ratio(faster),
            ]);
            let figure = |what| format!("locks.{name}.{}{threads}.{what}", self.size);
            section.figure(figure(format!("{store}_per_s")), pace.calls_per_s.median());
            section.figure(figure(format!("{store}_p50_ns")), pace.p50_ns.median());
            section.figure(figure(format!("over_{store}")), faster);
        }
    }
}

/// From before a release to the return of the lock that waited for the document, beside one commit.
fn hand_off(ours: &OurJobs, redb: &JobsOfRedb, section: &mut Section, scale: &Scale) {
    let (mut handoff, mut commit) = (Series::default(), Series::default());
    let (mut handoff_p99, mut commit_p99) = (Series::default(), Series::default());
    let mut caller = redb.caller();
    let (ball, mark) = (Names::new(0), Mark::new(0));
    for _ in 0..scale.rounds * PARTS {
        let times = scale.handoffs / PARTS;
        let mut took = Latencies::new();
        (0..times).for_each(|_| took.time(|| caller.update(&ball, &mark)));
        commit.push(took.quantile(0.5));
        commit_p99.push(took.quantile(0.99));
        let took = ping_pong(ours, &ball, times);
        handoff.push(took.quantile(0.5));
        handoff_p99.push(took.quantile(0.99));
    }
    let commits = handoff.over(&commit);
    section.note(format!(
        "hand-off to who waits for a document: p50 {}, p99 {}, which is {} redb commits of p50 {}, p99 {}",
        time(handoff.median()),
        time(handoff_p99.median()),
        ratio(commits),
        time(commit.median()),
        time(commit_p99.median()),
    ));
    section.figure("locks.handoff.commits", commits);
    section.figure("locks.handoff.p50_ns", handoff.median());
    section.figure("locks.handoff.p99_ns", handoff_p99.median());
    section.figure("locks.handoff.commit_ns", commit.median());
}

/// Two threads hand one document to each other, `times` times in all.
fn ping_pong(ours: &OurJobs, ball: &Names, times: usize) -> Latencies {
    let released = Mutex::new(Instant::now());
    let turns_left = AtomicUsize::new(times);
    let lock = || -> DocumentLock<RawDocumentBuf> {
        let request = ours.collection().lock_document(rawdoc! { "db_id": &*ball.db_id });
        request.sleep(PATIENCE).acquire().expect("it is handed on")
    };
    // A release begins as soon as so many wait.
    let release = |lock: DocumentLock<RawDocumentBuf>, waiters: usize| {
        while ours.store().stats().expect("the store serves").waiters < waiters {
            thread::yield_now();
        }
        *released.lock().expect("no player panics") = Instant::now();
        lock.release().expect("it is held");
    };
    let first = lock();
    thread::scope(|scope| {
        let play = || {
            let mut took = Latencies::new();
            for _ in 0..times / 2 {
                let lock = lock();
                took.record(released.lock().expect("no player panics").elapsed());
                // Nobody waits for the last one to release.
                let waits = turns_left.fetch_sub(1, Ordering::Relaxed) > 1;
                release(lock, usize::from(waits));
            }
            took
        };
        let players = [scope.spawn(play), scope.spawn(play)];
        release(first, players.len());
        let mut sum = Latencies::new();
        for player in players {
            sum.add(&player.join().expect("no player panics"));
        }
        sum
    })
}

/// Longer than any hand-off.
const PATIENCE: Duration = Duration::from_secs(60);
/// Into how many parts a round is cut, so that hand-offs and commits take turns often.
const PARTS: usize = 5;
