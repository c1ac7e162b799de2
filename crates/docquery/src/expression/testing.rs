//! What the tests of operators share.

use bson::{Bson, RawBson, RawDocumentBuf};

use super::{Context, Scope};
use crate::{Arena, Environment, Expression, OwnedValue, Result, Value};

/// Checks the value of an expression without a document around it; null stands for no value too.
#[track_caller]
pub(super) fn check(expression: impl Into<Bson>, expected: impl Into<Bson>) {
    let expression = expression.into();
    let expected = owned(expected.into());
    match evaluate(&expression) {
        Ok(value) => {
            assert_eq!(format!("{value:?}"), format!("{expected:?}"), "of {expression}");
        }
        Err(error) => panic!("{expression} fails: {error}"),
    }
}

/// Checks the value of an expression on a document; null stands for no value too.
#[track_caller]
pub(super) fn check_on(
    document: &bson::Document,
    expression: impl Into<Bson>,
    expected: impl Into<Bson>,
) {
    let expression = expression.into();
    let expected = owned(expected.into());
    match evaluate_on(document, &expression) {
        Ok(value) => {
            assert_eq!(format!("{value:?}"), format!("{expected:?}"), "of {expression}");
        }
        Err(error) => panic!("{expression} fails: {error}"),
    }
}

/// Checks the code of the error of an expression.
#[track_caller]
pub(super) fn check_error(expression: impl Into<Bson>, code: i32) {
    let expression = expression.into();
    match evaluate(&expression) {
        Ok(value) => panic!("{expression} is {value:?}"),
        Err(error) => assert_eq!(error.code().value(), code, "{expression}: {error}"),
    }
}

pub(super) fn evaluate(expression: &Bson) -> Result<OwnedValue> {
    evaluate_on(&bson::Document::new(), expression)
}

fn evaluate_on(document: &bson::Document, expression: &Bson) -> Result<OwnedValue> {
    let environment = Environment::new(0);
    let expression = Expression::parse(owned(expression.clone()).get(), &Scope::new(&environment))?;
    let arena = Arena::new();
    let document = RawDocumentBuf::try_from(document).expect("a document of a test is BSON");
    let value = expression.evaluate(Context::new(&arena, Value::from(&*document)))?;
    Ok(OwnedValue::from(if value.is_missing() { Value::Null } else { value }))
}

fn owned(value: Bson) -> OwnedValue {
    let value = RawBson::try_from(value).expect("a value of a test is BSON");
    OwnedValue::from(value.as_raw_bson_ref())
}
