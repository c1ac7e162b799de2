//! `$bucket`: groups by the range that a value falls into.

use super::sort_by_count::begins_as_expression;
use crate::expression::Scope;
use crate::{Arena, Environment, Error, Expression, OwnedValue, Result, Value, order};

/// The options, as they are written.
#[derive(Default)]
struct Bucket<'v> {
    group_by: Option<Value<'v>>,
    boundaries: Option<Vec<OwnedValue>>,
    default: Option<OwnedValue>,
    output: Option<Value<'v>>,
}

/// `$group` by a `$switch` that tells the lower boundary, and `$sort` by that.
pub(super) fn stages(spec: Value<'_>, environment: &Environment) -> Result<Vec<OwnedValue>> {
    let Bucket { group_by, boundaries, default, output } = Bucket::parse(spec, environment)?;
    let (Some(group_by), Some(boundaries)) = (group_by, boundaries) else {
        return Err(Error::location(40198, "$bucket needs groupBy and boundaries"));
    };
    check_boundaries(&boundaries)?;
    if let (Some(default), [lowest, .., highest]) = (&default, &*boundaries)
        && order::compare(default.get(), lowest.get()).is_ge()
        && order::compare(default.get(), highest.get()).is_lt()
    {
        let message = "the default of $bucket must be less than the lowest boundary, or not less than the highest";
        return Err(Error::location(40199, message));
    }
    let arena = Arena::new();
    let mut branches = Vec::new();
    for pair in boundaries.windows(2) {
        let compare = |operator, boundary| {
            let operands = arena.array(&[group_by, literal(boundary, &arena)?])?;
            arena.document(&[(operator, operands)])
        };
        let both = arena.array(&[compare("$gte", &pair[0])?, compare("$lt", &pair[1])?])?;
        let case = arena.document(&[("$and", both)])?;
        branches.push(arena.document(&[("case", case), ("then", literal(&pair[0], &arena)?)])?);
    }
    let mut switch = vec![("branches", arena.array(&branches)?)];
    if let Some(default) = &default {
        switch.push(("default", literal(default, &arena)?));
    }
    let id = arena.document(&[("$switch", arena.document(&switch)?)])?;
    let mut group = vec![("_id", id)];
    match output {
        Some(Value::Document(output)) => group.extend(output.iter()),
        _ => group.push(("count", arena.document(&[("$sum", Value::Int32(1))])?)),
    }
    let sort = arena.document(&[("_id", Value::Int32(1))])?;
    Ok(vec![
        arena.document(&[("$group", arena.document(&group)?)])?.into(),
        arena.document(&[("$sort", sort)])?.into(),
    ])
}

impl<'v> Bucket<'v> {
    fn parse(spec: Value<'v>, environment: &Environment) -> Result<Self> {
        let Value::Document(spec) = spec else {
            let message = format!("$bucket takes an object, not {}", spec.type_name());
            return Err(Error::location(40201, message));
        };
        let mut bucket = Self::default();
        for (name, value) in spec {
            match name {
                "groupBy" => bucket.group_by = Some(check_group_by(value)?),
                "boundaries" => bucket.boundaries = Some(parse_boundaries(value, environment)?),
                "default" => {
                    let message = || format!("the default of $bucket must be constant: {value:?}");
                    let default = constant(value, environment)?;
                    bucket.default =
                        Some(default.ok_or_else(|| Error::location(40195, message()))?);
                }
                "output" if value.as_document().is_some() => bucket.output = Some(value),
                "output" => {
                    let message =
                        format!("the output of $bucket is an object, not {}", value.type_name());
                    return Err(Error::location(40196, message));
                }
                _ => {
                    let message = format!(
                        "$bucket has no option '{name}'; it takes groupBy, boundaries, default, output"
                    );
                    return Err(Error::location(40197, message));
                }
            }
        }
        Ok(bucket)
    }
}

fn literal<'a>(value: &'a OwnedValue, arena: &'a Arena) -> Result<Value<'a>> {
    arena.document(&[("$literal", value.get())])
}

fn check_group_by(value: Value<'_>) -> Result<Value<'_>> {
    match value {
        Value::String(text) if text.starts_with('$') => Ok(value),
        Value::Document(fields) if begins_as_expression(fields) => Ok(value),
        _ => {
            let message = format!(
                "groupBy of $bucket is a path that begins with '$', or an expression in an object, not {value:?}"
            );
            Err(Error::location(40202, message))
        }
    }
}

fn parse_boundaries(value: Value<'_>, environment: &Environment) -> Result<Vec<OwnedValue>> {
    let Value::Array(values) = value else {
        let message = format!("the boundaries of $bucket are an array, not {}", value.type_name());
        return Err(Error::location(40200, message));
    };
    let constants = values.iter().map(|value| {
        let message = || format!("the boundaries of $bucket must be constant, unlike {value:?}");
        constant(value, environment)?.ok_or_else(|| Error::location(40191, message()))
    });
    constants.collect()
}

fn constant(value: Value<'_>, environment: &Environment) -> Result<Option<OwnedValue>> {
    let expression = Expression::parse(value, &Scope::new(environment))?;
    Ok(expression.constant().map(OwnedValue::from))
}

fn check_boundaries(boundaries: &[OwnedValue]) -> Result<()> {
    if boundaries.len() < 2 {
        let message = format!("$bucket needs at least 2 boundaries, not {}", boundaries.len());
        return Err(Error::location(40192, message));
    }
    for pair in boundaries.windows(2) {
        let (lower, upper) = (pair[0].get(), pair[1].get());
        if order::rank(lower) != order::rank(upper) {
            let message = format!(
                "the boundaries of $bucket must have one type, not {} and {}",
                lower.type_name(),
                upper.type_name()
            );
            return Err(Error::location(40193, message));
        }
        if order::compare(lower, upper).is_ge() {
            let message = format!(
                "the boundaries of $bucket must rise: {lower:?} is not less than {upper:?}"
            );
            return Err(Error::location(40194, message));
        }
    }
    Ok(())
}
