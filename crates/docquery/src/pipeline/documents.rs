//! `$documents`: documents that stand in the pipeline itself.

use bson::RawDocumentBuf;

use crate::expression::{Context, Scope};
use crate::{Arena, Environment, Error, Expression, Result, Value};

/// `$documents`, parsed.
#[derive(Clone, Debug)]
pub(crate) struct LiteralDocuments {
    expression: Expression,
}

impl LiteralDocuments {
    pub(crate) fn parse(spec: Value<'_>, environment: &Environment) -> Result<Self> {
        let expression = Expression::parse(spec, &Scope::new(environment))?;
        Ok(Self { expression })
    }

    /// The documents.
    pub(crate) fn documents(&self) -> Result<Vec<RawDocumentBuf>> {
        let arena = Arena::new();
        let value = self.expression.evaluate(Context::new(&arena, Value::Missing))?;
        let Value::Array(array) = value else {
            let message = format!("$documents takes an array, not {}", value.type_name());
            return Err(Error::location(5_858_203, message));
        };
        let documents = array.iter().map(|item| {
            let document = item.as_document().ok_or_else(|| {
                let message =
                    format!("each item of $documents is an object, not {}", item.type_name());
                Error::location(40228, message)
            })?;
            Ok(document.to_raw())
        });
        documents.collect()
    }
}
