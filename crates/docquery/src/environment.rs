//! What evaluation needs of the world outside.

use bson::RawDocument;

use crate::expression::{self, Scope};
use crate::{Document, Error, Expression, OwnedValue, Random, Result, Value};

/// The time, random numbers, and the variables that a command gives (`let`). It is asked while something is parsed: what was parsed
/// carries the values that it needs.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    now_ms: i64,
    /// The names and what is known of them; of several with one name, the last.
    variables: Vec<(Box<str>, Variable)>,
    keeps_constants: bool,
    random: Option<Random>,
}

#[derive(Clone, Debug)]
enum Variable {
    Known(OwnedValue),
    /// There will be a value when it is used: what is parsed now is only looked at for mistakes.
    Later,
}

impl Environment {
    /// An environment without variables, at `now_ms` milliseconds since the epoch.
    pub fn new(now_ms: i64) -> Self {
        Self { now_ms, ..Self::default() }
    }

    /// The same with random numbers for `$rand`, `$sampleRate` and `$sample`. Without them, each time that something is
    /// parsed the same numbers come again.
    #[must_use]
    pub fn with_random(mut self, random: &Random) -> Self {
        self.random = Some(random.clone());
        self
    }

    /// The same with more variables: their names and values, which are not evaluated.
    #[must_use]
    pub fn with_variables(mut self, variables: &RawDocument) -> Self {
        let variables = Document::from(variables).iter();
        self.variables
            .extend(variables.map(|(name, value)| (name.into(), Variable::Known(value.into()))));
        self
    }

    /// The same with the variables of a command's `let`: names, and expressions that no document is needed for. Each may
    /// use those before it.
    ///
    /// # Errors
    ///
    /// A name that no variable of a user may have, the name of one of the system's (4738901), an expression that cannot be evaluated
    /// or asks for a field of a document (4890500).
    pub fn with_let(mut self, variables: &RawDocument) -> Result<Self> {
        for (name, expression) in Document::from(variables) {
            if matches!(name, "NOW" | "CLUSTER_TIME" | "JS_SCOPE" | "IS_MR") {
                let message = format!("Attempt to set internal constant: {name}");
                return Err(Error::location(4_738_901, message));
            }
            expression::check_bound_name(name)
                .map_err(|error| error.within("Invalid 'let' parameter: "))?;
            let parsed = Expression::parse(expression, &Scope::new(&self))?;
            let Some(value) = parsed.constant() else {
                let message = format!(
                    "the variable '{name}' of 'let' asks for a document, and there is none"
                );
                return Err(Error::location(4_890_500, message));
            };
            self.define(name, value);
        }
        Ok(self)
    }

    /// The same for expressions that stay as they are written, as those of an update's pipeline do: elsewhere what is
    /// constant is computed while they are parsed, and fails there.
    #[must_use]
    pub(crate) fn without_folding(mut self) -> Self {
        self.keeps_constants = true;
        self
    }

    /// Whether constant expressions are computed while they are parsed.
    pub(crate) fn folds(&self) -> bool {
        !self.keeps_constants
    }

    /// Random numbers.
    pub(crate) fn random(&self) -> Random {
        self.random.clone().unwrap_or_default()
    }

    /// What `parse` makes in this environment. The server parses a whole filter, projection or pipeline before its optimizer computes the
    /// constants in it: where both fail, the error is that of parsing.
    ///
    /// # Errors
    ///
    /// Those of `parse`.
    pub(crate) fn parse<T>(&self, parse: impl Fn(&Self) -> Result<T>) -> Result<T> {
        parse(self).or_else(|error| {
            if self.folds() {
                parse(&self.clone().without_folding())?;
            }
            Err(error)
        })
    }

    /// The time that `$$NOW` and `$currentDate` give, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// The value of the command's variable `name`, without dollar signs.
    pub fn variable(&self, name: &str) -> Option<OwnedValue> {
        match self.find(name)? {
            Variable::Known(value) => Some(value.clone()),
            Variable::Later => None,
        }
    }

    /// Gives a variable a value, which may be `Missing`.
    pub(crate) fn define(&mut self, name: &str, value: Value<'_>) {
        self.variables.push((name.into(), Variable::Known(value.into())));
    }

    /// Tells of a variable whose value comes later.
    pub(crate) fn declare(&mut self, name: &str) {
        self.variables.push((name.into(), Variable::Later));
    }

    /// Whether the value of the variable `name` comes later.
    pub(crate) fn is_declared(&self, name: &str) -> bool {
        matches!(self.find(name), Some(Variable::Later))
    }

    fn find(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().rev().find(|(key, _)| **key == *name).map(|(_, variable)| variable)
    }
}
