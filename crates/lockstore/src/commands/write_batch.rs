//! What `update` and `delete` have in common: many statements, one after the other.

use docquery::{Array, Error, ErrorCode, Value};

use super::arguments::Arguments;
use crate::error::DocumentError;

/// Checks how many statements there are.
pub(super) fn check_length(length: usize) -> Result<(), Error> {
    if (1..=STATEMENTS_MAX).contains(&length) {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::INVALID_LENGTH,
        format!(
            "Write batch sizes must be between 1 and {STATEMENTS_MAX}. Got {length} operations."
        ),
    ))
}

/// Parses all statements, before any is carried out.
pub(super) fn parse<'a, T>(
    of: &'static str,
    statements: Array<'a>,
    parse: impl Fn(Arguments<'a>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let parsed = statements.iter().map(|statement| match statement {
        Value::Document(statement) => parse(Arguments::new(of, statement)?),
        other => Err(Error::type_mismatch(format!(
            "BSON field '{of}' is the wrong type '{}', expected type 'object'",
            other.type_name()
        ))),
    });
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    check_length(parsed.len())?;
    Ok(parsed)
}

/// The one statement that there is, where a command is explained.
pub(super) fn only<T>(statements: Vec<T>) -> Result<T, Error> {
    match <[T; 1]>::try_from(statements) {
        Ok([statement]) => Ok(statement),
        Err(_) => {
            Err(Error::new(ErrorCode::INVALID_LENGTH, "explained write batches must be of size 1"))
        }
    }
}

/// Carries out statements in order: up to the first that fails if they are `ordered`. Gives the errors.
///
/// # Errors
///
/// The store cannot serve, or the transaction is over: what follows would fail too.
pub(super) fn carry_out<T>(
    statements: Vec<T>,
    ordered: bool,
    mut carry_out: impl FnMut(usize, T) -> Result<(), DocumentError>,
) -> Result<Vec<(usize, DocumentError)>, DocumentError> {
    let mut errors = Vec::new();
    for (index, statement) in statements.into_iter().enumerate() {
        match carry_out(index, statement) {
            Ok(()) => {}
            Err(error) if error.is_final() => return Err(error),
            Err(error) => {
                errors.push((index, error));
                if ordered {
                    break;
                }
            }
        }
    }
    Ok(errors)
}

/// How many statements one command may have.
const STATEMENTS_MAX: usize = 100_000;
