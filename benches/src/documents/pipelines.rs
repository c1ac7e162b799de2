//! Pipelines: a sum for each group, the first of a sorted selection, and a join by an index.

use std::hint::black_box;

use bson::{RawArrayBuf, RawDocumentBuf, rawdoc};

use super::Scale;
use super::filled::{Filled, compare};
use crate::Result;
use crate::measure::{Series, nanos_per_call};
use crate::peers::Pipeline;
use crate::place::Place;
use crate::report::{Section, count};

/// One pipeline.
struct Kind {
    what: &'static str,
    name: &'static str,
    stages: fn() -> Vec<RawDocumentBuf>,
    sql: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        what: "count and sums by state",
        name: "group",
        stages: || {
            vec![rawdoc! { "$group": {
                "_id": "$state",
                "jobs": { "$sum": 1 },
                "hours": { "$sum": "$run.cpu_hours" },
                "priority": { "$sum": "$priority" },
            } }]
        },
        sql: "SELECT json_object('_id', json_extract(doc, '$.state'), 'jobs', count(*),
                  'hours', sum(json_extract(doc, '$.run.cpu_hours')),
                  'priority', sum(json_extract(doc, '$.priority')))
              FROM jobs GROUP BY json_extract(doc, '$.state')",
    },
    Kind {
        what: "the last 100 of a half, by a field without an index",
        name: "sort",
        stages: || {
            vec![
                rawdoc! { "$match": { "priority": { "$gte": 500 } } },
                rawdoc! { "$sort": { "updated_on": -1 } },
                rawdoc! { "$limit": 100 },
                rawdoc! { "$project": { "db_id": 1, "state": 1, "priority": 1 } },
            ]
        },
        sql: "SELECT json_object('_id', id, 'db_id', json_extract(doc, '$.db_id'),
                  'state', json_extract(doc, '$.state'), 'priority', json_extract(doc, '$.priority'))
              FROM jobs WHERE json_extract(doc, '$.priority') >= 500
              ORDER BY json_extract(doc, '$.updated_on') DESC LIMIT 100",
    },
    Kind {
        what: "1,000 joined with those of the same db_id, by its index",
        name: "lookup",
        stages: || {
            vec![
                rawdoc! { "$limit": 1_000 },
                rawdoc! { "$lookup": {
                    "from": "jobs", "localField": "db_id", "foreignField": "db_id", "as": "same",
                } },
                rawdoc! { "$project": { "db_id": 1, "same.name": 1 } },
            ]
        },
        sql: "SELECT json_object('_id', id, 'db_id', json_extract(doc, '$.db_id'), 'same', (
                  SELECT json_group_array(json_object('name', json_extract(other.doc, '$.name'))) FROM jobs AS other
                  WHERE json_extract(other.doc, '$.db_id') = json_extract(jobs.doc, '$.db_id')))
              FROM jobs LIMIT 1000",
    },
];

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let filled = Filled::new(place, "pipelines", scale.documents)?;
    let stores = filled.contenders();
    let mut callers: Vec<_> = stores.iter().map(|(_, store)| store.jobs()).collect();
    let mut section = Section::new(
        format!("pipelines: over {} documents, by one thread", count(scale.documents)),
        &["of", "store", "a call", "rate, ours to this"],
    );
    for Kind { what, name, stages, sql } in &KINDS {
        let stages: RawArrayBuf = stages().into_iter().collect();
        let pipeline = Pipeline { stages: &stages, sql };
        let mut took: Vec<_> = stores.iter().map(|_| Series::default()).collect();
        let mut found = None;
        for _ in 0..scale.rounds * SPANS {
            for (caller, took) in callers.iter_mut().zip(&mut took) {
                took.push(nanos_per_call(1, || {
                    let documents = caller.pipeline(black_box(pipeline));
                    assert_eq!(*found.get_or_insert(documents), documents, "all find as many");
                }));
            }
        }
        compare(&mut section, ("pipelines", name, what), &stores, &took);
    }
    section.note("each gives documents as its own bytes or text, which nobody parses");
    filled.notes().into_iter().for_each(|note| section.note(note));
    Ok(section)
}

/// How often each pipeline is timed in a round.
const SPANS: usize = 3;
