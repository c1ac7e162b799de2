//! Growth: what an update and a read cost among few documents and among very many.

use std::fs;

use super::Scale;
use super::filled::ours;
use super::job::{Mark, Names};
use crate::Result;
use crate::measure::{Series, float, nanos_per_call};
use crate::pace::Pace;
use crate::peers::{JobCaller, JobStore, JobWriter, OurJobs};
use crate::place::Place;
use crate::report::{Section, count, mebibytes, rate, ratio, time};

/// A collection of some size.
struct Size {
    documents: usize,
    jobs: OurJobs,
    names: Vec<Names>,
    filled_per_s: f64,
    file_bytes: f64,
    writes: Pace,
    id_ns: Series,
    index_ns: Series,
}

pub(super) fn run(place: &Place, scale: &Scale) -> Result<Section> {
    let mut sizes = Vec::new();
    for documents in scale.growth {
        sizes.push(Size::new(place, documents)?);
    }
    // What was written must not be written back while something is measured.
    for size in &sizes {
        fs::File::open(size.path(place))?.sync_all()?;
    }
    let mut marks = 0..;
    for _ in 0..scale.rounds * PARTS {
        for size in &mut sizes {
            size.write(scale, &mut marks);
        }
        for size in &mut sizes {
            size.read();
        }
    }
    let mut section = Section::new(
        "growth: durable updates and reads of one thread, by index",
        &[
            "documents",
            "file",
            "filled, documents/s",
            "updates/s",
            "p50",
            "p99",
            "by _id",
            "by index",
        ],
    );
    for size in &sizes {
        section.row([
            count(size.documents),
            mebibytes(size.file_bytes),
            rate(size.filled_per_s),
            rate(size.writes.calls_per_s.median()),
            time(size.writes.p50_ns.median()),
            time(size.writes.p99_ns.median()),
            time(size.id_ns.median()),
            time(size.index_ns.median()),
        ]);
        let figure = |what| format!("growth.{}.{what}", size.documents);
        section.figure(figure("filled_per_s"), size.filled_per_s);
        section.figure(figure("file_bytes"), size.file_bytes);
        section.figure(figure("updates_per_s"), size.writes.calls_per_s.median());
        section.figure(figure("id_ns"), size.id_ns.median());
        section.figure(figure("index_ns"), size.index_ns.median());
    }
    if let [few, .., many] = &*sizes {
        let write = few.writes.calls_per_s.over(&many.writes.calls_per_s);
        let (id, index) = (many.id_ns.over(&few.id_ns), many.index_ns.over(&few.index_ns));
        section.note(format!(
            "among {} documents to among {}: an update {}, a read by _id {}, by index {}",
            count(many.documents),
            count(few.documents),
            ratio(write),
            ratio(id),
            ratio(index),
        ));
        section.figure("growth.write", write);
        section.figure("growth.read_id", id);
        section.figure("growth.read", index);
    }
    let cache = mebibytes(float(CACHE_BYTES as u64));
    section.note(format!(
        "each store caches {cache}, the default, and the system the rest of its file"
    ));
    Ok(section)
}

impl Size {
    fn new(place: &Place, documents: usize) -> Result<Self> {
        let mut jobs = None;
        let path = place.file(&format!("growth-{documents}.lockstore"));
        let mut filling = Ok(());
        let nanos = nanos_per_call(documents, || match ours(&path, documents, CACHE_BYTES) {
            Ok(filled) => jobs = Some(filled),
            Err(error) => filling = Err(error),
        });
        filling?;
        Ok(Self {
            documents,
            jobs: jobs.ok_or("nothing was filled")?,
            names: Names::sample(0..documents),
            filled_per_s: 1e9 / nanos,
            file_bytes: float(fs::metadata(&path)?.len()),
            writes: Pace::default(),
            id_ns: Series::default(),
            index_ns: Series::default(),
        })
    }

    fn path(&self, place: &Place) -> std::path::PathBuf {
        place.file(&format!("growth-{}.lockstore", self.documents))
    }

    fn write(&mut self, scale: &Scale, marks: &mut std::ops::RangeFrom<usize>) {
        let first = marks.next().unwrap_or_default() * self.names.len();
        let length = scale.round / u32::try_from(PARTS).expect("there are few");
        let Self { jobs, names, writes, .. } = self;
        writes.round(1, length, |_, turn| {
            let mut caller = JobWriter::caller(jobs);
            turn.begin();
            for (number, names) in (first..).zip(names.iter().cycle().skip(first / 7)) {
                if turn.is_over() {
                    break;
                }
                let mark = Mark::new(number);
                turn.time(|| caller.update(names, &mark));
            }
        });
    }

    fn read(&mut self) {
        let mut caller = self.jobs.jobs();
        let mut read = |by: fn(&mut dyn JobCaller, &Names) -> usize| {
            nanos_per_call(READS, || {
                for names in self.names.iter().cycle().take(READS) {
                    assert_eq!(by(&mut *caller, names), 1, "the job is there");
                }
            })
        };
        let id = read(|caller, names| caller.by_id(names));
        let index = read(|caller, names| caller.by_index(names));
        drop(caller);
        self.id_ns.push(id);
        self.index_ns.push(index);
    }
}

/// Into how many parts a round is divided: ratios gain by more rounds.
const PARTS: usize = 3;
const READS: usize = 10_000;
/// How much a store may cache: the default.
const CACHE_BYTES: usize = 32 << 20;
