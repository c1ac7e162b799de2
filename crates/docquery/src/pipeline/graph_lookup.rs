//! `$graphLookup`: documents of another collection that are reached step by step.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::distinct::Distinct;
use super::lookup::{Join, check_namespace, in_arena, values_at};
use super::stage::{Place, object};
use super::steps::Steps;
use super::{Database, database::MEMORY_BYTES_MAX};
use crate::expression::{Context, Scope};
use crate::number::Number;
use crate::path::Path;
use crate::{
    Arena, Document, Environment, Error, ErrorCode, Expression, Filter, OwnedValue, Result, Value,
    nested,
};
use bson::RawDocumentBuf;

/// `$graphLookup`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct GraphLookup {
    from: Box<str>,
    into: Path,
    start: Expression,
    connect_from: Path,
    connect_to: Join,
    depth_max: Option<i64>,
    depth_field: Option<Path>,
    restriction: Option<Filter>,
}

/// The options, as they are written.
#[derive(Default)]
struct Options<'v> {
    from: Option<&'v str>,
    into: Option<Path>,
    start: Option<Expression>,
    connect_from: Option<Path>,
    connect_to: Option<&'v str>,
    depth_max: Option<i64>,
    depth_field: Option<Path>,
    restriction: Option<Filter>,
}

/// What was reached, and what is to be looked for.
#[derive(Default)]
struct Search {
    found: Vec<RawDocumentBuf>,
    /// The `_id`s of what was found.
    visited: BTreeSet<Distinct>,
    /// The values that were looked for.
    asked: BTreeSet<Distinct>,
    frontier: Vec<OwnedValue>,
    bytes: usize,
}

impl GraphLookup {
    /// Checks what is found wrong with it before any stage of the pipeline is parsed.
    pub(crate) fn check_shape(spec: Value<'_>) -> Result<()> {
        let spec = object("$graphLookup", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        match spec.get("from") {
            Value::Missing => Err(Error::failed_to_parse("$graphLookup needs the option 'from'")),
            from => check_namespace("$graphLookup", from),
        }
    }

    pub(crate) fn parse(spec: Value<'_>, place: Place<'_>) -> Result<Self> {
        let spec = object("$graphLookup", spec, ErrorCode::FAILED_TO_PARSE.value())?;
        let options = Options::parse(spec, place.environment)?;
        let Options { depth_max, depth_field, restriction, .. } = options;
        let (Some(from), Some(into), Some(start), Some(connect_from), Some(connect_to)) =
            (options.from, options.into, options.start, options.connect_from, options.connect_to)
        else {
            let message =
                "$graphLookup needs from, as, startWith, connectFromField and connectToField";
            return Err(Error::location(40105, message));
        };
        let (from, connect_to) = (from.into(), Join::to(connect_to)?);
        Ok(Self {
            from,
            into,
            start,
            connect_from,
            connect_to,
            depth_max,
            depth_field,
            restriction,
        })
    }

    /// `document` with what is reached from it.
    pub(crate) fn apply<'a>(
        &'a self,
        document: Document<'a>,
        database: &Arc<dyn Database>,
        steps: &Steps,
        arena: &'a Arena,
    ) -> Result<Document<'a>> {
        let mut search = Search::default();
        match self.start.evaluate(Context::new(arena, Value::Document(document)))? {
            Value::Array(values) => values.iter().for_each(|value| search.look_for(value)),
            value => search.look_for(value),
        }
        let mut depth = 0;
        while !search.frontier.is_empty() && self.depth_max.is_none_or(|max| depth <= max) {
            let frontier = std::mem::take(&mut search.frontier);
            let values: Vec<_> = frontier.iter().map(OwnedValue::get).collect();
            let filter = self.connect_to.filter_of(&values)?;
            let mut reached = database.documents(&self.from, Some(&Arc::new(filter)))?;
            reached.for_each(&mut |reached| {
                steps.take(1, &**database)?;
                self.reach(reached, depth, &mut search)
            })?;
            depth += 1;
        }
        let found = in_arena(&search.found, arena)?;
        nested::set(document, &self.into, self.into.len(), found, arena)
    }

    /// Takes up a document that was reached.
    fn reach(&self, document: Document<'_>, depth: i64, search: &mut Search) -> Result<()> {
        if let Some(restriction) = &self.restriction
            && restriction.find(document)?.is_none()
        {
            return Ok(());
        }
        if !search.visited.insert(Distinct(document.get("_id").into())) {
            return Ok(());
        }
        let arena = Arena::new();
        let shown = match &self.depth_field {
            Some(path) => nested::set(document, path, path.len(), Value::Int64(depth), &arena)?,
            None => document,
        };
        let shown = shown.to_raw();
        search.bytes += shown.as_bytes().len() + ENTRY_BYTES;
        search.found.push(shown);
        for value in values_at(document, &self.connect_from) {
            search.look_for(value);
        }
        if search.bytes > MEMORY_BYTES_MAX {
            let message =
                format!("$graphLookup takes more than {MEMORY_BYTES_MAX} bytes of memory");
            return Err(Error::location(40099, message));
        }
        Ok(())
    }
}

impl Search {
    fn look_for(&mut self, value: Value<'_>) {
        let value = OwnedValue::from(value);
        if !value.get().is_missing() && self.asked.insert(Distinct(value.clone())) {
            self.bytes += 2 * value.bytes() + ENTRY_BYTES;
            self.frontier.push(value);
        }
    }
}

impl<'v> Options<'v> {
    fn parse(spec: Document<'v>, environment: &Environment) -> Result<Self> {
        let mut options = Self::default();
        for (name, value) in spec {
            match name {
                "startWith" => {
                    options.start = Some(Expression::parse(value, &Scope::new(environment))?);
                }
                "maxDepth" => options.depth_max = Some(parse_depth(value)?),
                "restrictSearchWithMatch" => {
                    let filter = object("restrictSearchWithMatch of $graphLookup", value, 40185)?;
                    options.restriction = Some(Filter::parse(&filter.to_raw(), environment)?);
                }
                "from" | "as" | "connectFromField" | "connectToField" | "depthField" => {
                    let text = value.as_str().ok_or_else(|| {
                        let message = format!(
                            "'{name}' of $graphLookup is a string, not {}",
                            value.type_name()
                        );
                        Error::location(40103, message)
                    })?;
                    match name {
                        "from" => options.from = Some(text),
                        "as" => options.into = Some(Path::field(text)?),
                        "connectFromField" => options.connect_from = Some(Path::field(text)?),
                        "connectToField" => {
                            Path::field(text)?;
                            options.connect_to = Some(text);
                        }
                        _ => options.depth_field = Some(Path::field(text)?),
                    }
                }
                _ => {
                    let message = format!("$graphLookup has no option '{name}'");
                    return Err(Error::location(40104, message));
                }
            }
        }
        Ok(options)
    }
}

fn parse_depth(value: Value<'_>) -> Result<i64> {
    let number = Number::of(value).ok_or_else(|| {
        let message = format!("maxDepth of $graphLookup is a number, not {}", value.type_name());
        Error::location(40100, message)
    })?;
    if number.to_double() < 0.0 {
        let message = format!("maxDepth of $graphLookup must not be negative: {value:?}");
        return Err(Error::location(40101, message));
    }
    number.as_exact_i64().ok_or_else(|| {
        Error::location(40102, format!("maxDepth of $graphLookup is a whole number, not {value:?}"))
    })
}

/// What a document or a value takes besides its bytes.
const ENTRY_BYTES: usize = 96;
