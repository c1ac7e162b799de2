//! A crowd: many wait for one lock, of two clients, and each releases it as soon as it has it.

use std::thread;
use std::time::{Duration, Instant};

use super::floor::Floor;
use super::{Scale, connect};
use crate::measure::{Series, float};
use crate::place::Place;
use crate::report::{Section, count, ratio, time};
use crate::{Result, bulk};

pub(super) fn run(_: &Place, scale: &Scale) -> Result<Section> {
    let floor = Floor::connect()?;
    let stores = [connect()?, connect()?];
    let (mut write, mut joined, mut served) =
        (Series::default(), Series::default(), Series::default());
    for round in 0..scale.rounds {
        write.push(floor.write_ns(WRITES));
        let key = format!("crowd/{round}");
        let first = stores[0].lock(&key).holder("first").ttl(bulk::TTL).acquire()?;
        let waiting = || stores[0].inspect(&key).ok().flatten().map_or(0, |lock| lock.waiters);
        let began = Instant::now();
        let (all_wait, all_had) = thread::scope(|scope| {
            let wait = |number: usize| {
                let (store, key) = (&stores[number % stores.len()], &key);
                scope.spawn(move || {
                    let holder = format!("waiter-{number}");
                    let guard = store.lock(key).holder(&holder).ttl(bulk::TTL).acquire();
                    guard.expect("its turn comes").release().expect("it is held");
                })
            };
            let waiters: Vec<_> = (0..scale.crowd).map(wait).collect();
            while (waiting() as usize) < scale.crowd {
                thread::sleep(LOOK);
            }
            let all_wait = began.elapsed();
            let began = Instant::now();
            first.release().expect("it is held");
            for waiter in waiters {
                waiter.join().expect("no waiter panics");
            }
            (all_wait, began.elapsed())
        });
        let each = |took: Duration| took.as_secs_f64() * 1e9 / float(scale.crowd);
        joined.push(each(all_wait));
        served.push(each(all_had));
    }
    let mut section = Section::new(
        format!(
            "crowd: {} wait for one lock, half of them in each of two clients",
            count(scale.crowd)
        ),
        &["what", "for each", "in majority writes"],
    );
    section.row(["one majority write".into(), time(write.median()), ratio(1.0)]);
    section.row([
        "into the line, all at once".into(),
        time(joined.median()),
        ratio(joined.over(&write)),
    ]);
    section.row([
        "a turn, and on to the next".into(),
        time(served.median()),
        ratio(served.over(&write)),
    ]);
    section.figure("crowd.joined_ns", joined.median());
    section.figure("crowd.served_ns", served.median());
    for store in stores {
        store.close()?;
    }
    Ok(section)
}

/// How many writes are a round's measure of one.
const WRITES: usize = 50;
/// How often it is looked whether all wait.
const LOOK: Duration = Duration::from_millis(10);
