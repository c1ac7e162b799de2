//! Walking over a collection or an index, from where the walk was left.

use std::collections::HashSet;
use std::ops::Bound;

use bson::RawDocument;
use docquery::Filter;
use docquery::key::{Cut, Interval};

use super::pace::{Pace, Step};
use super::{Counts, FoundBy, Row, Visit};
use crate::disk::Direction;
use crate::documents::overlay::Current;
use crate::documents::plan::{Access, IndexScan};
use crate::documents::{CollectionId, Edge, Reading, RecordId};
use crate::error::DocumentError;

/// A walk along what a plan goes through, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Scan {
    place: Place,
    /// What was found already, where it might be found again.
    seen: Option<Seen>,
    /// Whether documents are not read: an empty one is given in their place.
    skips_documents: bool,
    /// Whether rows say by which key they were found.
    tells_keys: bool,
}

/// Where a walk goes on.
#[derive(Debug, Default)]
struct Place {
    /// Which index of several it is at.
    scan: usize,
    /// Which range of that index it is at, counted in the direction of the walk.
    range: usize,
    /// What it found last in the range, or in the collection.
    last: Option<Last>,
}

#[derive(Debug)]
enum Last {
    Record(RecordId),
    Entry(Box<[u8]>, RecordId),
}

/// A set of records.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<u64, foldhash::fast::RandomState>);

impl Seen {
    /// Adds a record. Answers whether it is new.
    pub(super) fn insert(&mut self, record: RecordId) -> bool {
        self.0.insert(record.get())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// How a walk on one reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There is no more.
    Done,
    /// The visitor broke it off.
    Broken,
    /// It was time to leave the reading.
    Slow,
}

impl Scan {
    pub(super) fn new(access: &Access, tells_keys: bool) -> Self {
        let repeats = match access {
            Access::Indexes(scans) => {
                scans.len() > 1 || scans.iter().any(|scan| scan.index().multikey() != 0)
            }
            Access::Nothing | Access::Collection(_) => false,
        };
        Self { seen: repeats.then(Seen::default), tells_keys, ..Self::default() }
    }

    /// Reads no documents from now on: all that the indexes find matches.
    pub(super) fn skip_documents(&mut self) {
        self.skips_documents = true;
    }

    /// From now on the keys of a document may be several.
    pub(super) fn expect_arrays(&mut self) {
        self.seen.get_or_insert_default();
        self.skips_documents = false;
    }

    /// Goes on along `access` on `reading`, and gives what it finds to `visit`.
    pub(super) fn run(
        &mut self,
        access: &Access,
        on: Ground<'_, '_>,
        counts: &mut Counts,
        visit: &mut Visit<'_>,
    ) -> Result<Progress, DocumentError> {
        let mut visitor = Visitor {
            on,
            counts,
            visit,
            seen: self.seen.as_mut(),
            skips_documents: self.skips_documents,
            tells_keys: self.tells_keys,
        };
        match access {
            Access::Nothing => Ok(Progress::Done),
            Access::Collection(direction) => {
                visitor.walk_collection(*direction, &mut self.place.last)
            }
            Access::Indexes(scans) => {
                while let Some(scan) = scans.get(self.place.scan) {
                    let progress = visitor.walk_index(scan, &mut self.place)?;
                    if progress != Progress::Done {
                        return Ok(progress);
                    }
                    self.place = Place { scan: self.place.scan + 1, ..Place::default() };
                }
                Ok(Progress::Done)
            }
        }
    }
}

/// What a walk goes over, and how long.
pub(super) struct Ground<'g, 'c> {
    pub(super) reading: &'g Reading,
    pub(super) collection: CollectionId,
    /// What a document must match to be given.
    pub(super) filter: Option<&'g Filter>,
    pub(super) pace: &'g mut Pace<'c>,
}

struct Visitor<'v, 'c> {
    on: Ground<'v, 'c>,
    counts: &'v mut Counts,
    visit: &'v mut Visit<'v>,
    seen: Option<&'v mut Seen>,
    skips_documents: bool,
    tells_keys: bool,
}

impl Visitor<'_, '_> {
    fn walk_collection(
        &mut self,
        direction: Direction,
        last: &mut Option<Last>,
    ) -> Result<Progress, DocumentError> {
        let from = match last.take() {
            Some(Last::Record(record) | Last::Entry(_, record)) => Bound::Excluded(record),
            None => Bound::Unbounded,
        };
        let bounds = match direction {
            Direction::Forward => (from, Bound::Unbounded),
            Direction::Backward => (Bound::Unbounded, from),
        };
        let (reading, collection) = (self.on.reading, self.on.collection);
        for document in reading.documents(collection, bounds, direction)? {
            let document = document?;
            // One row is looked at on every reading, so a walk ends however slow it is.
            let step = self.on.pace.step()?;
            let record = document.record();
            let progress = if self.matches(document.fields())? {
                self.found(&document.read()?, None)?
            } else {
                None
            };
            if let Some(progress) = progress.or(step.progress()) {
                *last = Some(Last::Record(record));
                return Ok(progress);
            }
        }
        Ok(Progress::Done)
    }

    fn walk_index(
        &mut self,
        scan: &IndexScan,
        place: &mut Place,
    ) -> Result<Progress, DocumentError> {
        let ranges = scan.keys().ranges();
        while place.range < ranges.len() {
            let interval = match scan.direction() {
                Direction::Forward => &ranges[place.range],
                Direction::Backward => &ranges[ranges.len() - 1 - place.range],
            };
            let progress = self.walk_range(scan, interval, &mut place.last)?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            place.range += 1;
        }
        Ok(Progress::Done)
    }

    fn walk_range(
        &mut self,
        scan: &IndexScan,
        interval: &Interval,
        last: &mut Option<Last>,
    ) -> Result<Progress, DocumentError> {
        let direction = scan.direction();
        let (mut lower, mut upper) = (edge(interval.low()), edge(interval.high()));
        let left = last.take();
        if let Some(Last::Entry(key, record)) = &left {
            match direction {
                Direction::Forward => lower = Edge::BehindEntry(key, *record),
                Direction::Backward => upper = Edge::BeforeEntry(key, *record),
            }
        }
        let (reading, index) = (self.on.reading, scan.index());
        for entry in reading.entries(index.id(), (lower, upper), direction)? {
            let entry = entry?;
            let step = self.on.pace.step()?;
            self.counts.keys_examined += 1;
            let key = entry.key();
            let progress = if scan.keys().admit(index.pattern(), key) {
                self.find(entry.record(), FoundBy { index, key })?
            } else {
                None
            };
            if let Some(progress) = progress.or(step.progress()) {
                *last = Some(Last::Entry(key.into(), entry.record()));
                return Ok(progress);
            }
        }
        Ok(Progress::Done)
    }

    /// The document of an entry.
    fn find(
        &mut self,
        record: RecordId,
        found_by: FoundBy<'_>,
    ) -> Result<Option<Progress>, DocumentError> {
        if self.skips_documents {
            if self.seen.as_mut().is_some_and(|seen| !seen.insert(record)) {
                return Ok(None);
            }
            self.counts.matched += 1;
            let document = RawDocument::from_bytes(EMPTY).expect("it is BSON");
            let row = Row { record, document, found_by: None };
            return Ok((self.visit)(row)?.is_break().then_some(Progress::Broken));
        }
        // An index agrees with its collection in every reading.
        match self.on.reading.document(self.on.collection, record)? {
            Some(document) if self.matches(document.raw().into())? => {
                self.found(&document, self.tells_keys.then_some(found_by))
            }
            Some(_) | None => Ok(None),
        }
    }

    fn matches(&mut self, document: docquery::Document<'_>) -> Result<bool, DocumentError> {
        self.counts.documents_examined += 1;
        Ok(match self.on.filter {
            Some(filter) => filter.find(document)?.is_some(),
            None => true,
        })
    }

    /// A document that matches.
    fn found(
        &mut self,
        document: &Current<'_>,
        found_by: Option<FoundBy<'_>>,
    ) -> Result<Option<Progress>, DocumentError> {
        let (record, document) = (document.record(), document.raw());
        if self.seen.as_mut().is_some_and(|seen| !seen.insert(record)) {
            return Ok(None);
        }
        self.counts.matched += 1;
        Ok((self.visit)(Row { record, document, found_by })?.is_break().then_some(Progress::Broken))
    }
}

impl Step {
    fn progress(self) -> Option<Progress> {
        match self {
            Self::GoOn => None,
            Self::Leave => Some(Progress::Slow),
        }
    }
}

fn edge(cut: &Cut) -> Edge<'_> {
    if cut.is_behind() { Edge::Behind(cut.bytes()) } else { Edge::Before(cut.bytes()) }
}

/// The document without fields.
const EMPTY: &[u8] = &[5, 0, 0, 0, 0];
