//! Collections that are full of jobs, ours and those of the peers.

use std::fs;
use std::path::Path;

use lockstore::StoreOptions;

use crate::Result;
use crate::measure::{Series, float};
use crate::peers::{JobStore, JobsOfMongod, JobsOfRedb, JobsOfSqlite, OurJobs};
use crate::place::Place;
use crate::report::{Section, mebibytes, ratio, time};

/// The same jobs in each.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) ours: OurJobs,
    pub(super) sqlite: JobsOfSqlite,
    /// Where the environment names its program.
    pub(super) mongod: Option<JobsOfMongod>,
}

impl Filled {
    /// Builds them, with `documents` jobs, in files called after `name`.
    pub(super) fn new(place: &Place, name: &str, documents: usize) -> Result<Self> {
        Ok(Self {
            ours: ours(&place.file(&format!("{name}.lockstore")), documents, CACHE_BYTES)?,
            sqlite: JobsOfSqlite::new(
                &place.file(&format!("{name}.sqlite")),
                documents,
                CACHE_BYTES,
            )?,
            mongod: mongod(place, name, documents)?,
        })
    }

    /// All of them that can do everything, by their names, ours first.
    pub(super) fn contenders(&self) -> Vec<(&'static str, &dyn JobStore)> {
        let mut contenders: Vec<(_, &dyn JobStore)> =
            vec![("lockstore", &self.ours), ("sqlite", &self.sqlite)];
        contenders.extend(self.mongod.as_ref().map(|mongod| ("mongod", mongod as &dyn JobStore)));
        contenders
    }

    /// What is to be known of them.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            format!("each may cache {}, the least that mongod takes", mebibytes(float(CACHE_BYTES as u64))),
            "sqlite: JSON text, WAL, synchronous=FULL, indexes on json_extract, one connection behind a mutex"
                .to_owned(),
        ];
        notes.push(note_of(self.mongod.as_ref()));
        notes
    }
}

/// Adds to `section` how long a call took each of `stores`, the first of which is ours: a row for `what`, and figures that begin
/// with `prefix` and `name`.
pub(super) fn compare(
    section: &mut Section,
    (prefix, name, what): (&str, &str, &str),
    stores: &[(&str, &dyn JobStore)],
    took: &[Series],
) {
    let [ours, ..] = took else { return };
    for ((store, _), theirs) in stores.iter().zip(took) {
        let faster = theirs.over(ours);
        section.row([what.to_owned(), (*store).to_owned(), time(theirs.median()), ratio(faster)]);
        section.figure(format!("{prefix}.{name}.{store}_ns"), theirs.median());
        section.figure(format!("{prefix}.{name}.over_{store}"), faster);
    }
}

/// A mongod with `documents` jobs, where the environment names its program.
pub(super) fn mongod(place: &Place, name: &str, documents: usize) -> Result<Option<JobsOfMongod>> {
    let Some(program) = std::env::var_os("MONGOD") else { return Ok(None) };
    let folder = place.file(&format!("{name}.mongod"));
    JobsOfMongod::start(program.as_ref(), &folder, documents).map(Some)
}

/// What is to be known of the mongod.
pub(crate) fn note_of(mongod: Option<&JobsOfMongod>) -> String {
    match mongod {
        Some(mongod) => format!(
            "mongod: {}, writes with j: true, over TCP on this machine by a plain client of ours, which does less \
             than a driver",
            mongod.version()
        ),
        None => "mongod: not measured, as the environment variable MONGOD names none".to_owned(),
    }
}

/// A new store at `path` with `documents` jobs and a cache of `cache_bytes`.
pub(super) fn ours(path: &Path, documents: usize, cache_bytes: usize) -> Result<OurJobs> {
    let jobs = OurJobs::new(StoreOptions::new().cache_bytes(cache_bytes).open(path)?)?;
    jobs.fill(documents)?;
    Ok(jobs)
}

/// redb on a copy of our file at `path`; ours, opened again.
pub(super) fn with_redb(ours: OurJobs, path: &Path) -> Result<(OurJobs, JobsOfRedb)> {
    ours.close()?;
    let copy = path.with_extension("redb");
    fs::copy(path, &copy)?;
    // The copy must not be written back while something is measured.
    fs::File::open(&copy)?.sync_all()?;
    let ours = OurJobs::new(StoreOptions::new().cache_bytes(CACHE_BYTES).open(path)?)?;
    Ok((ours, JobsOfRedb::open(&copy, CACHE_BYTES)?))
}

/// How much each contender may cache: the least that mongod takes.
pub(super) const CACHE_BYTES: usize = 256 << 20;
