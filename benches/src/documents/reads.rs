//! Reading: one document by its `_id` or by an index, a page of a sorted list, and a look through all documents.

use std::hint::black_box;

use super::Scale;
use super::filled::{Filled, compare};
use super::job::Names;
use crate::Result;
use crate::measure::{Series, nanos_per_call};
use crate::peers::JobCaller;
use crate::place::Place;
use crate::report::{Section, count};

/// One way to read.
struct Kind {
    what: &'static str,
    name: &'static str,
    /// How many calls are timed together: few, so that little time is counted in which another has the core.
    calls: usize,
    /// How often so many are timed in a round.
    spans: usize,
    read: fn(&mut dyn JobCaller, &Names),
}

const KINDS: [Kind; 5] = [
    Kind {
        what: "one by _id",
        name: "id",
        calls: 40,
        spans: 100,
        read: |caller, names| found(caller.by_id(names), 1),
    },
    Kind {
        what: "one by index",
        name: "index",
        calls: 40,
        spans: 100,
        read: |caller, names| found(caller.by_index(names), 1),
    },
    Kind {
        what: "the last 20 by an index on state and index",
        name: "sorted",
        calls: 10,
        spans: 40,
        read: |caller, _| found(caller.last_queued(PAGE), PAGE),
    },
    Kind {
        what: "the first 20 by a field without an index",
        name: "sort",
        calls: 1,
        spans: 3,
        read: |caller, _| found(caller.most_urgent(PAGE), PAGE),
    },
    Kind {
        what: "find, by a field without an index",
        name: "scan",
        calls: 1,
        spans: 3,
        read: |caller, names| found(caller.by_uuid(names), 1),
    },
];

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let filled = Filled::new(place, "reads", scale.documents)?;
    let stores = filled.contenders();
    let names = Names::sample(0..scale.documents);
    let mut callers: Vec<_> = stores.iter().map(|(_, store)| store.jobs()).collect();
    let mut section = Section::new(
        format!("reads: among {} documents, by one thread", count(scale.documents)),
        &["of", "store", "a call", "rate, ours to this"],
    );
    for Kind { what, name, calls, spans, read } in &KINDS {
        let mut took: Vec<_> = stores.iter().map(|_| Series::default()).collect();
        for round in 0..scale.rounds * spans {
            for (caller, took) in callers.iter_mut().zip(&mut took) {
                let names = names.iter().cycle().skip(round * calls).take(*calls);
                took.push(nanos_per_call(*calls, || {
                    names.for_each(|names| read(&mut **caller, black_box(names)));
                }));
            }
        }
        compare(&mut section, ("reads", name, what), &stores, &took);
    }
    section.note("each gives documents as its own bytes or text, which nobody parses");
    filled.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

fn found(documents: usize, expected: usize) {
    assert_eq!(documents, expected, "all that match are found");
}

/// How many documents of a sorted list are asked for.
const PAGE: usize = 20;
