//! `$densify`: documents where there are gaps between the values of a field.

mod range;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bson::RawDocumentBuf;

use super::sorted::Sorted;
use super::stage::object;
use super::{Database, Documents, Source};
use crate::path::Path;
use crate::sort::SortKey;
use crate::{Arena, Document, Error, ErrorCode, OwnedValue, Result, Value, nested, order};
use range::{Bounds, Range};

/// `$densify`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Densify {
    field: Path,
    partition: Vec<Path>,
    range: Range,
}

impl Densify {
    pub(crate) fn parse(spec: Value<'_>) -> Result<Self> {
        let spec = object("$densify", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        let (mut field, mut partition, mut range) = (None, Vec::new(), None);
        for (name, value) in spec {
            match (name, value) {
                ("field", Value::String(path)) => field = Some(Path::field(path)?),
                ("partitionByFields", Value::Array(fields)) => {
                    for value in fields {
                        let path =
                            value.as_str().ok_or_else(|| wrong_type(name, "strings", value))?;
                        partition.push(Path::field(path)?);
                    }
                }
                ("range", Value::Document(spec)) => range = Some(spec),
                ("field", _) => return Err(wrong_type(name, "a string", value)),
                ("partitionByFields", _) => return Err(wrong_type(name, "an array", value)),
                ("range", _) => return Err(wrong_type(name, "an object", value)),
                _ => {
                    let message = format!(
                        "$densify has no option '{name}'; it takes field, partitionByFields, range"
                    );
                    return Err(Error::location(40415, message));
                }
            }
        }
        let missing = |name| Error::location(40414, format!("$densify needs the option {name}"));
        let field = field.ok_or_else(|| missing("field"))?;
        let range = Range::parse(range.ok_or_else(|| missing("range"))?, !partition.is_empty())?;
        if partition.contains(&field) {
            let message = "$densify cannot have its field among partitionByFields";
            return Err(Error::location(5_733_306, message));
        }
        Ok(Self { field, partition, range })
    }

    /// The documents, and those in the gaps.
    pub(crate) fn run(
        self: Arc<Self>,
        mut input: Documents,
        database: &dyn Database,
    ) -> Result<Documents> {
        let mut sorted = Sorted::new("$densify", None, database);
        input.for_each(&mut |document| {
            let value = SortKey::of(nested::get(document, &self.field));
            let key = match self.range.bounds {
                Bounds::Full => value,
                Bounds::Partition | Bounds::Between(..) => {
                    self.partition_key(document).then(&value)
                }
            };
            sorted.push_document(key, document)
        })?;
        Ok(Box::new(Densified {
            documents: sorted.documents()?,
            densify: self,
            grids: Vec::new(),
            places: HashMap::new(),
            least: None,
            greatest: None,
            filling: VecDeque::new(),
            at_end: false,
            generated: 0,
        }))
    }

    fn partition_key(&self, document: Document<'_>) -> SortKey {
        let mut key = SortKey::default();
        for path in &self.partition {
            key = key.then(&SortKey::of(nested::get(document, path)));
        }
        key
    }
}

fn wrong_type(name: &str, expected: &str, value: Value<'_>) -> Error {
    Error::type_mismatch(format!("'{name}' of $densify is {expected}, not {}", value.type_name()))
}

/// The values that a partition is to have.
#[derive(Debug)]
struct Grid {
    /// The next of them.
    next: OwnedValue,
    /// The fields of the partition.
    partition: RawDocumentBuf,
}

/// What is being given: gaps of a grid, and a document behind them.
#[derive(Debug)]
struct Filling {
    grid: usize,
    /// The gaps are filled up to this value.
    until: OwnedValue,
    /// Whether it is a value of the grid itself that is to be there.
    inclusive: bool,
    then: Option<RawDocumentBuf>,
}

/// The documents, and those in the gaps.
#[derive(Debug)]
struct Densified {
    densify: Arc<Densify>,
    documents: Documents,
    grids: Vec<Grid>,
    /// Where the grid of each partition stands.
    places: HashMap<SortKey, usize>,
    /// The values that all lie between.
    least: Option<OwnedValue>,
    greatest: Option<OwnedValue>,
    filling: VecDeque<Filling>,
    at_end: bool,
    generated: u64,
}

impl Densified {
    /// Takes up a document; gives it at once if it has no value.
    fn take(&mut self, document: RawDocumentBuf) -> Result<Option<RawDocumentBuf>> {
        let densify = Arc::clone(&self.densify);
        let fields = Document::from(&*document);
        let value = nested::get(fields, &densify.field);
        if value.is_nullish() {
            return Ok(Some(document));
        }
        densify.range.check(value)?;
        if self.least.is_none() {
            self.least = Some(value.into());
        }
        self.greatest = Some(value.into());
        let key = densify.partition_key(fields);
        let grid = if let Some(grid) = self.places.get(&key) {
            *grid
        } else {
            let start = match &densify.range.bounds {
                Bounds::Full => self.least.clone().unwrap_or_else(|| value.into()),
                Bounds::Partition => value.into(),
                Bounds::Between(lower, _) => densify.range.start(lower.get())?,
            };
            let arena = Arena::new();
            let mut partition = Document::EMPTY;
            for path in &densify.partition {
                let value = nested::get(fields, path);
                partition = nested::set(partition, path, path.len(), value, &arena)?;
            }
            self.add_grid(key, start, partition.to_raw())
        };
        let until = match &densify.range.bounds {
            Bounds::Between(_, upper) if order::compare(upper.get(), value).is_lt() => {
                upper.clone()
            }
            _ => value.into(),
        };
        self.filling.push_back(Filling { grid, until, inclusive: false, then: Some(document) });
        Ok(None)
    }

    fn add_grid(&mut self, key: SortKey, start: OwnedValue, partition: RawDocumentBuf) -> usize {
        self.places.insert(key, self.grids.len());
        self.grids.push(Grid { next: start, partition });
        self.grids.len() - 1
    }

    /// Takes up what is left when there are no documents any more.
    fn finish(&mut self) -> Result<()> {
        let densify = Arc::clone(&self.densify);
        let (until, inclusive) = match (&densify.range.bounds, &self.greatest) {
            (Bounds::Full, Some(greatest)) => (greatest.clone(), true),
            (Bounds::Full, None) | (Bounds::Partition, _) => return Ok(()),
            (Bounds::Between(lower, upper), _) => {
                if self.grids.is_empty() && densify.partition.is_empty() {
                    let start = densify.range.start(lower.get())?;
                    self.add_grid(SortKey::default(), start, RawDocumentBuf::new());
                }
                (upper.clone(), false)
            }
        };
        for grid in 0..self.grids.len() {
            self.filling.push_back(Filling { grid, until: until.clone(), inclusive, then: None });
        }
        Ok(())
    }

    /// What comes next of what is being given: a document for a gap, or the one behind them.
    fn fill(&mut self) -> Result<Option<RawDocumentBuf>> {
        let Some(filling) = self.filling.front_mut() else { return Ok(None) };
        let grid = &mut self.grids[filling.grid];
        let order = order::compare(grid.next.get(), filling.until.get());
        if order.is_lt() || (order.is_eq() && filling.inclusive) {
            let arena = Arena::new();
            let partition = Document::from(&*grid.partition);
            let field = &self.densify.field;
            let document =
                nested::set(partition, field, field.len(), grid.next.get(), &arena)?.to_raw();
            grid.next = self.densify.range.next(grid.next.get())?;
            self.generated += 1;
            if self.generated > GENERATED_MAX {
                let message = format!("$densify makes more than {GENERATED_MAX} documents");
                return Err(Error::location(5_897_900, message));
            }
            return Ok(Some(document));
        }
        // The document itself has a value of the grid.
        if order.is_eq() && filling.then.is_some() {
            let is_between = match &self.densify.range.bounds {
                Bounds::Between(_, upper) => order::compare(grid.next.get(), upper.get()).is_lt(),
                Bounds::Full | Bounds::Partition => true,
            };
            if is_between {
                grid.next = self.densify.range.next(grid.next.get())?;
            }
        }
        Ok(self.filling.pop_front().and_then(|filling| filling.then))
    }
}

impl Source for Densified {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        loop {
            while !self.filling.is_empty() {
                if let Some(document) = self.fill()? {
                    return Ok(Some(document));
                }
            }
            if self.at_end {
                return Ok(None);
            }
            if let Some(document) = self.documents.next()? {
                if let Some(document) = self.take(document)? {
                    return Ok(Some(document));
                }
            } else {
                self.at_end = true;
                self.finish()?;
            }
        }
    }
}

/// How many documents are made at most, as on the server.
const GENERATED_MAX: u64 = 500_000;
