//! What evaluation needs of the world outside.

use bson::{RawDocument, RawDocumentBuf};

use crate::{Document, OwnedValue};

/// The time, and the variables that a command gives (`let`). It is asked while something is parsed: what was parsed
/// carries the values that it needs.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    now_ms: i64,
    variables: OwnedVariables,
}

#[derive(Clone, Debug, Default)]
struct OwnedVariables(Option<RawDocumentBuf>);

impl Environment {
    /// An environment without variables, at `now_ms` milliseconds since the epoch.
    pub fn new(now_ms: i64) -> Self {
        Self { now_ms, variables: OwnedVariables::default() }
    }

    /// The same with the variables of `let`: their names and values, which are not evaluated.
    #[must_use]
    pub fn with_variables(mut self, variables: &RawDocument) -> Self {
        self.variables.0 = Some(variables.to_owned());
        self
    }

    /// The time that `$$NOW` and `$currentDate` give, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The value of the command's variable `name`, without dollar signs.
    pub fn variable(&self, name: &str) -> Option<OwnedValue> {
        let variables = self.variables.0.as_deref()?;
        let found = Document::from(variables).iter().find(|(key, _)| *key == name)?;
        Some(OwnedValue::from(found.1))
    }
}
