//! Carrying a plan out: documents one after the other, found, matched, sorted, skipped and limited.
//!
//! An execution holds no reading while it rests: it knows where it stands by key, and goes on from there on a newer reading. A
//! scan that takes long moves to a newer reading by itself, so that the file does not grow because of it. Then
//! it sees what was changed in between, as MongoDB's does when it yields: a document is given at most once as long as its keys
//! stay the same, and one that is there all the time with the same keys is given for sure.

mod pace;
mod scan;
mod sort;

use std::ops::ControlFlow;
use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};
use docquery::{Error, ErrorCode};

use super::plan::{Access, Plan};
use super::{Collection, CollectionId, Deadline, DiskUse, Index, Reading, RecordId, ScratchFiles};
use crate::engine::Engine;
use crate::error::DocumentError;
use crate::transaction::TransactionState;
use pace::Pace;
use scan::{Ground, Progress, Scan, Seen};
use sort::{SortedRows, Sorting};

/// A plan that is being carried out.
#[derive(Debug)]
pub(crate) struct Execution {
    plan: Arc<Plan>,
    collection: Option<CollectionId>,
    stage: Stage,
    skip: u64,
    limit: u64,
    disk_use: DiskUse,
    /// What it began on, as long as it has not been asked for anything.
    first: Option<Reading>,
    /// Where it takes further readings, if it began in a transaction.
    transaction: Option<Arc<TransactionState>>,
    deadline: Option<Deadline>,
    counts: Counts,
}

/// How an execution is limited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extent {
    /// How many documents are passed over.
    pub(crate) skip: u64,
    /// How many are given at most.
    pub(crate) limit: Option<u64>,
    /// When it is too late: an error then.
    pub(crate) deadline: Option<Deadline>,
    /// Whether rows say by which key they were found.
    pub(crate) keys: bool,
    /// Whether a sort may put on the disk what it cannot hold in memory.
    pub(crate) disk_use: DiskUse,
}

/// One document that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'r> {
    pub(crate) record: RecordId,
    pub(crate) document: &'r RawDocument,
    /// By what it was found, if that was an index and [`Extent::keys`] asks for it.
    pub(crate) found_by: Option<FoundBy<'r>>,
}

/// The entry of an index by which a document was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundBy<'r> {
    pub(crate) index: &'r Arc<Index>,
    pub(crate) key: &'r [u8],
}

/// What it took so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) keys_examined: u64,
    pub(crate) documents_examined: u64,
    /// How many documents matched.
    pub(crate) matched: u64,
    /// How many were given.
    pub(crate) returned: u64,
}

/// Takes a row, and says whether it wants more.
type Visit<'v> = dyn FnMut(Row<'_>) -> Result<ControlFlow<()>, DocumentError> + 'v;

#[derive(Debug)]
enum Stage {
    Scanning(Scan),
    /// What is found is to be sorted.
    Sorting(Scan),
    Sorted(SortedRows),
    Done,
}

impl Execution {
    /// Begins to carry out a plan that was made on `reading` for `collection`.
    pub(crate) fn new(
        reading: Reading,
        collection: Option<&Collection>,
        plan: Arc<Plan>,
        Extent { skip, limit, deadline, keys, disk_use }: Extent,
    ) -> Self {
        let limit = limit.unwrap_or(u64::MAX);
        let scan = Scan::new(plan.access(), keys);
        let stage = match plan.sort() {
            _ if limit == 0 || matches!(plan.access(), Access::Nothing) => Stage::Done,
            None => Stage::Scanning(scan),
            Some(_) => Stage::Sorting(scan),
        };
        let collection = collection.map(Collection::id);
        let transaction = reading.transaction().cloned();
        Self {
            plan,
            collection,
            stage,
            skip,
            limit,
            disk_use,
            first: Some(reading),
            transaction,
            deadline,
            counts: Counts::default(),
        }
    }

    /// Gives documents to `visit` until it breaks off, or there are no more. Answers whether there may be more: after
    /// a break the next call goes on behind the document that was given last.
    ///
    /// # Errors
    ///
    /// What `visit` gives; [`ErrorCode::MAX_TIME_MS_EXPIRED`]; a filter or a sort that cannot be evaluated; a sort of too
    /// much; `QueryPlanKilled` (175) if the collection or an index of the plan was dropped meanwhile. The execution is at its end then.
    pub(crate) fn run(
        &mut self,
        engine: &Engine,
        visit: &mut Visit<'_>,
    ) -> Result<bool, DocumentError> {
        let result = self.run_stages(engine, visit);
        if !matches!(result, Ok(true)) {
            self.stage = Stage::Done;
            self.first = None;
        }
        result
    }

    /// What `show` makes of the next documents, not more than `count`, and no more once they have `bytes` together.
    ///
    /// # Errors
    ///
    /// As [`Execution::run`]; what `show` gives.
    pub(crate) fn next_batch<T>(
        &mut self,
        engine: &Engine,
        count: usize,
        bytes: usize,
        mut show: impl FnMut(Row<'_>) -> Result<T, DocumentError>,
    ) -> Result<Vec<T>, DocumentError> {
        let (mut batch, mut size) = (Vec::new(), 0);
        if count == 0 {
            self.rest();
            return Ok(batch);
        }
        self.run(engine, &mut |row| {
            size += row.document.as_bytes().len();
            batch.push(show(row)?);
            let full = batch.len() >= count || size >= bytes;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(batch)
    }

    /// Counts the documents that are left. Those that exact bounds of an index find are not read for it.
    ///
    /// # Errors
    ///
    /// As [`Execution::run`].
    pub(crate) fn count(&mut self, engine: &Engine) -> Result<u64, DocumentError> {
        let mut counted = 0;
        if let Stage::Sorting(scan) = &mut self.stage {
            // In which order they are counted makes no difference.
            self.stage = Stage::Scanning(std::mem::take(scan));
        }
        if let Stage::Scanning(scan) = &mut self.stage
            && self.plan.is_exact()
            && matches!(self.plan.access(), Access::Indexes(_))
        {
            scan.skip_documents();
        }
        self.run(engine, &mut |_| {
            counted += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(counted)
    }

    /// Adds to `records` those of the documents that are left, in their order, each once, at most `count`, and up to where an
    /// error comes: a change of many documents is done to those before it.
    ///
    /// # Errors
    ///
    /// As [`Execution::run`].
    pub(crate) fn gather(
        &mut self,
        engine: &Engine,
        count: usize,
        records: &mut Vec<RecordId>,
    ) -> Result<(), DocumentError> {
        let mut seen = Seen::default();
        if count == 0 {
            return Ok(());
        }
        self.run(engine, &mut |row| {
            if seen.insert(row.record) {
                records.push(row.record);
            }
            let full = seen.len() >= count;
            Ok(if full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(())
    }

    /// The collection that is looked through, if there is one.
    pub(crate) fn collection(&self) -> Option<CollectionId> {
        self.collection
    }

    /// Lets go of the reading that it began on, as every call does: it goes on on a newer one.
    pub(crate) fn rest(&mut self) {
        self.first = None;
    }

    /// Whether nothing more will come.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn run_stages(
        &mut self,
        engine: &Engine,
        visit: &mut Visit<'_>,
    ) -> Result<bool, DocumentError> {
        loop {
            match std::mem::replace(&mut self.stage, Stage::Done) {
                Stage::Done => return Ok(false),
                Stage::Scanning(scan) => return self.give_found(engine, scan, visit),
                Stage::Sorting(scan) => self.stage = self.sort(engine, scan)?,
                Stage::Sorted(rows) => return self.give_sorted(rows, visit),
            }
        }
    }

    /// Gives what the scan finds, as it is found.
    fn give_found(
        &mut self,
        engine: &Engine,
        mut scan: Scan,
        visit: &mut Visit<'_>,
    ) -> Result<bool, DocumentError> {
        let (mut skip, mut limit) = (self.skip, self.limit);
        let more = self.scan(engine, &mut scan, &mut |row| {
            if skip > 0 {
                skip -= 1;
                return Ok(ControlFlow::Continue(()));
            }
            limit -= 1;
            let flow = visit(row)?;
            Ok(if limit == 0 { ControlFlow::Break(()) } else { flow })
        });
        self.counts.returned += self.limit - limit;
        (self.skip, self.limit) = (skip, limit);
        let more = more? && limit > 0;
        if more {
            self.stage = Stage::Scanning(scan);
        }
        Ok(more)
    }

    /// Finds all there is, and sorts it.
    fn sort(&mut self, engine: &Engine, mut scan: Scan) -> Result<Stage, DocumentError> {
        let plan = Arc::clone(&self.plan);
        let Some(sort) = plan.sort() else { return Ok(Stage::Scanning(scan)) };
        let workspace = ScratchFiles::new(&engine.scratch, self.disk_use);
        let keep = self.skip.saturating_add(self.limit);
        let mut rows = Sorting::new(sort, plan.access(), keep, &workspace);
        self.scan(engine, &mut scan, &mut |row| {
            rows.add(row)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let mut rows = rows.finish()?;
        while self.skip > 0 && rows.next()?.is_some() {
            self.skip -= 1;
        }
        Ok(Stage::Sorted(rows))
    }

    /// Gives what was sorted.
    fn give_sorted(
        &mut self,
        mut rows: SortedRows,
        visit: &mut Visit<'_>,
    ) -> Result<bool, DocumentError> {
        while self.limit > 0
            && let Some(row) = rows.next()?
        {
            self.limit -= 1;
            self.counts.returned += 1;
            if visit(row.get(self.plan.access())?)?.is_break() {
                let more = self.limit > 0 && !rows.is_finished();
                if more {
                    self.stage = Stage::Sorted(rows);
                }
                return Ok(more);
            }
        }
        Ok(false)
    }

    /// Gives what the scan finds and the filter lets pass to `visit`, on as many readings as it takes. Answers whether there
    /// may be more.
    fn scan(
        &mut self,
        engine: &Engine,
        scan: &mut Scan,
        visit: &mut Visit<'_>,
    ) -> Result<bool, DocumentError> {
        let Some(collection) = self.collection else { return Ok(false) };
        let plan = &*self.plan;
        let mut filter = (!plan.is_exact()).then(|| &**plan.filter());
        loop {
            let reading = if let Some(reading) = self.first.take() {
                reading
            } else {
                let reading = engine.reading_in(self.transaction.as_ref())?;
                if check_alive(&reading, collection, plan)? == Keys::WithArrays {
                    filter = Some(&**plan.filter());
                    scan.expect_arrays();
                }
                reading
            };
            let pace = &mut Pace::new(&*engine.clock, self.deadline.as_ref());
            let ground = Ground { reading: &reading, collection, filter, pace };
            let progress = scan.run(plan.access(), ground, &mut self.counts, visit);
            match progress.map_err(|error| of_reading(engine, error))? {
                Progress::Done => return Ok(false),
                Progress::Broken => return Ok(true),
                Progress::Slow => {}
            }
        }
    }
}

/// A failure of the disk is that of the store, if that is why.
fn of_reading(engine: &Engine, error: DocumentError) -> DocumentError {
    match (&error, engine.check_usable()) {
        (DocumentError::Store(_), Err(why)) => why.into(),
        _ => error,
    }
}

/// What became of the keys of a plan's indexes since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// What was known of them holds.
    AsPlanned,
    /// A document may have several where none had: bounds that were exact are not any more, and it may be found more than once.
    WithArrays,
}

/// Checks that what the plan goes through is still there.
fn check_alive(reading: &Reading, collection: CollectionId, plan: &Plan) -> Result<Keys, Error> {
    let killed = |what: String| {
        Err(Error::new(QUERY_PLAN_KILLED, format!("the query was given up: {what}")))
    };
    let Some(collection) = reading.catalog().collection_with(collection) else {
        return killed("its collection was dropped".into());
    };
    let mut keys = Keys::AsPlanned;
    if let Access::Indexes(scans) = plan.access() {
        for scan in scans {
            let Some(index) = collection.index_with(scan.index().id()) else {
                return killed(format!("the index '{}' was dropped", scan.index().name()));
            };
            if index.multikey() != scan.index().multikey() {
                keys = Keys::WithArrays;
            }
        }
    }
    Ok(keys)
}

/// MongoDB's code for a query whose collection or index is gone.
const QUERY_PLAN_KILLED: ErrorCode = ErrorCode::new(175);

impl Row<'_> {
    /// The values of the key by which it was found, by the paths of the index: what `returnKey` gives. Without a key
    /// there are none.
    ///
    /// # Errors
    ///
    /// The document has no keys.
    pub(crate) fn key_document(&self) -> Result<RawDocumentBuf, Error> {
        let Some(FoundBy { index, key }) = self.found_by else { return Ok(RawDocumentBuf::new()) };
        Ok(index.pattern().values(self.document, key)?.unwrap_or_default())
    }
}
