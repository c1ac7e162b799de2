//! Durable calls of many processes: acquisitions and releases of locks, each process its own, and updates of documents.
//!
//! An operation is one call. What it has done is durable when it returns, unless the contender's name says otherwise.

use super::Scale;
use super::child::{Order, Process};
use super::servers::{Contender, Floor, Servers};
use crate::Result;
use crate::measure::{Latencies, Series, float};
use crate::place::Place;
use crate::report::{Section, count, rate, ratio, time};

/// What a contender's rounds came to.
#[derive(Debug, Default)]
struct Pace {
    calls_per_s: Series,
    p50_ns: Series,
    p99_ns: Series,
}

/// Acquisitions and releases.
pub(super) fn locks(place: &Place, scale: &Scale) -> Result<Section> {
    let servers = Servers::start(place, "locks", 0)?;
    let floor = Floor::new(place, "locks")?;
    let for_ms = u64::try_from(scale.round.as_millis())?;
    let mut section = section("locks: acquisitions and releases, each process its own locks");
    let mut of_one = None;
    for processes in scale.processes {
        let mut commit = Series::default();
        let order = Order::Locks { for_ms };
        let contenders = servers.of_locks();
        let paces = measure(&contenders, processes, scale, &order, || {
            commit.push(floor.commit_ns()?);
            Ok(())
        })?;
        tell(&mut section, "locks", processes, &contenders, &paces);
        if processes == 1 {
            let extra = paces[0].p50_ns.less(&commit);
            section.note(format!(
                "a commit of one row by redb takes {}: a joined process's call costs {} more",
                time(commit.median()),
                time(extra)
            ));
            section.figure("locks.1.commit_ns", commit.median());
            section.figure("locks.1.extra_ns", extra);
        }
        growth(&mut section, "locks", processes, &paces[0], &mut of_one);
    }
    servers.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

/// `find_one_and_update`.
pub(super) fn updates(place: &Place, scale: &Scale) -> Result<Section> {
    let servers = Servers::start(place, "updates", scale.documents)?;
    let (documents, for_ms) = (scale.documents, u64::try_from(scale.round.as_millis())?);
    let title = format!("updates: find_one_and_update by an index, of {}", count(documents));
    let mut section = section(&title);
    let mut of_one = None;
    for processes in scale.processes {
        let order = Order::Updates { documents, processes, for_ms };
        let contenders = servers.of_documents();
        let paces = measure(&contenders, processes, scale, &order, || Ok(()))?;
        tell(&mut section, "updates", processes, &contenders, &paces);
        growth(&mut section, "updates", processes, &paces[0], &mut of_one);
    }
    servers.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

fn section(title: &str) -> Section {
    Section::new(title, &["processes", "store", "calls/s", "p50", "p99", "rate, ours to this"])
}

/// Has so many processes of each contender do `order`, all of one at once, in each round.
fn measure(
    contenders: &[Contender],
    processes: usize,
    scale: &Scale,
    order: &Order,
    mut beside: impl FnMut() -> Result,
) -> Result<Vec<Pace>> {
    let start = |contender: &Contender| {
        (0..processes).map(|number| Process::start(&contender.address, number)).collect()
    };
    let mut all = contenders.iter().map(start).collect::<Result<Vec<Vec<_>>>>()?;
    let mut paces: Vec<_> = contenders.iter().map(|_| Pace::default()).collect();
    for _ in 0..scale.rounds {
        beside()?;
        for (processes, pace) in all.iter_mut().zip(&mut paces) {
            for process in &mut *processes {
                process.order(order)?;
            }
            let (mut calls, mut latencies) = (0, Latencies::new());
            for process in processes {
                let measured = process.measured()?;
                calls += measured.calls;
                latencies.add(&measured.latencies());
            }
            pace.calls_per_s.push(float(calls) / scale.round.as_secs_f64());
            pace.p50_ns.push(latencies.quantile(0.5));
            pace.p99_ns.push(latencies.quantile(0.99));
        }
    }
    Ok(paces)
}

fn tell(
    section: &mut Section,
    name: &str,
    processes: usize,
    contenders: &[Contender],
    paces: &[Pace],
) {
    for (contender, pace) in contenders.iter().zip(paces) {
        let faster = paces[0].calls_per_s.over(&pace.calls_per_s);
        section.row([
            processes.to_string(),
            contender.name.to_owned(),
            rate(pace.calls_per_s.median()),
            time(pace.p50_ns.median()),
            time(pace.p99_ns.median()),
            ratio(faster),
        ]);
        let figure = |what| format!("{name}.{processes}.{what}");
        let key = contender.key;
        section.figure(figure(format!("{key}_per_s")), pace.calls_per_s.median());
        section.figure(figure(format!("{key}_p50_ns")), pace.p50_ns.median());
        section.figure(figure(format!("{key}_p99_ns")), pace.p99_ns.median());
        section.figure(figure(format!("over_{key}")), faster);
    }
}

/// How many times the calls of one process those of many are. They are measured one after the other.
fn growth(
    section: &mut Section,
    name: &str,
    processes: usize,
    pace: &Pace,
    of_one: &mut Option<f64>,
) {
    let calls = pace.calls_per_s.median();
    let of_one = *of_one.get_or_insert(calls);
    section.figure(format!("{name}.{processes}.over_one"), calls / of_one);
}
