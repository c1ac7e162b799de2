//! The groups that were met, and where documents go for which there is no room.
//!
//! When the groups take more memory than they may, they are divided by their `_id`s into parts. From then on a document is
//! put away for the part that its group belongs to, and each part is gone through by itself afterwards, on top of what its
//! groups had accumulated. So every group gets its documents in their order, and nothing that was accumulated needs to be
//! written.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::super::accumulator::Accumulator;
use super::super::scratch::{Room, Run, no_room};
use super::super::steps::Steps;
use super::{Database, Group};
use crate::expression::Context;
use crate::{Arena, Document, OwnedValue, Result, Value, key};

/// The groups of the documents that were added.
#[derive(Debug)]
pub(super) struct Table<'g> {
    group: &'g Group,
    database: &'g dyn Database,
    steps: Steps,
    /// Where each group stands, by its `_id` as index keys write it: values that are equal have one writing.
    places: HashMap<Box<[u8]>, usize>,
    met: Vec<Met>,
    bytes: usize,
    bytes_max: usize,
    /// How many times the groups were divided before.
    level: u8,
    parts: Option<Parts>,
    arena: Arena,
    scratch: Vec<u8>,
}

/// A group.
#[derive(Debug)]
pub(super) struct Met {
    key: Box<[u8]>,
    /// The `_id` that was met first.
    pub(super) id: OwnedValue,
    pub(super) accumulators: Vec<Accumulator>,
    bytes: usize,
}

/// The parts that groups were divided into.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) room: Room,
    pub(super) parts: Vec<Part>,
}

/// Some of the groups, and the documents that belong to them.
#[derive(Debug)]
pub(super) struct Part {
    met: Vec<Met>,
    pub(super) documents: Run,
    level: u8,
}

impl<'g> Table<'g> {
    pub(super) fn new(group: &'g Group, database: &'g dyn Database) -> Self {
        Self {
            group,
            database,
            steps: Steps::default(),
            places: HashMap::new(),
            met: Vec::new(),
            bytes: 0,
            bytes_max: database.memory_bytes(),
            level: 0,
            parts: None,
            arena: Arena::new(),
            scratch: Vec::new(),
        }
    }

    /// The groups of a part, and its documents, which are to be added.
    pub(super) fn of_part(group: &'g Group, database: &'g dyn Database, part: Part) -> (Self, Run) {
        let mut table = Self::new(group, database);
        table.level = part.level;
        table.bytes = part.met.iter().map(|met| met.bytes).sum();
        let keys = part.met.iter().zip(0..);
        table.places = keys.map(|(met, place)| (met.key.clone(), place)).collect();
        table.met = part.met;
        (table, part.documents)
    }

    /// Adds a document to its group, or puts it away.
    pub(super) fn add(&mut self, document: Document<'_>) -> Result<()> {
        self.steps.take(1, self.database)?;
        self.arena.reset();
        let context = Context::new(&self.arena, Value::Document(document));
        let id = match self.group.id.evaluate(context)? {
            Value::Missing => Value::Null,
            Value::Document(built) if built.is_empty() => match &self.group.only_field {
                // The server takes the value of an only field for the whole `_id`, and puts it into its object at last.
                Some(field) => Value::Document(self.arena.fields(&[(&**field, Value::Null)])?),
                None => Value::Document(built),
            },
            id => id,
        };
        self.scratch.clear();
        key::encode(id, &mut self.scratch);
        if let Some(Parts { room, parts }) = &mut self.parts {
            let part = &mut parts[part_of(&self.scratch, self.level)];
            return match document.raw_bytes() {
                Some(bytes) => part.documents.push(&[], bytes, room),
                None => part.documents.push(&[], document.to_raw().as_bytes(), room),
            };
        }
        let place = if let Some(place) = self.places.get(&*self.scratch) {
            *place
        } else {
            let met = self.start(id)?;
            self.places.insert(met.key.clone(), self.met.len());
            self.bytes += met.bytes;
            self.met.push(met);
            self.met.len() - 1
        };
        let met = &mut self.met[place];
        let mut more = 0;
        for ((_, accumulation), accumulator) in self.group.fields.iter().zip(&mut met.accumulators)
        {
            more += accumulation.add(accumulator, document, &self.arena)?;
        }
        met.bytes += more;
        self.bytes += more;
        if self.bytes > self.bytes_max { self.divide() } else { Ok(()) }
    }

    /// A new group, whose key stands in the scratch.
    fn start(&self, id: Value<'_>) -> Result<Met> {
        let accumulators = self
            .group
            .fields
            .iter()
            .map(|(_, accumulation)| accumulation.start(self.group.engine, id, &self.arena));
        let accumulators: Vec<_> = accumulators.collect::<Result<_>>()?;
        let id = OwnedValue::from(id);
        let mut bytes = GROUP_BYTES + 2 * self.scratch.len() + id.bytes();
        bytes += accumulators.len() * size_of::<Accumulator>();
        Ok(Met { key: self.scratch.as_slice().into(), id, accumulators, bytes })
    }

    /// Divides the groups into parts.
    fn divide(&mut self) -> Result<()> {
        let room = Room::new("$group", self.database)?;
        if self.met.len() < 2 || self.level >= LEVELS_MAX {
            return Err(no_room("$group", self.bytes_max));
        }
        let level = self.level + 1;
        let part = || Part { met: Vec::new(), documents: Run::default(), level };
        let mut parts: Vec<_> = std::iter::repeat_with(part).take(PARTS).collect();
        for met in self.met.drain(..) {
            parts[part_of(&met.key, self.level)].met.push(met);
        }
        self.places = HashMap::new();
        self.parts = Some(Parts { room, parts });
        Ok(())
    }

    /// The groups, or what they were divided into.
    pub(super) fn finish(self) -> Result<(Vec<Met>, Option<Parts>)> {
        let Some(Parts { mut room, parts }) = self.parts else { return Ok((self.met, None)) };
        let parts = parts
            .into_iter()
            .map(|part| Ok(Part { documents: part.documents.finish(&mut room)?, ..part }));
        let parts = parts.collect::<Result<_>>()?;
        Ok((Vec::new(), Some(Parts { room, parts })))
    }
}

/// Which part the group with a key belongs to, where groups were divided `level` times before.
fn part_of(key: &[u8], level: u8) -> usize {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(level);
    hasher.write(key);
    usize::try_from(hasher.finish() % PARTS as u64).unwrap_or(0)
}

/// Into how many parts groups are divided at a time.
const PARTS: usize = 32;

/// How often groups are divided: what is still too much then is one group that is too large by itself.
const LEVELS_MAX: u8 = 4;

/// What a group takes besides its bytes.
const GROUP_BYTES: usize = 160;
