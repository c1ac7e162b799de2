//! Regular expressions in a filter: where they stand, and the codes of their errors.

use super::predicate::Test;
use crate::regex::{Regex, RegexError};
use crate::{Document, Error, Result, Value};

/// `{$regex: pattern, $options: options}`, in either order.
pub(super) fn parse_regex_document(condition: Document<'_>) -> Result<Test> {
    let (mut found, mut flags) = ("", "");
    for (operator, argument) in condition {
        match (operator, argument) {
            ("$regex", Value::String(pattern)) => found = pattern,
            ("$regex", Value::Regex { pattern, options }) => {
                found = pattern;
                if !options.is_empty() {
                    if !flags.is_empty() {
                        return Err(options_twice(51074));
                    }
                    flags = options;
                }
            }
            ("$regex", argument) => {
                return Err(Error::bad_value(format!(
                    "$regex must be a string or a regular expression, not {}",
                    argument.type_name()
                )));
            }
            ("$options", Value::String(options)) => {
                if !flags.is_empty() {
                    return Err(options_twice(51075));
                }
                flags = options;
            }
            ("$options", argument) => {
                return Err(Error::bad_value(format!(
                    "$options must be a string, not {}",
                    argument.type_name()
                )));
            }
            _ => {}
        }
    }
    parse_regex(found, flags)
}

fn options_twice(code: i32) -> Error {
    Error::location(
        code,
        "the options of a regular expression stand both in $regex and in $options",
    )
}

/// The test for a pattern.
pub(super) fn parse_regex(pattern: &str, options: &str) -> Result<Test> {
    new_regex(pattern, options).map(Test::Regex)
}

/// A regular expression, or the error of a filter.
pub(super) fn new_regex(pattern: &str, options: &str) -> Result<Regex> {
    Regex::new(pattern, options).map_err(|error| match error {
        RegexError::Option(_) => Error::location(51108, error.to_string()),
        RegexError::NullByte => Error::bad_value(error.to_string()),
        RegexError::Pattern { .. } => Error::location(51091, error.to_string()),
    })
}
