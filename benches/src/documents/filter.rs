//! The filter alone: documents in memory, matched one after the other.

use std::hint::black_box;

use bson::{RawDocumentBuf, rawdoc};
use docquery::{Environment, Filter};

use super::{Scale, job};
use crate::Result;
use crate::measure::{Series, float, nanos_per_call};
use crate::report::{Section, count, time};

pub(super) fn run(scale: &Scale) -> Result<Section> {
    let documents: Vec<_> = (0..DOCUMENTS).map(job::bson).collect();
    let bytes: usize = documents.iter().map(|document| document.as_bytes().len()).sum();
    let mut section = Section::new(
        format!("filter: matching documents of {} bytes in memory", count(bytes / DOCUMENTS)),
        &["filter", "a document", "matches"],
    );
    for (what, name, filter) in [
        ("_id", "id", rawdoc! { "_id": job::Names::new(7).id }),
        ("a field among the first", "early", rawdoc! { "uuid": job::Names::new(7).uuid }),
        ("the last field but two", "late", rawdoc! { "lock_id": job::Mark::new(7).lock_id }),
        ("state and priority", "two", rawdoc! { "state": job::READY, "priority": { "$gte": 500 } }),
        (
            "a nested field, $in, an array",
            "deep",
            rawdoc! {
                "remote.step_attempts": { "$gt": 2 },
                "state": { "$in": ["COMPLETED", "FAILED"] },
                "tags": "pbe",
            },
        ),
        ("$or", "or", rawdoc! { "$or": [{ "lock_id": null }, { "remote.process_id": "4712" }] }),
        ("$regex", "regex", rawdoc! { "name": { "$regex": "7$" } }),
        ("$expr", "expr", rawdoc! { "$expr": { "$gt": ["$priority", "$remote.step_attempts"] } }),
    ] {
        let filter = Filter::parse(&filter, &Environment::new(0))?;
        let (mut took, mut matches) = (Series::default(), 0);
        for _ in 0..scale.rounds * TIMES {
            matches = 0;
            took.push(nanos_per_call(DOCUMENTS, || matches = matching(&documents, &filter)));
        }
        section.row([what.to_owned(), time(took.median()), count(matches)]);
        section.figure(format!("filter.{name}_ns"), took.median());
    }
    section.figure("filter.document_bytes", float(bytes / DOCUMENTS));
    Ok(section)
}

fn matching(documents: &[RawDocumentBuf], filter: &Filter) -> usize {
    let matches = |document: &&RawDocumentBuf| {
        filter.matches(black_box(document)).expect("the filter can be evaluated")
    };
    documents.iter().filter(matches).count()
}

/// So few that they stay in the processor's cache: the filter is measured, not the memory.
const DOCUMENTS: usize = 1_000;
/// How often they are matched in a round.
const TIMES: usize = 20;
