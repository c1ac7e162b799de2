//! `$group`: one document for all documents with the same `_id`.

use std::collections::BTreeMap;

use bson::RawDocumentBuf;

use super::accumulator::{Accumulation, Accumulator};
use super::distinct::Distinct;
use super::stage::object;
use super::{Documents, MEMORY_BYTES_MAX, buffer};
use crate::expression::{Context, Scope};
use crate::{
    Arena, Document, Environment, Error, ErrorCode, Expression, OwnedValue, Result, Value, Writer,
};

/// `$group`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    id: Expression,
    fields: Vec<(Box<str>, Accumulation)>,
}

/// The groups that were met, in the order in which they were.
#[derive(Debug, Default)]
struct Groups {
    places: BTreeMap<Distinct, usize>,
    accumulators: Vec<Vec<Accumulator>>,
    bytes: usize,
}

impl Group {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let spec = object("$group", spec, 15947)?;
        let scope = Scope::new(environment);
        let mut id = None;
        let mut fields: Vec<(Box<str>, Accumulation)> = Vec::new();
        for (name, value) in spec {
            if name != "_id" {
                let accumulation = Accumulation::parse(name, value, environment)?;
                fields.push((name.into(), accumulation));
            } else if id.replace(parse_id(value, &scope)?).is_some() {
                return Err(Error::location(15948, "$group has more than one _id"));
            }
        }
        let id = id.ok_or_else(|| Error::location(15955, "$group needs an _id"))?;
        Ok(Self { id, fields })
    }

    /// The documents of the groups.
    pub(crate) fn run(&self, input: Documents<'_>) -> Result<Vec<RawDocumentBuf>> {
        let mut arena = Arena::new();
        let mut groups = Groups::default();
        for document in input {
            let document = document?;
            arena.reset();
            self.add(Document::from(&*document), &arena, &mut groups)?;
        }
        let mut ids: Vec<_> = groups.places.into_iter().collect();
        ids.sort_unstable_by_key(|(_, place)| *place);
        let groups = ids.into_iter().zip(groups.accumulators);
        groups.map(|((id, _), accumulators)| self.document(&id.0, &accumulators)).collect()
    }

    fn add(&self, document: Document<'_>, arena: &Arena, groups: &mut Groups) -> Result<()> {
        let context = Context::new(arena, Value::Document(document));
        let id = match self.id.evaluate(context)? {
            Value::Missing => Value::Null,
            id => id,
        };
        let place = groups.place(id, &self.fields, arena)?;
        for ((_, accumulation), accumulator) in
            self.fields.iter().zip(&mut groups.accumulators[place])
        {
            groups.bytes += accumulation.add(accumulator, document, arena)?;
        }
        if groups.bytes > MEMORY_BYTES_MAX {
            let message = format!("$group takes more than {MEMORY_BYTES_MAX} bytes");
            return Err(Error::new(ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT, message));
        }
        Ok(())
    }

    fn document(&self, id: &OwnedValue, accumulators: &[Accumulator]) -> Result<RawDocumentBuf> {
        let mut writer = Writer::new();
        writer.field("_id", id.get());
        for ((name, _), accumulator) in self.fields.iter().zip(accumulators) {
            accumulator.write(name, &mut writer)?;
        }
        buffer(writer)
    }
}

impl Groups {
    /// The place of the group of `id`, a new one if it is met for the first time.
    fn place(
        &mut self,
        id: Value<'_>,
        fields: &[(Box<str>, Accumulation)],
        arena: &Arena,
    ) -> Result<usize> {
        let key = Distinct(id.into());
        if let Some(place) = self.places.get(&key) {
            return Ok(*place);
        }
        let place = self.accumulators.len();
        let accumulators: Result<Vec<_>> =
            fields.iter().map(|(_, accumulation)| accumulation.start(id, arena)).collect();
        self.accumulators.push(accumulators?);
        self.bytes += key.0.bytes()
            + size_of::<(Distinct, usize)>()
            + fields.len() * size_of::<Accumulator>();
        self.places.insert(key, place);
        Ok(place)
    }
}

fn parse_id(id: Value<'_>, scope: &Scope<'_>) -> Result<Expression> {
    let Value::Document(fields) = id else {
        return Expression::parse(id, scope);
    };
    let is_operator = fields.first().is_some_and(|(name, _)| name.starts_with('$'));
    let included = fields.iter().find(|(_, value)| value.is_number() || value.as_bool().is_some());
    match included {
        Some((name, _)) if !is_operator => Err(Error::location(
            17390,
            format!(
                "'{name}' in the _id of $group must be an expression; fields are not included there"
            ),
        )),
        _ => Expression::parse(id, scope),
    }
}
