//! Which of the server's two engines a pipeline would run on.
//!
//! MongoDB 6.0 has a second engine for pipelines that begin with `$group`s and plain `$lookup`s, behind what a `find` does: filters, an
//! order, a limit, a projection. It gives errors codes of its own, and a few values and places of fields differ in
//! what it gives. Programs see that, so it is done here as well.

use bson::RawDocumentBuf;

use super::stage::Stage;
use super::{Documents, Source, Visit};
use crate::expression::division_by_zero;
use crate::path::array_index;
use crate::{Arena, Document, Error, OwnedValue, Result, Value};

/// An engine of the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Engine {
    /// The one that runs every stage.
    #[default]
    Classic,
    /// The one that runs on slots of values.
    Slots,
}

/// How many of the first `stages`, which are `written` so, run on slots.
pub(crate) fn stages_on_slots(written: &[OwnedValue], stages: &[Stage]) -> usize {
    let mut first = 0;
    for (part, many) in FIND {
        while stages.get(first).is_some_and(part) {
            first += 1;
            if !many {
                break;
            }
        }
    }
    let mut end = first;
    while stages.get(end).is_some_and(|stage| runs_on_slots(stage, stages.get(end + 1))) {
        end += 1;
    }
    let mut written_first = written.iter().take(first);
    let paths_fit = !written_first.any(|spec| names_places(spec.get(), SPEC_DEPTH_MAX));
    let operators_fit = !written.iter().any(|spec| is_classic_stage(spec.get()));
    if end > first && paths_fit && operators_fit { end } else { 0 }
}

/// What a `find` does, in the order in which it does so: which stages do it, and whether there may be several.
const FIND: [(IsStage, bool); 4] = [
    (|stage| matches!(stage, Stage::Match(_)), true),
    (|stage| matches!(stage, Stage::Sort(_)), false),
    (|stage| matches!(stage, Stage::Skip(_) | Stage::Limit(_)), true),
    (
        |stage| matches!(stage, Stage::Transform(transformation) if transformation.is_inclusion()),
        false,
    ),
];

type IsStage = fn(&Stage) -> bool;

/// `documents`, whose errors are those of the second engine.
pub(crate) fn on_slots(documents: Documents) -> Documents {
    Box::new(OnSlots(documents))
}

#[derive(Debug)]
struct OnSlots(Documents);

impl Source for OnSlots {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        self.0.next().map_err(error_on_slots)
    }

    fn for_each(&mut self, visit: &mut Visit<'_>) -> Result<()> {
        // The errors of those behind are their own.
        let mut is_behind = false;
        let shown = self.0.for_each(&mut |document| {
            let visited = visit(document);
            is_behind = visited.is_err();
            visited
        });
        if is_behind { shown } else { shown.map_err(error_on_slots) }
    }
}

/// The error that the second engine gives where the first gives `error`.
pub(crate) fn error_on_slots(error: Error) -> Error {
    let code = match error.code().value() {
        16610 => 4_848_403,
        40066 => 4_934_200,
        40400 => 5_911_200,
        _ if error == division_by_zero() => 4_848_401,
        _ => return error,
    };
    Error::location(code, error.message())
}

/// The value that comes out of the second engine into the first: some types change on the way. What the engine has `built` itself
/// changes inside as well, what it has only carried does not.
pub(crate) fn leave_slots<'a>(
    value: Value<'a>,
    built: bool,
    arena: &'a Arena,
) -> Result<Value<'a>> {
    let leave = |value| match value {
        Value::MinKey => Value::Document(Document::of_bytes(MIN_KEY_FIELD)),
        Value::MaxKey => Value::Document(Document::of_bytes(MAX_KEY_FIELD)),
        Value::JavaScript(code) => Value::String(code),
        value => value,
    };
    match value {
        Value::Array(items) if built => arena.array(&items.iter().map(leave).collect::<Vec<_>>()),
        Value::Document(fields) if built => {
            let fields = fields.iter().map(|(name, value)| (name, leave(value)));
            arena.document(&fields.collect::<Vec<_>>())
        }
        value => Ok(leave(value)),
    }
}

/// `{"": MinKey}`
const MIN_KEY_FIELD: &[u8] = &[7, 0, 0, 0, 0xFF, 0, 0];

/// `{"": MaxKey}`
const MAX_KEY_FIELD: &[u8] = &[7, 0, 0, 0, 0x7F, 0, 0];

fn runs_on_slots(stage: &Stage, next: Option<&Stage>) -> bool {
    match (stage, next) {
        (Stage::Group(group), _) => group.fits_slots(),
        // The first engine takes up an $unwind of what was found.
        (Stage::Lookup(lookup), Some(Stage::Unwind(unwind))) => {
            lookup.fits_slots() && !unwind.is_of(lookup.target())
        }
        (Stage::Lookup(lookup), _) => lookup.fits_slots(),
        _ => false,
    }
}

/// Whether a path in the specification of a filter or an order has a number as a part.
fn names_places(spec: Value<'_>, depth: usize) -> bool {
    any_field(spec, depth, |name, value, depth| {
        name.split('.').any(|part| array_index(part).is_some()) || names_places(value, depth)
    })
}

/// Whether a stage has an operator that only the first engine knows.
fn is_classic_stage(stage: Value<'_>) -> bool {
    let Some((name, spec)) = stage.as_document().and_then(Document::first) else {
        return true;
    };
    match (name, spec) {
        ("$match", spec) => has_classic_expression(spec, SPEC_DEPTH_MAX),
        ("$group", Value::Document(fields)) => fields.iter().any(|(name, value)| match value {
            // The accumulator itself is no expression.
            Value::Document(accumulator) if name != "_id" => {
                accumulator.iter().any(|(_, argument)| is_classic(argument, SPEC_DEPTH_MAX))
            }
            value => is_classic(value, SPEC_DEPTH_MAX),
        }),
        ("$lookup", _) => false,
        (_, spec) => is_classic(spec, SPEC_DEPTH_MAX),
    }
}

/// Whether a `$expr` in a filter has an operator that only the first engine knows.
fn has_classic_expression(filter: Value<'_>, depth: usize) -> bool {
    any_field(filter, depth, |name, value, depth| match name {
        "$expr" => is_classic(value, depth),
        "$where" => true,
        _ => has_classic_expression(value, depth),
    })
}

/// Whether an expression has an operator that only the first engine knows.
fn is_classic(expression: Value<'_>, depth: usize) -> bool {
    any_field(expression, depth, |name, value, depth| {
        CLASSIC_OPERATORS.contains(&name) || is_classic(value, depth)
    })
}

/// Whether `holds` says so of a field of a document, or of one in an array. What is nested too deeply is taken to hold.
fn any_field(
    value: Value<'_>,
    depth: usize,
    holds: impl Fn(&str, Value<'_>, usize) -> bool + Copy,
) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return true;
    };
    match value {
        Value::Document(fields) => fields.iter().any(|(name, value)| holds(name, value, depth)),
        Value::Array(items) => items.iter().any(|item| match item {
            Value::Document(_) | Value::Array(_) => any_field(item, depth, holds),
            _ => false,
        }),
        _ => false,
    }
}

/// How deep specifications are looked into. What is nested deeper is no expression.
const SPEC_DEPTH_MAX: usize = 200;

/// The operators of expressions that the second engine of 6.0 does not have.
const CLASSIC_OPERATORS: [&str; 71] = [
    "$arrayElemAt",
    "$arrayToObject",
    "$avg",
    "$binarySize",
    "$bsonSize",
    "$convert",
    "$dateFromString",
    "$dateToString",
    "$first",
    "$firstN",
    "$getField",
    "$hour",
    "$indexOfArray",
    "$isNumber",
    "$isoDayOfWeek",
    "$isoWeek",
    "$isoWeekYear",
    "$last",
    "$lastN",
    "$log",
    "$ltrim",
    "$map",
    "$max",
    "$maxN",
    "$mergeObjects",
    "$millisecond",
    "$min",
    "$minN",
    "$minute",
    "$month",
    "$objectToArray",
    "$pow",
    "$rand",
    "$range",
    "$reduce",
    "$replaceAll",
    "$replaceOne",
    "$round",
    "$rtrim",
    "$second",
    "$setField",
    "$setIsSubset",
    "$size",
    "$slice",
    "$sortArray",
    "$stdDevPop",
    "$stdDevSamp",
    "$strLenBytes",
    "$strLenCP",
    "$strcasecmp",
    "$substr",
    "$substrBytes",
    "$substrCP",
    "$sum",
    "$toBool",
    "$toDate",
    "$toDecimal",
    "$toDouble",
    "$toInt",
    "$toLong",
    "$toObjectId",
    "$toString",
    "$trim",
    "$trunc",
    "$tsIncrement",
    "$tsSecond",
    "$unsetField",
    "$week",
    "$where",
    "$year",
    "$zip",
];
