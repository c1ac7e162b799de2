//! The stages of a pipeline, and how each is read.

use std::sync::Arc;

use super::bucket_auto::BucketAuto;
use super::count::Count;
use super::densify::Densify;
use super::desugar::desugar;
use super::documents::LiteralDocuments;
use super::engine::Engine;
use super::facet::Facet;
use super::graph_lookup::GraphLookup;
use super::group::Group;
use super::lookup::Lookup;
use super::output::{Merge, Output};
use super::redact::Redact;
use super::sample::Sample;
use super::sort::SortStage;
use super::statistics::Statistics;
use super::union_with::UnionWith;
use super::unwind::Unwind;
use super::windows::Windows;
use super::{Pipeline, limit, replace_root, unavailable, unset};
use crate::projection::Transformation;
use crate::{
    Document, Environment, Error, ErrorCode, Expression, Filter, OwnedValue, Result, Value,
};

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
    /// `$bucketAuto`
    BucketAuto(Arc<BucketAuto>),
    /// `$facet`
    Facet(Arc<Facet>),
    /// `$unionWith`
    Union(Arc<UnionWith>),
    /// `$graphLookup`
    GraphLookup(Arc<GraphLookup>),
    /// `$redact`
    Redact(Arc<Redact>),
    /// `$sample`
    Sample(Sample),
    /// `$collStats`, `$indexStats`: the source brings them.
    Statistics(Statistics),
    /// `$setWindowFields`
    Windows(Arc<Windows>),
    /// `$densify`
    Densify(Arc<Densify>),
    /// `$out`, `$merge`: whoever runs the pipeline writes.
    Output(Arc<Output>),
}

/// Where a pipeline stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'e> {
    pub(crate) environment: &'e Environment,
    /// How many others it is in.
    pub(crate) depth: usize,
    pub(crate) within: Within,
}

/// What kind of stage a pipeline is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// None: it is a command's.
    Command,
    /// `$lookup`
    Lookup,
    /// `$unionWith`
    Union,
    /// `$facet`
    Facet,
}

impl<'e> Place<'e> {
    /// The place of a pipeline of a command.
    pub(crate) fn outermost(environment: &'e Environment) -> Self {
        Self { environment, depth: 0, within: Within::Command }
    }

    /// The place of a pipeline in a stage that stands here.
    pub(crate) fn inside(self, within: Within) -> Result<Self> {
        check_depth(self.depth)?;
        Ok(Self { depth: self.depth + 1, within, ..self })
    }
}

impl Stage {
    /// Checks what is found wrong with an item of a pipeline, in `depth` others, before any is parsed.
    pub(crate) fn check_shape(item: Value<'_>, depth: usize) -> Result<()> {
        match name_and_spec(item)? {
            ("$lookup", spec) => Lookup::check_shape(spec, depth),
            ("$graphLookup", spec) => GraphLookup::check_shape(spec),
            ("$unionWith", spec) => UnionWith::check_shape(spec, depth),
            ("$facet", spec) => Facet::check_shape(spec, depth),
            (name, _) if NAMES.contains(&name) || unavailable::error(name).is_some() => Ok(()),
            (name, _) => Err(unknown(name)),
        }
    }

    /// Reads one item of a pipeline, which may stand for several stages. Gives each with what it is written like.
    pub(crate) fn parse_item(
        item: Value<'_>,
        place: Place<'_>,
        parsed: &mut Vec<(OwnedValue, Self)>,
    ) -> Result<()> {
        let (name, spec) = name_and_spec(item)?;
        unavailable::check_place(name, place.within, parsed.len())?;
        match desugar(name, spec, place.environment)? {
            None => parsed.push((item.into(), Self::parse(name, spec, place)?)),
            Some(stages) => {
                for stage in stages {
                    Self::parse_item(stage.get(), place, parsed)?;
                }
            }
        }
        Ok(())
    }

    fn parse(name: &str, spec: Value<'_>, place: Place<'_>) -> Result<Self> {
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
            "$documents" => LiteralDocuments::parse(spec, environment)
                .map(|documents| Self::Documents(Arc::new(documents))),
            "$bucketAuto" => BucketAuto::parse(spec, environment)
                .map(|bucket| Self::BucketAuto(Arc::new(bucket))),
            "$facet" => Facet::parse(spec, place).map(|facet| Self::Facet(Arc::new(facet))),
            "$unionWith" => UnionWith::parse(spec, place).map(|union| Self::Union(Arc::new(union))),
            "$graphLookup" => {
                GraphLookup::parse(spec, place).map(|lookup| Self::GraphLookup(Arc::new(lookup)))
            }
            "$redact" => {
                Redact::parse(spec, environment).map(|redact| Self::Redact(Arc::new(redact)))
            }
            "$sample" => Sample::parse(spec, environment).map(Self::Sample),
            "$collStats" => Statistics::parse_collection(spec).map(Self::Statistics),
            "$indexStats" => Statistics::parse_indexes(spec).map(Self::Statistics),
            "$setWindowFields" => {
                Windows::parse(spec, environment).map(|windows| Self::Windows(Arc::new(windows)))
            }
            "$densify" => Densify::parse(spec).map(|densify| Self::Densify(Arc::new(densify))),
            "$out" => Output::parse_out(spec).map(|output| Self::Output(Arc::new(output))),
            "$merge" => {
                let merge = Merge::parse(spec, environment)?;
                Ok(Self::Output(Arc::new(Output::Merge(Box::new(merge)))))
            }
            _ => Err(unavailable::error(name).unwrap_or_else(|| unknown(name))),
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
            Self::Match(_)
            | Self::Transform(_)
            | Self::ReplaceRoot(_)
            | Self::Lookup(_)
            | Self::GraphLookup(_)
            | Self::Redact(_) => true,
            Self::Unwind(_)
            | Self::Sort(_)
            | Self::Limit(_)
            | Self::Skip(_)
            | Self::Group(_)
            | Self::Count(_)
            | Self::Documents(_)
            | Self::BucketAuto(_)
            | Self::Facet(_)
            | Self::Union(_)
            | Self::Sample(_)
            | Self::Statistics(_)
            | Self::Windows(_)
            | Self::Densify(_)
            | Self::Output(_) => false,
        }
    }

    /// Whether it brings documents of other collections into each.
    pub(crate) fn looks_up(&self) -> bool {
        matches!(self, Self::Lookup(_) | Self::GraphLookup(_))
    }

    /// Whether it brings the first documents of its pipeline.
    pub(crate) fn begins(&self) -> bool {
        matches!(self, Self::Documents(_) | Self::Statistics(_))
    }

    /// Whether it may stand in a `$facet`.
    pub(crate) fn fits_facet(&self) -> bool {
        let fits = |pipeline: &Pipeline| pipeline.stages.iter().all(Self::fits_facet);
        match self {
            Self::Facet(_) => false,
            Self::Lookup(lookup) => lookup.pipeline().is_none_or(fits),
            Self::Union(union) => fits(union.pipeline()),
            stage => !stage.begins() && !matches!(stage, Self::Output(_)),
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
            Self::BucketAuto(_) => "$bucketAuto",
            Self::Facet(_) => "$facet",
            Self::Union(_) => "$unionWith",
            Self::GraphLookup(_) => "$graphLookup",
            Self::Redact(_) => "$redact",
            Self::Sample(_) => "$sample",
            Self::Statistics(Statistics::Collection { .. }) => "$collStats",
            Self::Statistics(Statistics::Indexes) => "$indexStats",
            Self::Windows(_) => "$setWindowFields",
            Self::Densify(_) => "$densify",
            Self::Output(output) => match **output {
                Output::Replace(_) => "$out",
                Output::Merge(_) => "$merge",
            },
        }
    }

    /// Whether an update may be a pipeline with it.
    pub(crate) fn may_update(&self) -> bool {
        matches!(self, Self::Transform(_) | Self::ReplaceRoot(_))
    }
}

/// The stages that there are.
const NAMES: [&str; 30] = [
    "$addFields",
    "$bucket",
    "$bucketAuto",
    "$collStats",
    "$count",
    "$densify",
    "$documents",
    "$facet",
    "$fill",
    "$graphLookup",
    "$group",
    "$indexStats",
    "$limit",
    "$lookup",
    "$match",
    "$merge",
    "$out",
    "$project",
    "$redact",
    "$replaceRoot",
    "$replaceWith",
    "$sample",
    "$set",
    "$setWindowFields",
    "$skip",
    "$sort",
    "$sortByCount",
    "$unionWith",
    "$unset",
    "$unwind",
];

fn unknown(name: &str) -> Error {
    let message = format!("there is no stage '{name}'; there are {}", NAMES.join(", "));
    Error::location(40324, message)
}

/// Checks that a stage in `depth` others may have a pipeline.
pub(crate) fn check_depth(depth: usize) -> Result<()> {
    if depth < DEPTH_MAX {
        return Ok(());
    }
    let message = format!("pipelines are nested deeper than {DEPTH_MAX} levels");
    Err(Error::new(ErrorCode::MAX_SUB_PIPELINE_DEPTH_EXCEEDED, message))
}

/// How many pipelines may stand in each other.
const DEPTH_MAX: usize = 20;

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
