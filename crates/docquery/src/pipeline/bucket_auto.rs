//! `$bucketAuto`: groups of about the same size, by ranges of a value.

mod granularity;

use std::sync::Arc;

use bson::RawDocumentBuf;

use super::accumulator::{Accumulation, Accumulator};
use super::engine::Engine;
use super::sorted::Sorted;
use super::source::{Documents, Source};
use super::stage::object;
use super::steps::Steps;
use super::{Database, buffer};
use crate::expression::{Context, Scope};
use crate::number::Number;
use crate::sort::SortKey;
use crate::{
    Arena, Document, Environment, Error, Expression, OwnedValue, Result, Value, Writer, order,
};
use granularity::Granularity;

/// `$bucketAuto`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct BucketAuto {
    group_by: Expression,
    buckets: u64,
    fields: Vec<(Box<str>, Accumulation)>,
    granularity: Option<Granularity>,
}

impl BucketAuto {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let spec = object("$bucketAuto", spec, 40240)?;
        let (mut group_by, mut buckets, mut granularity, mut fields) = (None, None, None, None);
        for (name, value) in spec {
            match name {
                "groupBy" => group_by = Some(parse_group_by(value, environment)?),
                "buckets" => buckets = Some(parse_buckets(value)?),
                "granularity" => granularity = Some(Granularity::parse(value)?),
                "output" => fields = Some(parse_output(value, environment)?),
                _ => {
                    let message = format!(
                        "$bucketAuto has no option '{name}'; it takes groupBy, buckets, output, granularity"
                    );
                    return Err(Error::location(40245, message));
                }
            }
        }
        let (Some(group_by), Some(buckets)) = (group_by, buckets) else {
            return Err(Error::location(40246, "$bucketAuto needs groupBy and buckets"));
        };
        let fields = match fields {
            Some(fields) => fields,
            None => vec![("count".into(), Accumulation::Count)],
        };
        Ok(Self { group_by, buckets, fields, granularity })
    }

    /// The documents of the buckets.
    pub(crate) fn run(
        self: Arc<Self>,
        mut input: Documents,
        database: Arc<dyn Database>,
    ) -> Result<Documents> {
        let mut sorted = Sorted::new("$bucketAuto", None, &*database);
        let mut arena = Arena::new();
        let mut count: u64 = 0;
        input.for_each(&mut |document| {
            arena.reset();
            let value = self.value(document, &arena)?;
            count += 1;
            sorted.push_document(SortKey::of(value), document)
        })?;
        let size = rounded_share(count, self.buckets).max(1);
        let mut buckets = Buckets {
            stage: self,
            documents: sorted.documents()?,
            database,
            steps: Steps::default(),
            next: None,
            size,
            given: 0,
            previous: None,
        };
        buckets.advance()?;
        Ok(Box::new(buckets))
    }

    /// The value by which `document` is put into a bucket.
    fn value<'a>(&'a self, document: Document<'a>, arena: &'a Arena) -> Result<Value<'a>> {
        let value = self.group_by.evaluate(Context::new(arena, Value::Document(document)))?;
        let value = if value.is_missing() { Value::Null } else { value };
        if self.granularity.is_some() {
            granularity::check(value)?;
        }
        Ok(value)
    }
}

/// Buckets, one after the other.
#[derive(Debug)]
struct Buckets {
    stage: Arc<BucketAuto>,
    /// The documents in the order of their values.
    documents: Documents,
    database: Arc<dyn Database>,
    steps: Steps,
    /// The document that comes next, and its value.
    next: Option<(OwnedValue, RawDocumentBuf)>,
    /// How many documents a bucket has at least.
    size: u64,
    given: u64,
    /// Where the bucket before ends.
    previous: Option<OwnedValue>,
}

/// A bucket that is being filled.
struct Bucket {
    accumulators: Vec<Accumulator>,
    /// The last value.
    last: OwnedValue,
}

impl Buckets {
    /// Takes the next document out of the source, and gives the one before.
    fn advance(&mut self) -> Result<Option<(OwnedValue, RawDocumentBuf)>> {
        self.steps.take(1, &*self.database)?;
        let next = match self.documents.next()? {
            Some(document) => {
                let arena = Arena::new();
                let value = self.stage.value(Document::from(&*document), &arena)?;
                Some((OwnedValue::from(value), document))
            }
            None => None,
        };
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Puts the next document into `bucket`.
    fn fill(&mut self, bucket: &mut Bucket) -> Result<()> {
        let Some((value, document)) = self.advance()? else { return Ok(()) };
        let arena = Arena::new();
        for ((_, accumulation), accumulator) in
            self.stage.fields.iter().zip(&mut bucket.accumulators)
        {
            accumulation.add(accumulator, Document::from(&*document), &arena)?;
        }
        bucket.last = value;
        Ok(())
    }

    /// Fills `bucket` while `belongs` says that the next value belongs into it.
    fn absorb(
        &mut self,
        bucket: &mut Bucket,
        belongs: impl Fn(Value<'_>, &Bucket) -> bool,
    ) -> Result<()> {
        while self.next.as_ref().is_some_and(|(value, _)| belongs(value.get(), bucket)) {
            self.fill(bucket)?;
        }
        Ok(())
    }

    /// Where `bucket`, which has as many documents as it should, ends. It takes up what falls in front of that.
    fn finish(&mut self, bucket: &mut Bucket) -> Result<OwnedValue> {
        let Some(granularity) = self.stage.granularity else {
            self.absorb(bucket, |value, bucket| order::equal(value, bucket.last.get()))?;
            let end = self.next.as_ref().map_or(&bucket.last, |(value, _)| value);
            return Ok(end.clone());
        };
        let end = granularity.round_up(bucket.last.get());
        self.absorb(bucket, |value, _| order::compare(end.get(), value).is_gt())?;
        let ends_at_zero = Number::of(end.get()).is_some_and(|end| end.to_double() == 0.0);
        match &self.next {
            Some((value, _)) if ends_at_zero => Ok(granularity.round_down(value.get())),
            _ => Ok(end),
        }
    }
}

impl Source for Buckets {
    fn next(&mut self) -> Result<Option<RawDocumentBuf>> {
        let Some((first, _)) = self.next.clone() else { return Ok(None) };
        let min = match (&self.stage.granularity, self.previous.take()) {
            (Some(_), Some(previous)) => previous,
            (Some(granularity), None) => granularity.round_down(first.get()),
            (None, _) => first.clone(),
        };
        let arena = Arena::new();
        let accumulators =
            self.stage.fields.iter().map(|(_, accumulation)| {
                accumulation.start(Engine::Classic, Value::Missing, &arena)
            });
        let accumulators = accumulators.collect::<Result<_>>()?;
        let mut bucket = Bucket { accumulators, last: first };
        self.given += 1;
        let size = if self.given == self.stage.buckets { u64::MAX } else { self.size };
        let mut filled = 0;
        while filled < size && self.next.is_some() {
            self.fill(&mut bucket)?;
            filled += 1;
        }
        let max = self.finish(&mut bucket)?;
        let mut writer = Writer::new();
        writer.open_document("_id");
        writer.field("min", min.get());
        writer.field("max", max.get());
        writer.close();
        for ((name, _), accumulator) in self.stage.fields.iter().zip(&bucket.accumulators) {
            accumulator.write(name, &mut writer)?;
        }
        self.previous = Some(max);
        buffer(writer).map(Some)
    }
}

/// `count` by `parts`, rounded.
fn rounded_share(count: u64, parts: u64) -> u64 {
    (count.saturating_mul(2).saturating_add(parts)) / parts.saturating_mul(2)
}

fn parse_group_by(value: Value<'_>, environment: &Environment) -> Result<Expression> {
    let is_expression = match value {
        Value::String(text) => text.starts_with('$'),
        Value::Document(fields) => fields.first().is_some_and(|(name, _)| name.starts_with('$')),
        _ => false,
    };
    if !is_expression {
        let message = format!(
            "groupBy of $bucketAuto is a path that begins with '$', or an expression in an object, not {value:?}"
        );
        return Err(Error::location(40239, message));
    }
    Expression::parse(value, &Scope::new(environment))
}

fn parse_buckets(value: Value<'_>) -> Result<u64> {
    let number = Number::of(value).ok_or_else(|| {
        let message = format!("buckets of $bucketAuto is a number, not {}", value.type_name());
        Error::location(40241, message)
    })?;
    let Some(count) = number.as_exact_i64().and_then(|count| i32::try_from(count).ok()) else {
        let message = format!("buckets of $bucketAuto is a whole number of 32 bits, not {value:?}");
        return Err(Error::location(40242, message));
    };
    match u64::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => {
            let message = format!("buckets of $bucketAuto must be greater than 0, not {count}");
            Err(Error::location(40243, message))
        }
    }
}

fn parse_output(
    value: Value<'_>,
    environment: &Environment,
) -> Result<Vec<(Box<str>, Accumulation)>> {
    let fields = object("output of $bucketAuto", value, 40244)?
        .iter()
        .map(|(name, value)| Ok((name.into(), Accumulation::parse(name, value, environment)?)));
    fields.collect()
}
