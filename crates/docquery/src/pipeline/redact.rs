//! `$redact`: documents, and those inside them, are kept or left out.

use crate::expression::{Context, Scope, Slot};
use crate::{Arena, Array, Document, Environment, Error, Expression, Result, Value};

/// `$redact`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct Redact {
    expression: Expression,
    verdicts: Slot,
    current: Slot,
}

/// The variables that the expression may give, and what they hold.
const VERDICTS: [&str; 3] = ["DESCEND", "PRUNE", "KEEP"];
const VERDICT_VALUES: [Value<'static>; 3] =
    [Value::String("descend"), Value::String("prune"), Value::String("keep")];

impl Redact {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let scope = Scope::new(environment);
        let (scope, verdicts) = scope.with(&VERDICTS);
        let (scope, current) = scope.with(&["CURRENT"]);
        Ok(Self { expression: Expression::parse(spec, &scope)?, verdicts, current })
    }

    /// What is left of `document`, if anything is.
    pub(crate) fn apply<'a>(
        &'a self,
        document: Document<'a>,
        arena: &'a Arena,
    ) -> Result<Option<Document<'a>>> {
        let context = Context::new(arena, Value::Document(document));
        self.redact(document, context.with(self.verdicts, &VERDICT_VALUES))
    }

    fn redact<'a>(
        &'a self,
        document: Document<'a>,
        context: Context<'_, 'a>,
    ) -> Result<Option<Document<'a>>> {
        let current = [Value::Document(document)];
        match self.expression.evaluate(context.with(self.current, &current))? {
            Value::String("keep") => Ok(Some(document)),
            Value::String("prune") => Ok(None),
            Value::String("descend") => {
                let mut fields = Vec::new();
                for (name, value) in document {
                    if let Some(value) = self.redact_value(value, context)? {
                        fields.push((name, value));
                    }
                }
                context.arena.fields(&fields).map(Some)
            }
            other => {
                let message = format!(
                    "the expression of $redact must give $$KEEP, $$PRUNE or $$DESCEND, not {}",
                    other.type_name()
                );
                Err(Error::location(17053, message))
            }
        }
    }

    fn redact_value<'a>(
        &'a self,
        value: Value<'a>,
        context: Context<'_, 'a>,
    ) -> Result<Option<Value<'a>>> {
        match value {
            Value::Document(document) => Ok(self.redact(document, context)?.map(Value::Document)),
            Value::Array(array) => self.redact_items(array, context).map(Some),
            value => Ok(Some(value)),
        }
    }

    fn redact_items<'a>(&'a self, array: Array<'a>, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let mut items = Vec::new();
        for item in array {
            items.extend(self.redact_value(item, context)?);
        }
        context.arena.array(&items)
    }
}
