//! `$group`: one document for all documents with the same `_id`.

mod grouped;
mod table;

use std::sync::Arc;

use bson::{RawDocument, RawDocumentBuf};

use super::accumulator::{Accumulation, Accumulator};
use super::engine::{Engine, leave_slots};
use super::stage::object;
use super::{Database, Documents, buffer};
use crate::expression::Scope;
use crate::{Arena, Document, Environment, Error, Expression, OwnedValue, Result, Value, Writer};
use grouped::Grouped;
use table::Table;

/// `$group`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    id: Expression,
    fields: Vec<(Box<str>, Accumulation)>,
    /// Whether the `_id` is an object with an expression for each field.
    id_is_built: bool,
    /// The name of that field, if there is only one.
    only_field: Option<Box<str>>,
    engine: Engine,
    /// Whether its documents go from the second engine to the first.
    leaves_slots: bool,
}

impl Group {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let spec = object("$group", spec, 15947)?;
        let scope = Scope::new(environment);
        let (mut id, mut id_is_built, mut only_field) = (None, false, None);
        let mut fields: Vec<(Box<str>, Accumulation)> = Vec::new();
        for (name, value) in spec {
            if name != "_id" {
                let accumulation = Accumulation::parse(name, value, environment)?;
                fields.push((name.into(), accumulation));
                continue;
            }
            if id.replace(parse_id(value, &scope)?).is_some() {
                return Err(Error::location(15948, "$group has more than one _id"));
            }
            let first = value.as_document().and_then(Document::first);
            id_is_built = first.is_some_and(|(name, _)| !name.starts_with('$'));
            let is_only = id_is_built && value.as_document().is_some_and(|id| id.len() == 1);
            only_field = first.filter(|_| is_only).map(|(name, _)| name.into());
        }
        let id = id.ok_or_else(|| Error::location(15955, "$group needs an _id"))?;
        let engine = Engine::default();
        Ok(Self { id, fields, id_is_built, only_field, engine, leaves_slots: false })
    }

    /// Whether the second engine would run it.
    pub(crate) fn fits_slots(&self) -> bool {
        self.fields.iter().all(|(_, accumulation)| accumulation.fits_slots())
    }

    /// Tells what engine runs it, and whether another runs the stage behind it.
    pub(crate) fn run_on(&mut self, engine: Engine, is_last: bool) {
        self.engine = engine;
        self.leaves_slots = engine == Engine::Slots && is_last;
    }

    /// The documents of the groups.
    pub(crate) fn run(
        self: Arc<Self>,
        mut input: Documents,
        database: Arc<dyn Database>,
    ) -> Result<Documents> {
        let mut table = Table::new(&self, &*database);
        input.for_each(&mut |document| table.add(document))?;
        let (met, parts) = table.finish()?;
        Ok(Box::new(Grouped::new(self, database, met, parts)))
    }

    /// The document of a group.
    fn document(&self, id: &OwnedValue, accumulators: &[Accumulator]) -> Result<RawDocumentBuf> {
        let mut writer = Writer::new();
        writer.field("_id", id.get());
        for ((name, _), accumulator) in self.fields.iter().zip(accumulators) {
            accumulator.write(name, &mut writer)?;
        }
        let document = buffer(writer)?;
        if self.leaves_slots { self.outside_slots(&document) } else { Ok(document) }
    }

    /// A document as it comes out of the second engine.
    fn outside_slots(&self, document: &RawDocument) -> Result<RawDocumentBuf> {
        let arena = Arena::new();
        let fields = self.fields.iter().map(|(_, accumulation)| accumulation.builds());
        let built = [self.id_is_built].into_iter().chain(fields);
        let fields: Result<Vec<_>> = Document::from(document)
            .iter()
            .zip(built)
            .map(|((name, value), built)| Ok((name, leave_slots(value, built, &arena)?)))
            .collect();
        Ok(arena.fields(&fields?)?.to_raw())
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

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use super::super::testing::{check, check_error};

    #[test]
    fn equal_ids_are_one_group_in_the_order_in_which_they_were_met() {
        check(
            bson!([{"$group": {"_id": "$k", "n": {"$sum": 1}}}]),
            bson!([{"k": "b"}, {"k": 1}, {"k": 1.0}, {"k": "b"}, {"k": null}, {}]),
            bson!([{"_id": "b", "n": 2}, {"_id": 1, "n": 2}, {"_id": null, "n": 2}]),
        );
        check(
            bson!([{"$group": {"_id": {"x": "$a", "y": "$b"}}}]),
            bson!([{"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2}]),
            bson!([{"_id": {"x": 1, "y": 2}}, {"_id": {"x": 1}}]),
        );
        check(
            bson!([{"$group": {"_id": {"x": "$a"}}}]),
            bson!([{}, {"a": null}, {"a": {}}]),
            bson!([{"_id": {"x": null}}, {"_id": {"x": {}}}]),
        );
        check(bson!([{"$group": {"_id": "$a"}}]), bson!([{"a": {}}]), bson!([{"_id": {}}]));
    }

    #[test]
    fn what_is_no_group_is_refused() {
        check_error(bson!([{"$group": 1}]), bson!([]), 15947);
        check_error(bson!([{"$group": {}}]), bson!([]), 15955);
        check_error(bson!([{"$group": {"_id": {"a": 1}}}]), bson!([]), 17390);
        check_error(bson!([{"$group": {"_id": null, "a": 1}}]), bson!([]), 40234);
        check_error(bson!([{"$group": {"_id": null, "a": {"$no": 1}}}]), bson!([]), 15952);
        check_error(bson!([{"$group": {"_id": null, "a": {"$sum": [1, 2]}}}]), bson!([]), 40237);
        check_error(bson!([{"$group": {"_id": null, "a.b": {"$sum": 1}}}]), bson!([]), 40235);
    }

    #[test]
    fn the_second_engine_gives_its_own_errors_and_values() {
        let stage = bson!({"$group": {"_id": null, "r": {"$mergeObjects": "$v"}}});
        check_error(bson!([stage.clone()]), bson!([{"v": 1}]), 5_911_200);
        check_error(bson!([{"$set": {"w": 1}}, stage]), bson!([{"v": 1}]), 40400);
        let stage = bson!({"$group": {"_id": null, "r": {"$last": "$v"}}});
        let document = bson!([{"v": Bson::MaxKey}]);
        check(bson!([stage.clone()]), document.clone(), bson!([{"_id": null, "r": Bson::MaxKey}]));
        check(
            bson!([stage, {"$project": {"_id": 0}}]),
            document,
            bson!([{"r": {"": Bson::MaxKey}}]),
        );
    }
}
