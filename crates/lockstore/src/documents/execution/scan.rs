//! Walking over a collection or an index, from where the walk was left.

use std::collections::HashSet;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bson::RawDocument;
use docquery::Filter;
use docquery::key::{Cut, Interval};

use super::pace::{Pace, Step};
use super::{Counts, FoundBy, Row};
use crate::disk::{Direction, StoredDocument};
use crate::documents::plan::{Access, IndexScan};
use crate::documents::{CollectionId, Edge, Reading, RecordId};
use crate::error::DocumentError;

/// A walk, and how far it has come.
#[derive(Debug, Default)]
pub(super) struct Scan {
    walks: Vec<Walk>,
    /// Which walk it is at.
    at: usize,
    /// What was found already, where it might be found again.
    seen: Option<Seen>,
    /// Whether documents are not read: an empty one is given in their place.
    skips_documents: bool,
    /// Whether rows say by which key they were found.
    tells_keys: bool,
}

/// A set of records.
#[derive(Debug, Default)]
pub(super) struct Seen(HashSet<u64, foldhash::fast::RandomState>);

impl Seen {
    /// Adds a record. Answers whether it is new.
    pub(super) fn insert(&mut self, record: RecordId) -> bool {
        self.0.insert(record.get())
    }
}

#[derive(Debug)]
enum Walk {
    Collection { direction: Direction, last: Option<RecordId> },
    Index { scan: IndexScan, range: usize, last: Option<(Box<[u8]>, RecordId)> },
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

type Visit<'v> = dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, DocumentError> + 'v;

impl Scan {
    pub(super) fn new(access: &Access, tells_keys: bool) -> Self {
        let walks: Vec<_> = match access {
            Access::Nothing => Vec::new(),
            Access::Collection(direction) => {
                vec![Walk::Collection { direction: *direction, last: None }]
            }
            Access::Indexes(scans) => scans
                .iter()
                .map(|scan| Walk::Index { scan: scan.clone(), range: 0, last: None })
                .collect(),
        };
        let repeats = match access {
            Access::Indexes(scans) => {
                scans.len() > 1 || scans.iter().any(|scan| scan.index().multikey() != 0)
            }
            Access::Nothing | Access::Collection(_) => false,
        };
        Self { walks, at: 0, seen: repeats.then(Seen::default), skips_documents: false, tells_keys }
    }

    /// Reads no documents from now on, if all that is found by an index `matches`.
    pub(super) fn skip_documents(&mut self, matches: bool) {
        let by_index = self.walks.iter().all(|walk| matches!(walk, Walk::Index { .. }));
        self.skips_documents = matches && by_index;
    }

    /// Goes on on `reading`, and gives what it finds to `visit`.
    pub(super) fn run(
        &mut self,
        reading: &Reading,
        collection: CollectionId,
        pace: &mut Pace<'_>,
        counts: &mut Counts,
        filter: Option<&Arc<Filter>>,
        visit: &mut Visit<'_>,
    ) -> Result<Progress, DocumentError> {
        let mut visitor = Visitor {
            reading,
            collection,
            pace,
            counts,
            filter,
            visit,
            seen: self.seen.as_mut(),
            skips_documents: self.skips_documents,
            tells_keys: self.tells_keys,
        };
        while let Some(walk) = self.walks.get_mut(self.at) {
            let progress = match walk {
                Walk::Collection { direction, last } => visitor.walk_collection(*direction, last),
                Walk::Index { scan, range, last } => visitor.walk_index(scan, range, last),
            }?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            self.at += 1;
        }
        Ok(Progress::Done)
    }
}

struct Visitor<'v, 'p> {
    reading: &'v Reading,
    collection: CollectionId,
    pace: &'v mut Pace<'p>,
    counts: &'v mut Counts,
    filter: Option<&'v Arc<Filter>>,
    visit: &'v mut (dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, DocumentError> + 'v),
    seen: Option<&'v mut Seen>,
    skips_documents: bool,
    tells_keys: bool,
}

impl Visitor<'_, '_> {
    fn walk_collection(
        &mut self,
        direction: Direction,
        last: &mut Option<RecordId>,
    ) -> Result<Progress, DocumentError> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = match direction {
            Direction::Forward => (from, Bound::Unbounded),
            Direction::Backward => (Bound::Unbounded, from),
        };
        for document in self.reading.documents(self.collection, bounds, direction)? {
            let document = document?;
            let record = document.record();
            // One step comes at least, even on a reading that is old at once.
            let step = self.pace.step()?;
            *last = Some(record);
            if let Some(progress) = self.found(&document, None)?.or(step.progress()) {
                return Ok(progress);
            }
        }
        Ok(Progress::Done)
    }

    fn walk_index(
        &mut self,
        scan: &IndexScan,
        range: &mut usize,
        last: &mut Option<(Box<[u8]>, RecordId)>,
    ) -> Result<Progress, DocumentError> {
        let ranges = scan.keys().ranges();
        while *range < ranges.len() {
            let interval = match scan.direction() {
                Direction::Forward => &ranges[*range],
                Direction::Backward => &ranges[ranges.len() - 1 - *range],
            };
            let progress = self.walk_range(scan, interval, last)?;
            if progress != Progress::Done {
                return Ok(progress);
            }
            *range += 1;
            *last = None;
        }
        Ok(Progress::Done)
    }

    fn walk_range(
        &mut self,
        scan: &IndexScan,
        interval: &Interval,
        last: &mut Option<(Box<[u8]>, RecordId)>,
    ) -> Result<Progress, DocumentError> {
        let direction = scan.direction();
        let (mut lower, mut upper) = (edge(interval.low()), edge(interval.high()));
        let left = last.take();
        match (&left, direction) {
            (None, _) => {}
            (Some((key, record)), Direction::Forward) => lower = Edge::BehindEntry(key, *record),
            (Some((key, record)), Direction::Backward) => upper = Edge::BeforeEntry(key, *record),
        }
        let index = scan.index();
        for entry in self.reading.entries(index.id(), (lower, upper), direction)? {
            let entry = entry?;
            let step = self.pace.step()?;
            self.counts.keys_examined += 1;
            let key = entry.key();
            let progress = if scan.keys().admit(index.pattern(), key) {
                self.find(entry.record(), FoundBy { index, key })?
            } else {
                None
            };
            if let Some(progress) = progress.or(step.progress()) {
                *last = Some((key.into(), entry.record()));
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
        match self.reading.document(self.collection, record)? {
            Some(document) => self.found(&document, self.tells_keys.then_some(found_by)),
            None => Ok(None),
        }
    }

    fn found(
        &mut self,
        document: &StoredDocument<'_>,
        found_by: Option<FoundBy<'_>>,
    ) -> Result<Option<Progress>, DocumentError> {
        self.counts.documents_examined += 1;
        let (record, document) = (document.record(), document.raw());
        if let Some(filter) = self.filter
            && !filter.matches(document)?
        {
            return Ok(None);
        }
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
