//! Accumulators: what `$group` makes of the documents of a group.

mod best;
mod few;

use std::collections::BTreeMap;

use best::{Best, Side};
use few::{End, Few};

use super::database::MEMORY_BYTES_MAX;
use super::distinct::Distinct;
use super::engine::Engine;
use crate::expression::summation::{Deviation, Mean, Total};
use crate::expression::{Context, Scope};
use crate::number::Number;
use crate::{
    Arena, Decimal, Document, Environment, Error, ErrorCode, Expression, OwnedValue, Result, Sort,
    Value, Writer, order,
};

/// An accumulator as the stage writes it: what it is, and what it takes of each document.
#[derive(Clone, Debug)]
pub(crate) enum Accumulation {
    /// One that takes the value of one expression.
    Simple(Simple, Expression),
    /// `$count`
    Count,
    /// `$firstN`, `$lastN`, `$minN`, `$maxN`
    Few { end: End, n: Expression, input: Expression },
    /// `$top`, `$bottom`, `$topN`, `$bottomN`; without `n` it gives the one value itself.
    Best { side: Side, n: Option<Expression>, sort: Box<Sort>, output: Expression },
}

/// An accumulator of the values of one expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Simple {
    Sum,
    Avg,
    First,
    Last,
    Min,
    Max,
    Push,
    AddToSet,
    MergeObjects,
    StdDevPop,
    StdDevSamp,
}

/// What was accumulated so far, for one group.
#[derive(Debug)]
pub(crate) enum Accumulator {
    /// `$sum`, `$count`
    Total(Total),
    Mean(Mean),
    /// `$avg` of the second engine: a total, exact as that of `$sum`, and of how many numbers.
    Share(Total, i64),
    DeviationPop(Deviation),
    DeviationSamp(Deviation),
    /// `$first`, `$last`, `$min`, `$max`: the value that counts so far.
    One(Option<OwnedValue>),
    Push(Vec<OwnedValue>, usize),
    /// The values, by value and by the order in which they came.
    Set(BTreeMap<Distinct, usize>, usize),
    /// The fields, and where each stands among them.
    Merged(Vec<(Box<str>, OwnedValue)>, BTreeMap<Box<str>, usize>),
    Few(Few),
    Best(Best),
}

impl Accumulation {
    /// Reads `{$accumulator: ...}`, which computes the field `field`.
    pub(crate) fn parse(field: &str, spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let fields = spec.as_document();
        let first = fields.and_then(|fields| fields.first().zip(Some(fields.len())));
        let Some(((name, argument), count)) = first.filter(|((name, _), _)| name.starts_with('$'))
        else {
            let message = format!("'{field}' of $group must be an accumulator, as in {{$sum: 1}}");
            return Err(Error::location(40234, message));
        };
        if field.contains('.') {
            let message = format!("the field '{field}' of $group must not contain '.'");
            return Err(Error::location(40235, message));
        }
        if field.starts_with('$') {
            let message = format!("the field '{field}' of $group must not begin with '$'");
            return Err(Error::location(40236, message));
        }
        if count != 1 {
            let message = format!("'{field}' of $group must be one accumulator, not {count}");
            return Err(Error::location(40238, message));
        }
        if matches!(argument, Value::Array(_)) {
            let message =
                format!("the accumulator {name} takes one argument, not an array of them");
            return Err(Error::location(40237, message));
        }
        let scope = Scope::new(environment);
        let simple = match name {
            "$sum" => Simple::Sum,
            "$avg" => Simple::Avg,
            "$first" => Simple::First,
            "$last" => Simple::Last,
            "$min" => Simple::Min,
            "$max" => Simple::Max,
            "$push" => Simple::Push,
            "$addToSet" => Simple::AddToSet,
            "$mergeObjects" => Simple::MergeObjects,
            "$stdDevPop" => Simple::StdDevPop,
            "$stdDevSamp" => Simple::StdDevSamp,
            "$count" => return parse_count(argument),
            "$firstN" => return few::parse(End::First, name, argument, &scope),
            "$lastN" => return few::parse(End::Last, name, argument, &scope),
            "$minN" => return few::parse(End::Min, name, argument, &scope),
            "$maxN" => return few::parse(End::Max, name, argument, &scope),
            "$top" | "$topN" => return best::parse(Side::Top, name, argument, &scope),
            "$bottom" | "$bottomN" => return best::parse(Side::Bottom, name, argument, &scope),
            _ => {
                let message = format!("'{field}': there is no accumulator '{name}'");
                return Err(Error::location(15952, message));
            }
        };
        Ok(Self::Simple(simple, Expression::parse(argument, &scope)?))
    }

    /// Whether the second engine has it.
    pub(crate) fn fits_slots(&self) -> bool {
        matches!(self, Self::Simple(..) | Self::Count)
    }

    /// Whether it builds an array or a document of the values that it takes.
    pub(crate) fn builds(&self) -> bool {
        matches!(self, Self::Simple(Simple::Push | Simple::AddToSet | Simple::MergeObjects, _))
    }

    /// The accumulator of a new group. How many values it takes may depend on the `_id` of the group.
    pub(crate) fn start(
        &self,
        engine: Engine,
        id: Value<'_>,
        arena: &Arena,
    ) -> Result<Accumulator> {
        let id = id.as_document().unwrap_or(Document::EMPTY);
        let context = Context::new(arena, Value::Document(id));
        Ok(match self {
            Self::Count => Accumulator::Total(Total::default()),
            Self::Few { end, n, .. } => {
                Accumulator::Few(Few::new(*end, count_of(n.evaluate(context)?)?))
            }
            Self::Best { side, n: Some(n), .. } => {
                Accumulator::Best(Best::new(*side, Some(count_of(n.evaluate(context)?)?)))
            }
            Self::Best { side, n: None, .. } => Accumulator::Best(Best::new(*side, None)),
            Self::Simple(simple, _) => match simple {
                Simple::Sum => Accumulator::Total(Total::default()),
                Simple::Avg if engine == Engine::Slots => Accumulator::Share(Total::default(), 0),
                Simple::Avg => Accumulator::Mean(Mean::default()),
                Simple::First | Simple::Last | Simple::Min | Simple::Max => Accumulator::One(None),
                Simple::Push => Accumulator::Push(Vec::new(), 0),
                Simple::AddToSet => Accumulator::Set(BTreeMap::new(), 0),
                Simple::MergeObjects => Accumulator::Merged(Vec::new(), BTreeMap::new()),
                Simple::StdDevPop => Accumulator::DeviationPop(Deviation::default()),
                Simple::StdDevSamp => Accumulator::DeviationSamp(Deviation::default()),
            },
        })
    }

    /// Adds a document to `accumulator`, which this has started. Gives how many bytes more it takes.
    pub(crate) fn add(
        &self,
        accumulator: &mut Accumulator,
        document: Document<'_>,
        arena: &Arena,
    ) -> Result<usize> {
        let context = Context::new(arena, Value::Document(document));
        match (self, accumulator) {
            (Self::Count, Accumulator::Total(total)) => {
                total.add(Number::Int32(1));
                Ok(0)
            }
            (Self::Few { input, .. }, Accumulator::Few(few)) => {
                Ok(few.add(input.evaluate(context)?))
            }
            (Self::Best { sort, output, .. }, Accumulator::Best(best)) => {
                Ok(best.add(sort.key(document)?, output.evaluate(context)?))
            }
            (Self::Simple(simple, expression), accumulator) => {
                accumulator.add_value(*simple, expression.evaluate(context)?)
            }
            _ => unreachable!("an accumulator is of the kind of what has started it"),
        }
    }
}

impl Accumulator {
    fn add_value(&mut self, simple: Simple, value: Value<'_>) -> Result<usize> {
        match self {
            Self::Total(total) => {
                if let Some(number) = Number::of(value) {
                    total.add(number);
                }
                Ok(0)
            }
            Self::Mean(mean) => {
                if let Some(number) = Number::of(value) {
                    mean.add(number);
                }
                Ok(0)
            }
            Self::Share(total, count) => {
                if let Some(number) = Number::of(value) {
                    total.add(number);
                    *count += 1;
                }
                Ok(0)
            }
            Self::DeviationPop(deviation) | Self::DeviationSamp(deviation) => {
                if let Some(number) = Number::of(value) {
                    deviation.add(number);
                }
                Ok(0)
            }
            Self::One(one) => {
                if !replaces(one.as_ref(), value, simple) {
                    return Ok(0);
                }
                let value = OwnedValue::from(value);
                let before = one.as_ref().map_or(0, OwnedValue::bytes);
                let bytes = value.bytes().saturating_sub(before);
                *one = Some(value);
                Ok(bytes)
            }
            Self::Push(..) | Self::Set(..) if value.is_missing() => Ok(0),
            Self::Push(values, bytes) => {
                let value = OwnedValue::from(value);
                let more = value.bytes() + size_of::<OwnedValue>();
                values.push(value);
                grow("$push", bytes, more)
            }
            Self::Set(values, bytes) => {
                let value = Distinct(value.into());
                let more = value.0.bytes() + size_of::<(Distinct, usize)>();
                let place = values.len();
                if values.contains_key(&value) {
                    return Ok(0);
                }
                values.insert(value, place);
                grow("$addToSet", bytes, more)
            }
            Self::Merged(fields, places) => merge(fields, places, value),
            Self::Few(_) | Self::Best(_) => unreachable!("these take more than one value"),
        }
    }

    /// Writes what was accumulated, as the field `name`.
    pub(crate) fn write(&self, name: &str, writer: &mut Writer) -> Result<()> {
        match self {
            Self::Total(total) => writer.field(name, total.value().into()),
            Self::Mean(mean) => writer.field(name, mean.value().map_or(Value::Null, Value::from)),
            Self::Share(total, count) => writer.field(name, share(total.value(), *count)),
            Self::DeviationPop(deviation) => {
                writer.field(name, deviation.population().map_or(Value::Null, Value::Double));
            }
            Self::DeviationSamp(deviation) => {
                writer.field(name, deviation.sample().map_or(Value::Null, Value::Double));
            }
            Self::One(one) => {
                let value = one.as_ref().map_or(Value::Null, OwnedValue::get);
                writer.field(name, if value.is_missing() { Value::Null } else { value });
            }
            Self::Push(values, _) => array(name, values.iter(), writer),
            Self::Set(values, _) => {
                let mut values: Vec<_> = values.iter().collect();
                values.sort_unstable_by_key(|(_, place)| **place);
                array(name, values.into_iter().map(|(value, _)| &value.0), writer);
            }
            Self::Merged(fields, _) => {
                writer.open_document(name);
                for (name, value) in fields {
                    writer.field(name, value.get());
                }
                writer.close();
            }
            Self::Few(few) => few.write(name, writer),
            Self::Best(best) => best.write(name, writer),
        }
        super::check_size(writer.len())
    }
}

/// The `count`-th part of a total; null of none.
#[expect(clippy::cast_precision_loss, reason = "no count of values comes near 2^53")]
fn share<'a>(total: Number, count: i64) -> Value<'a> {
    match total {
        _ if count == 0 => Value::Null,
        Number::Decimal(total) => Value::Decimal(total.divide(Decimal::from(count))),
        total => Value::Double(total.to_double() / count as f64),
    }
}

/// Whether `value` takes the place of `current`, the value of `$first`, `$last`, `$min` or `$max`.
fn replaces(current: Option<&OwnedValue>, value: Value<'_>, simple: Simple) -> bool {
    let Some(current) = current.map(OwnedValue::get) else {
        return matches!(simple, Simple::First | Simple::Last) || !value.is_nullish();
    };
    match simple {
        Simple::Last => true,
        Simple::Min => !value.is_nullish() && order::compare(value, current).is_lt(),
        Simple::Max => !value.is_nullish() && order::compare(value, current).is_gt(),
        _ => false,
    }
}

fn merge(
    fields: &mut Vec<(Box<str>, OwnedValue)>,
    places: &mut BTreeMap<Box<str>, usize>,
    value: Value<'_>,
) -> Result<usize> {
    if value.is_nullish() {
        return Ok(0);
    }
    let Value::Document(document) = value else {
        let message = format!("$mergeObjects takes objects, not {}", value.type_name());
        return Err(Error::location(40400, message));
    };
    let mut bytes = 0;
    for (name, value) in document {
        let value = OwnedValue::from(value);
        bytes += value.bytes();
        if let Some(place) = places.get(name) {
            fields[*place].1 = value;
            continue;
        }
        bytes += 2 * name.len() + size_of::<(Box<str>, OwnedValue)>();
        places.insert(name.into(), fields.len());
        fields.push((name.into(), value));
    }
    Ok(bytes)
}

fn array<'v>(name: &str, values: impl Iterator<Item = &'v OwnedValue>, writer: &mut Writer) {
    writer.open_array(name);
    for value in values {
        writer.item(value.get());
    }
    writer.close();
}

/// Counts what one accumulator takes, which it must hold as a whole.
fn grow(name: &str, bytes: &mut usize, more: usize) -> Result<usize> {
    *bytes += more;
    if *bytes > MEMORY_BYTES_MAX {
        let message = format!("{name} takes more than {MEMORY_BYTES_MAX} bytes");
        return Err(Error::new(ErrorCode::EXCEEDED_MEMORY_LIMIT, message));
    }
    Ok(more)
}

fn parse_count(argument: Value<'_>) -> Result<Accumulation> {
    match argument {
        Value::Document(document) if document.is_empty() => Ok(Accumulation::Count),
        _ => {
            Err(Error::type_mismatch("the accumulator $count takes an empty object: {$count: {}}"))
        }
    }
}

/// How many values an accumulator with `n` takes.
fn count_of(n: Value<'_>) -> Result<usize> {
    let Some(number) = Number::of(n) else {
        let message = format!("'n' must be a number, not {}", n.type_name());
        return Err(Error::location(5_787_902, message));
    };
    let Some(count) = number.as_exact_i64() else {
        return Err(Error::location(5_787_903, format!("'n' must be a whole number, not {n:?}")));
    };
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(Error::location(5_787_908, format!("'n' must be greater than 0, not {count}"))),
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use super::super::testing::run;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
    fn check(accumulator: Bson, values: Bson, expected: impl Into<Option<Bson>>) {
        let Bson::Array(values) = values else { panic!("no array") };
        let mut documents = vec![bson!({"none": 1})];
        documents.extend(values.into_iter().map(|value| bson!({"v": value, "s": 1})));
        let stage = bson!([{"$group": {"_id": null, "r": accumulator.clone()}}]);
        let found = run(stage, Bson::Array(documents), &super::super::testing::Memory::default());
        let expected = expected.into().map(|value| bson!([{"_id": null, "r": value}]));
        assert_eq!(found.ok(), expected, "{accumulator}");
    }

    #[test]
    fn values_are_accumulated() {
        check(bson!({"$sum": "$v"}), bson!([1, "x", 2_i64]), bson!(3_i64));
        check(bson!({"$avg": "$v"}), bson!([1, null, 2]), bson!(1.5));
        check(bson!({"$avg": "$v"}), bson!(["x"]), Bson::Null);
        check(bson!({"$first": "$v"}), bson!([1]), Bson::Null);
        check(bson!({"$last": "$v"}), bson!([1, 2]), bson!(2));
        check(bson!({"$min": "$v"}), bson!([3, null, "a", 2]), bson!(2));
        check(bson!({"$max": "$v"}), bson!([3, null, "a", 2]), bson!("a"));
        check(bson!({"$push": "$v"}), bson!([2, null, 2]), bson!([2, null, 2]));
        check(bson!({"$addToSet": "$v"}), bson!([2, 1, 2.0, null]), bson!([2, 1, null]));
        check(bson!({"$count": {}}), bson!([1, 2]), bson!(3));
        check(bson!({"$stdDevPop": "$v"}), bson!([1, 3]), bson!(1.0));
        check(bson!({"$stdDevSamp": "$v"}), bson!([1]), Bson::Null);
    }

    #[test]
    fn objects_are_merged_field_by_field() {
        let objects = bson!([{"a": 1, "b": 1}, null, {"b": 2, "c": 3}]);
        check(bson!({"$mergeObjects": "$v"}), objects, bson!({"a": 1, "b": 2, "c": 3}));
        check(bson!({"$mergeObjects": "$v"}), bson!([]), bson!({}));
        check(bson!({"$mergeObjects": "$v"}), bson!([1]), None);
    }

    #[test]
    fn a_few_are_taken() {
        let values = bson!([3, 1, null, 2]);
        check(bson!({"$firstN": {"n": 2, "input": "$v"}}), values.clone(), bson!([null, 3]));
        check(bson!({"$lastN": {"n": 2, "input": "$v"}}), values.clone(), bson!([null, 2]));
        check(bson!({"$minN": {"n": 2, "input": "$v"}}), values.clone(), bson!([1, 2]));
        check(bson!({"$maxN": {"n": 2, "input": "$v"}}), values.clone(), bson!([3, 2]));
        check(bson!({"$minN": {"n": 0, "input": "$v"}}), values.clone(), None);
        check(bson!({"$minN": {"n": "x", "input": "$v"}}), values, None);
    }

    #[test]
    fn the_best_are_taken_and_of_equal_ones_the_first() {
        let values = bson!([3, 1, 2]);
        let by = |name: &str, sort: i32| bson!({name: {"sortBy": {"v": sort}, "output": "$v"}});
        check(by("$top", -1), values.clone(), bson!(3));
        check(by("$bottom", -1), values.clone(), Bson::Null);
        let two = |name: &str| bson!({name: {"n": 2, "sortBy": {"s": 1}, "output": "$v"}});
        check(two("$topN"), values.clone(), bson!([null, 3]));
        check(two("$bottomN"), values, bson!([3, 1]));
    }
}
