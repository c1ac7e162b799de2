//! `$collStats` and `$indexStats`: what is known of a collection instead of its documents. The source brings them.

use super::stage::object;
use crate::number::Number;
use crate::{Document, Error, Result, Value};

/// What statistics a pipeline begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statistics {
    /// `$collStats`: one document about the collection, with a section for each that is asked for.
    Collection {
        /// `count`: how many documents it has.
        count: bool,
        /// `storageStats`, sizes divided by the scale.
        storage: Option<i64>,
        /// `latencyStats`
        latency: bool,
        /// `queryExecStats`
        queries: bool,
    },
    /// `$indexStats`: one document about each index.
    Indexes,
}

impl Statistics {
    pub(crate) fn parse_collection(spec: Value<'_>) -> Result<Self> {
        let (mut count, mut storage, mut latency, mut queries) = (false, None, false, false);
        for (name, value) in object("$collStats", spec, 5_447_000)? {
            let section = value.as_document();
            if !matches!(name, "count" | "storageStats" | "latencyStats" | "queryExecStats") {
                let message = format!(
                    "$collStats has no option '{name}'; it takes count, storageStats, latencyStats, queryExecStats"
                );
                return Err(Error::location(40415, message));
            }
            let section = section.ok_or_else(|| {
                let message =
                    format!("'{name}' of $collStats takes an object, not {}", value.type_name());
                Error::type_mismatch(message)
            })?;
            match name {
                "storageStats" => storage = Some(scale(section)?),
                "latencyStats" => latency = check_histograms(section)?,
                _ if !section.is_empty() => {
                    let message = format!("'{name}' of $collStats takes an empty object");
                    return Err(Error::location(31170, message));
                }
                "count" => count = true,
                _ => queries = true,
            }
        }
        Ok(Self::Collection { count, storage, latency, queries })
    }

    pub(crate) fn parse_indexes(spec: Value<'_>) -> Result<Self> {
        match spec {
            Value::Document(spec) if spec.is_empty() => Ok(Self::Indexes),
            _ => Err(Error::location(28803, "$indexStats takes an empty object")),
        }
    }
}

fn scale(section: Document<'_>) -> Result<i64> {
    match section.get("scale") {
        Value::Missing => Ok(1),
        value => match Number::of(value) {
            Some(scale) => Ok(scale.saturating_i64().max(1)),
            None => Err(Error::type_mismatch(format!(
                "'scale' of storageStats takes a number, not {}",
                value.type_name()
            ))),
        },
    }
}

fn check_histograms(section: Document<'_>) -> Result<bool> {
    match section.get("histograms") {
        Value::Missing | Value::Bool(_) => Ok(true),
        other => Err(Error::type_mismatch(format!(
            "'histograms' of latencyStats takes a boolean, not {}",
            other.type_name()
        ))),
    }
}
