//! Stages that are short for others.

mod bucket;
mod fill;
mod sort_by_count;

use crate::{Environment, OwnedValue, Result, Value};

/// The stages that `name` with `spec` stands for; `None` if it stands for itself.
pub(crate) fn desugar(
    name: &str,
    spec: Value<'_>,
    environment: &Environment,
) -> Result<Option<Vec<OwnedValue>>> {
    match name {
        "$bucket" => bucket::stages(spec, environment).map(Some),
        "$fill" => fill::stages(spec).map(Some),
        "$sortByCount" => sort_by_count::stages(spec).map(Some),
        _ => Ok(None),
    }
}
