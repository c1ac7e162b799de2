//! `$setWindowFields`: values that a document gets from its neighbours.
//!
//! The documents are put in order, by partition and then as they are asked for; one partition is held at a time, in memory and behind
//! that in a scratch. Each output is a function that goes from one document to the next and keeps what it needs of the window that moves with it.

mod bounds;
mod function;
mod interpolation;
mod moving;
mod partition;
mod points;
mod state;

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::sorted::Sorted;
use super::stage::object;
use super::{Database, Documents, Source};
use crate::expression::{Context, Scope};
use crate::key::Direction;
use crate::path::Path;
use crate::sort::SortKey;
use crate::{
    Arena, Document, Environment, Error, ErrorCode, Expression, Result, Sort, Value, nested,
};
use function::Function;
use partition::Partition;
use state::State;

/// `$setWindowFields`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    partition: Option<Expression>,
    sort: Option<Sort>,
    by: Option<SortedBy>,
    outputs: Vec<(Path, Function)>,
}

/// The one field that documents are sorted by.
#[derive(Clone, Debug)]
struct SortedBy {
    value: Expression,
    direction: Direction,
}

impl Windows {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let spec = object("$setWindowFields", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        let scope = Scope::new(environment);
        let (mut partition, mut sort, mut output) = (None, None, None);
        for (name, value) in spec {
            match (name, value) {
                ("partitionBy", value) => partition = Some(Expression::parse(value, &scope)?),
                ("sortBy", Value::Document(fields)) => sort = Some(Sort::parse(&fields.to_raw())?),
                ("output", Value::Document(fields)) => output = Some(fields),
                ("sortBy" | "output", _) => {
                    return Err(Error::type_mismatch(format!(
                        "'{name}' of $setWindowFields is an object, not {}",
                        value.type_name()
                    )));
                }
                _ => {
                    let message = format!(
                        "$setWindowFields has no option '{name}'; it takes partitionBy, sortBy, output"
                    );
                    return Err(Error::location(40415, message));
                }
            }
        }
        let Some(output) = output else {
            return Err(Error::location(40414, "$setWindowFields needs the option output"));
        };
        let sort = sort.filter(|sort| !sort.is_empty());
        let by = sort.as_ref().map(|sort| SortedBy::of(sort, &scope)).transpose()?.flatten();
        let order = function::Order {
            fields: sort.as_ref().map_or(0, |sort| sort.fields().len()),
            ascending: by.as_ref().is_some_and(|by| by.direction == Direction::Ascending),
        };
        let mut outputs: Vec<(Path, Function)> = Vec::new();
        for (name, value) in output {
            let path = Path::field(name)?;
            if outputs.iter().any(|(other, _)| are_in_conflict(other, &path)) {
                let message = format!("'{name}' of $setWindowFields stands in another output");
                return Err(Error::location(6_307_900, message));
            }
            outputs.push((path, Function::parse(name, value, order, environment)?));
        }
        Ok(Self { partition, sort, by, outputs })
    }

    /// The documents with what they get.
    pub(crate) fn run(
        self: Arc<Self>,
        mut input: Documents,
        database: Arc<dyn Database>,
    ) -> Result<Documents> {
        let documents = if self.partition.is_none() && self.sort.is_none() {
            input
        } else {
            let mut sorted = Sorted::new("$setWindowFields", None, &*database);
            let mut arena = Arena::new();
            input.for_each(&mut |document| {
                arena.reset();
                let mut key = self.partition_of(document, &arena)?;
                if let Some(sort) = &self.sort {
                    key = key.then(&sort.key(document)?);
                }
                sorted.push_document(key, document)
            })?;
            sorted.documents()?
        };
        let by = self.by.as_ref().map(|by| by.value.clone());
        Ok(Box::new(Running {
            windows: self,
            documents,
            bytes_max: database.memory_bytes(),
            next: None,
            partition: Partition::new(by, database),
            states: Vec::new(),
            index: 0,
            arena: Arena::new(),
        }))
    }

    /// What tells to which partition a document belongs.
    fn partition_of(&self, document: Document<'_>, arena: &Arena) -> Result<SortKey> {
        let Some(partition) = &self.partition else { return Ok(SortKey::of(Value::Null)) };
        match partition.evaluate(Context::new(arena, Value::Document(document)))? {
            Value::Array(_) => Err(Error::type_mismatch("partitionBy cannot be an array")),
            value => Ok(SortKey::of(value)),
        }
    }
}

impl SortedBy {
    /// The field of a sort by one field.
    fn of(sort: &Sort, scope: &Scope<'_>) -> Result<Option<Self>> {
        let [field] = sort.fields() else { return Ok(None) };
        let path = format!("${}", field.path().as_str());
        let value = Expression::parse(Value::String(&path), scope)?;
        Ok(Some(Self { value, direction: field.direction() }))
    }
}

/// Whether one of two paths leads into the other.
fn are_in_conflict(one: &Path, other: &Path) -> bool {
    one.parts().zip(other.parts()).all(|(one, other)| one == other)
}

/// Goes through the partitions.
#[derive(Debug)]
struct Running {
    windows: Arc<Windows>,
    /// The documents, in order.
    documents: Documents,
    /// How much the functions may keep.
    bytes_max: usize,
    /// The first document of the next partition, and what it belongs to.
    next: Option<(SortKey, RawDocumentBuf)>,
    partition: Partition,
    states: Vec<State>,
    /// Which document of the partition comes next.
    index: usize,
    arena: Arena,
}

impl Running {
    /// Takes up the next partition; `false` if there is none.
    fn next_partition(&mut self) -> Result<bool> {
        self.partition.clear();
        self.index = 0;
        let mut belongs_to = None;
        if let Some((key, document)) = self.next.take() {
            self.partition.push(document)?;
            belongs_to = Some(key);
        }
        while let Some(document) = self.documents.next()? {
            self.arena.reset();
            let key = self.windows.partition_of(Document::from(&*document), &self.arena)?;
            if belongs_to.as_ref().is_some_and(|belongs_to| *belongs_to != key) {
                self.next = Some((key, document));
                break;
            }
            belongs_to = Some(key);
            self.partition.push(document)?;
        }
        self.states = self.windows.outputs.iter().map(|_| State::default()).collect();
        Ok(!self.partition.is_empty())
    }
}

impl Source for Running {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        if self.index >= self.partition.len() && !self.next_partition()? {
            return Ok(None);
        }
        self.arena.reset();
        let mut values = Vec::with_capacity(self.states.len());
        for ((_, function), state) in self.windows.outputs.iter().zip(&mut self.states) {
            values.push(state.step(function, &self.partition, self.index)?);
        }
        if self.states.iter().map(State::bytes).sum::<usize>() > self.bytes_max {
            let message = format!(
                "the functions of $setWindowFields take more than {} bytes",
                self.bytes_max
            );
            return Err(Error::location(5_414_201, message));
        }
        let document = self.partition.document(self.index)?;
        let mut document = Document::from(&*document);
        for ((path, _), value) in self.windows.outputs.iter().zip(&values) {
            document = nested::set(document, path, path.len(), value.get(), &self.arena)?;
        }
        self.index += 1;
        Ok(Some(document.to_raw()))
    }
}
