//! `is_locked`: of held and of free locks, alone and beside a busy writer.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lockstore::Store;

use super::{Scale, live};
use crate::measure::{Series, nanos_per_call};
use crate::peers::{LockTable, Ours};
use crate::place::Place;
use crate::random::Random;
use crate::report::{Section, count, time};
use crate::{Result, bulk};

/// Keys in the order in which they are asked for: side by side, as a caller has its key at hand.
struct Keys(Vec<[u8; KEY_BYTES]>);

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let store = live::store(&place.file("reads.lockstore"), scale.live)?;
    let mut random = Random::new();
    let held = Keys::new(&mut random, 0, scale.live);
    let free = Keys::new(&mut random, scale.live, scale.live);
    let (mut hit, mut miss, mut busy) = (Series::default(), Series::default(), Series::default());
    for _ in 0..scale.rounds {
        hit.push(held.ask(&store, true));
        miss.push(free.ask(&store, false));
        busy.push(beside_a_writer(&store, || held.ask(&store, true)));
    }
    let mut section = Section::new(
        format!("reads: is_locked among {} live locks", count(scale.live)),
        &["of", "a call"],
    );
    for (of, name, series) in [
        ("a held lock", "hit_ns", hit),
        ("a free lock", "miss_ns", miss),
        ("a held lock, beside a busy writer", "busy_ns", busy),
    ] {
        section.row([of.into(), time(series.median())]);
        section.figure(format!("reads.{name}"), series.median());
    }
    Ok(section)
}

impl Keys {
    /// The keys numbered from `first` on, shuffled.
    fn new(random: &mut Random, first: usize, count: usize) -> Self {
        let keys = (first..first + count).map(bulk::key);
        let mut keys: Vec<[u8; KEY_BYTES]> =
            keys.map(|key| key.as_bytes().try_into().expect("keys have one length")).collect();
        random.shuffle(&mut keys);
        Self(keys)
    }

    /// Asks for all of them some times, and gives the ns of a call: the median of many short spans, so that
    /// the time is not counted in which another thread has the core.
    fn ask(&self, store: &Store, locked: bool) -> f64 {
        let mut spans = Series::default();
        for keys in (0..TIMES).flat_map(|_| self.0.chunks(SPAN)) {
            spans.push(nanos_per_call(keys.len(), || {
                for key in keys {
                    let key = str::from_utf8(black_box(key)).expect("keys are text");
                    let found = store.is_locked(key).expect("the store is open");
                    assert_eq!(found, locked, "{key}");
                }
            }));
        }
        spans.median()
    }
}

/// Runs `read` while another thread acquires and releases as fast as it can.
fn beside_a_writer(store: &Store, read: impl FnOnce() -> f64) -> f64 {
    let (done, table) = (AtomicBool::new(false), Ours(store.clone()));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut caller = table.caller();
            while !done.load(Ordering::Relaxed) {
                caller.acquire("busy", "writer");
                caller.release();
            }
        });
        let nanos = read();
        done.store(true, Ordering::Relaxed);
        nanos
    })
}

const KEY_BYTES: usize = 20;
/// How often each key is asked for in a round.
const TIMES: usize = 10;
/// How many calls are timed together: well under a millisecond.
const SPAN: usize = 500;
