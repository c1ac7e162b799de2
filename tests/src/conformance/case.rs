//! One recorded case.

use bson::RawDocumentBuf;

use super::extended::{self, ExtendedError};
use super::json::Json;
use super::reply::Rules;
use super::value::Order;

/// Commands in a row on an empty database, each with the reply of a real server.
#[derive(Clone, Debug)]
pub struct Case {
    /// Names the case among all.
    pub id: String,
    /// What is run, in order.
    pub steps: Vec<Step>,
}

/// A command and its reply.
#[derive(Clone, Debug)]
pub struct Step {
    /// The command, without `$db`.
    pub command: RawDocumentBuf,
    /// What the real server replied.
    pub reply: RawDocumentBuf,
    /// What of the reply's order counts.
    pub rules: Rules,
}

/// Why a line is no case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaseError {
    /// Not JSON, or nested too deep.
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A field that every case has, or every step.
    #[error("{0:?} is missing or of the wrong type")]
    Field(&'static str),
    /// A value that this version does not know.
    #[error("{0:?} cannot be {1:?}")]
    Unknown(&'static str, Json),
    /// A command or a reply.
    #[error("step {step}: {error}")]
    Document {
        /// Which step, from 0.
        step: usize,
        /// What is wrong.
        error: ExtendedError,
    },
}

impl Case {
    /// Reads the case that a line holds.
    ///
    /// # Errors
    ///
    /// When the line holds none.
    pub fn parse(line: &str) -> Result<Self, CaseError> {
        let json: Json = serde_json::from_str(line)?;
        let id = json.get("id").and_then(Json::as_str).ok_or(CaseError::Field("id"))?;
        let steps = json.get("steps").and_then(Json::as_array).ok_or(CaseError::Field("steps"))?;
        let steps: Result<_, _> =
            steps.iter().enumerate().map(|(index, step)| Step::parse(index, step)).collect();
        Ok(Self { id: id.to_owned(), steps: steps? })
    }
}

impl Step {
    fn parse(step: usize, json: &Json) -> Result<Self, CaseError> {
        let document = |name| {
            let json = json.get(name).ok_or(CaseError::Field(name))?;
            extended::document(json).map_err(|error| CaseError::Document { step, error })
        };
        // Equal sort keys ("ties") leave the order as open as no sort does.
        let rules = Rules {
            result: order(json, "order", &["any", "ties"])?,
            inner_arrays: order(json, "arrays", &["any"])?,
        };
        Ok(Self { command: document("command")?, reply: document("reply")?, rules })
    }

    /// The command's name.
    pub fn name(&self) -> &str {
        let first = self.command.into_iter().next();
        first.and_then(Result::ok).map_or("", |(name, _)| name.as_str())
    }
}

fn order(step: &Json, name: &'static str, any: &[&str]) -> Result<Order, CaseError> {
    match step.get(name) {
        None => Ok(Order::Exact),
        Some(Json::String(word)) if any.contains(&word.as_str()) => Ok(Order::Any),
        Some(other) => Err(CaseError::Unknown(name, other.clone())),
    }
}
