//! `$sample`: some of the documents, as chance has it.

use super::sorted::Sorted;
use super::source::Documents;
use super::{Database, stage::object};
use crate::number::Number;
use crate::sort::SortKey;
use crate::{Environment, Error, Random, Result, Value};

/// `$sample`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    size: u64,
    random: Random,
}

impl Sample {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let spec = object("$sample", spec, 28745)?;
        let mut size = None;
        for (name, value) in spec {
            if name != "size" {
                let message = format!("$sample has no option '{name}'; it takes size");
                return Err(Error::location(28748, message));
            }
            let number = Number::of(value).ok_or_else(|| {
                let message = format!("the size of $sample is a number, not {}", value.type_name());
                Error::location(28746, message)
            })?;
            let count = u64::try_from(number.saturating_i64());
            let negative = |_| {
                Error::location(
                    28747,
                    format!("the size of $sample must not be negative: {value:?}"),
                )
            };
            size = Some(count.map_err(negative)?);
        }
        let size = size.ok_or_else(|| Error::location(28749, "$sample needs a size"))?;
        Ok(Self { size, random: environment.random() })
    }

    /// The documents with the least of random keys.
    pub(crate) fn run(&self, mut input: Documents, database: &dyn Database) -> Result<Documents> {
        let limit = usize::try_from(self.size).unwrap_or(usize::MAX);
        let mut sorted = Sorted::new("$sample", Some(limit), database);
        input.for_each(&mut |document| {
            let key = SortKey::of(Value::Int64(self.random.next().cast_signed()));
            sorted.push_document(key, document)
        })?;
        sorted.documents()
    }
}
