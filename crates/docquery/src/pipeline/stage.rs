//! The stages of a pipeline, and how each is read.

use std::sync::Arc;

use super::count::Count;
use super::documents::LiteralDocuments;
use super::engine::Engine;
use super::group::Group;
use super::limit;
use super::lookup::Lookup;
use super::replace_root;
use super::sort::SortStage;
use super::unset;
use super::unwind::Unwind;
use crate::projection::Transformation;
use crate::{Document, Environment, Error, Expression, Filter, Result, Value};

/// A stage, parsed. A copy shares what was parsed.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    /// `$match`
    Match(Arc<Filter>),
    /// `$project`, `$unset`, `$set`, `$addFields`
    Transform(Arc<Transformation>),
    /// `$replaceRoot`, `$replaceWith`
    ReplaceRoot(Arc<Expression>),
    /// `$lookup`
    Lookup(Arc<Lookup>),
    /// `$unwind`
    Unwind(Arc<Unwind>),
    /// `$sort`
    Sort(Arc<SortStage>),
    /// `$limit`
    Limit(u64),
    /// `$skip`
    Skip(u64),
    /// `$group`
    Group(Arc<Group>),
    /// `$count`
    Count(Count),
    /// `$documents`
    Documents(Arc<LiteralDocuments>),
}

/// Where a stage stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'e> {
    pub(crate) environment: &'e Environment,
    /// How many `$lookup`s are around.
    pub(crate) depth: usize,
    /// How many stages of its pipeline stand before it.
    pub(crate) index: usize,
}

impl Stage {
    /// Checks what is found wrong with an item of a pipeline, in `depth` others, before any is parsed.
    pub(crate) fn check_shape(item: Value<'_>, depth: usize) -> Result<()> {
        match name_and_spec(item)? {
            ("$lookup", spec) => Lookup::check_shape(spec, depth),
            (name, _) if NAMES.contains(&name) => Ok(()),
            (name, _) => Err(unknown(name)),
        }
    }

    /// Reads one item of a pipeline.
    pub(crate) fn parse(item: Value<'_>, place: Place<'_>) -> Result<Self> {
        let (name, spec) = name_and_spec(item)?;
        let environment = place.environment;
        match name {
            "$match" => match_filter(spec, environment).map(|filter| Self::Match(Arc::new(filter))),
            "$project" => {
                let spec = object(name, spec, 15969)?;
                Transformation::project(spec, environment).map(Self::transform)
            }
            "$set" | "$addFields" => {
                let spec = object(name, spec, 40272)?;
                Transformation::set(spec, environment).map(Self::transform)
            }
            "$unset" => unset::parse(spec, environment).map(Self::transform),
            "$replaceRoot" => replace_root::parse(spec, environment).map(Self::replace_root),
            "$replaceWith" => replace_root::parse_with(spec, environment).map(Self::replace_root),
            "$lookup" => Lookup::parse(spec, place).map(|lookup| Self::Lookup(Arc::new(lookup))),
            "$unwind" => Unwind::parse(spec).map(|unwind| Self::Unwind(Arc::new(unwind))),
            "$sort" => SortStage::parse(spec).map(|sort| Self::Sort(Arc::new(sort))),
            "$limit" => limit::parse_limit(spec).map(Self::Limit),
            "$skip" => limit::parse_skip(spec).map(Self::Skip),
            "$group" => Group::parse(spec, environment).map(|group| Self::Group(Arc::new(group))),
            "$count" => Count::parse(spec).map(Self::Count),
            "$documents" => LiteralDocuments::parse(spec, place)
                .map(|documents| Self::Documents(Arc::new(documents))),
            _ => Err(unknown(name)),
        }
    }

    fn transform(transformation: Transformation) -> Self {
        Self::Transform(Arc::new(transformation))
    }

    fn replace_root(expression: Expression) -> Self {
        Self::ReplaceRoot(Arc::new(expression))
    }

    /// Its filter, if it does nothing but filter.
    pub(crate) fn filter(&self) -> Option<&Arc<Filter>> {
        if let Self::Match(filter) = self { Some(filter) } else { None }
    }

    /// Whether it makes at most one document of each, and looks at no other.
    pub(crate) fn is_streaming(&self) -> bool {
        match self {
            Self::Match(_) | Self::Transform(_) | Self::ReplaceRoot(_) | Self::Lookup(_) => true,
            Self::Unwind(_)
            | Self::Sort(_)
            | Self::Limit(_)
            | Self::Skip(_)
            | Self::Group(_)
            | Self::Count(_)
            | Self::Documents(_) => false,
        }
    }

    /// Tells it that the second engine runs it, and whether its documents go on to the first.
    pub(crate) fn run_on_slots(&mut self, is_last: bool) {
        match self {
            Self::Group(group) => Arc::make_mut(group).run_on(Engine::Slots, is_last),
            Self::Lookup(lookup) => Arc::make_mut(lookup).run_on(Engine::Slots),
            _ => {}
        }
    }

    /// Its name; of stages with several, that which says what it does.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Match(_) => "$match",
            Self::Transform(_) => "$project",
            Self::ReplaceRoot(_) => "$replaceRoot",
            Self::Lookup(_) => "$lookup",
            Self::Unwind(_) => "$unwind",
            Self::Sort(_) => "$sort",
            Self::Limit(_) => "$limit",
            Self::Skip(_) => "$skip",
            Self::Group(_) => "$group",
            Self::Count(_) => "$count",
            Self::Documents(_) => "$documents",
        }
    }

    /// Whether an update may be a pipeline with it.
    pub(crate) fn may_update(&self) -> bool {
        matches!(self, Self::Transform(_) | Self::ReplaceRoot(_))
    }
}

/// The stages that there are.
const NAMES: [&str; 15] = [
    "$addFields",
    "$count",
    "$documents",
    "$group",
    "$limit",
    "$lookup",
    "$match",
    "$project",
    "$replaceRoot",
    "$replaceWith",
    "$set",
    "$skip",
    "$sort",
    "$unset",
    "$unwind",
];

fn unknown(name: &str) -> Error {
    let message = format!("there is no stage '{name}'; there are {}", NAMES.join(", "));
    Error::location(40324, message)
}

fn name_and_spec(item: Value<'_>) -> Result<(&str, Value<'_>)> {
    let Value::Document(stage) = item else {
        let message = format!("each stage of a pipeline is an object, not {}", item.type_name());
        return Err(Error::type_mismatch(message));
    };
    match (stage.first(), stage.len()) {
        (Some(stage), 1) => Ok(stage),
        _ => Err(Error::location(
            40323,
            "a stage of a pipeline is an object with exactly one field, its name",
        )),
    }
}

/// The specification of a stage that must be an object; else an error with `code`.
pub(crate) fn object<'v>(name: &str, spec: Value<'v>, code: i32) -> Result<Document<'v>> {
    spec.as_document().ok_or_else(|| {
        Error::location(code, format!("{name} takes an object, not {}", spec.type_name()))
    })
}

fn match_filter(spec: Value<'_>, environment: &Environment) -> Result<Filter> {
    let filter = object("$match", spec, 15959)?;
    Filter::parse(&filter.to_raw(), environment)
}
