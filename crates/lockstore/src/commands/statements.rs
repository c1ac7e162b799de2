//! The statements of a write that may come again: which of them have been done, and how the others are remembered.

use bson::RawDocument;
use docquery::{Error, ErrorCode, Result, Value};

use super::Call;
use super::arguments::Arguments;
use crate::client_sessions::{Image, Numbered, Past, RetryableWrite};
use crate::error::DocumentError;
use crate::records::AnswerV1;

/// The statements of one command.
#[derive(Debug)]
pub(super) struct Statements<'c> {
    write: Option<&'c RetryableWrite<'c>>,
    numbers: Numbers,
    /// Those that were done before.
    retried: Vec<i32>,
}

/// The numbers of statements.
#[derive(Debug)]
enum Numbers {
    From(i32),
    Given(Vec<i32>),
}

impl<'c> Call<'c> {
    /// The `count` statements of the command, by `stmtIds`, or numbered from `stmtId`, or from 0.
    pub(super) fn statements(
        &self,
        arguments: &mut Arguments<'c>,
        count: usize,
    ) -> Result<Statements<'c>> {
        let first = number(self.name, "stmtId", arguments.value("stmtId"))?;
        let given = arguments.array("stmtIds")?;
        let given = given.map(|given| {
            let numbers = given.iter().map(|value| match number(self.name, "stmtIds", value)? {
                Some(number) => Ok(number),
                None => unreachable!("an item of an array is not missing"),
            });
            numbers.collect::<Result<Vec<i32>>>()
        });
        let numbers = match (first, given.transpose()?) {
            (Some(_), Some(_)) => {
                let message = "May not specify both stmtId and stmtIds in write command.";
                return Err(Error::new(ErrorCode::INVALID_OPTIONS, message));
            }
            (None, Some(given)) if given.len() != count => {
                let message = format!(
                    "Number of statement ids must match the number of batch entries. Got {} statement ids but {count} operations.",
                    given.len()
                );
                return Err(Error::new(ErrorCode::INVALID_LENGTH, message));
            }
            (None, Some(given)) => Numbers::Given(given),
            (first, None) => Numbers::From(first.unwrap_or(0)),
        };
        Ok(Statements { write: self.write, numbers, retried: Vec::new() })
    }
}

impl<'c> Statements<'c> {
    /// Whether they are remembered, so that only one document may be written by each.
    pub(super) fn are_remembered(&self) -> bool {
        self.write.is_some()
    }

    /// Checks that a statement writes one document at most, where it is remembered.
    pub(super) fn check_single(&self, is_single: bool, option: &str) -> Result<()> {
        if is_single || !self.are_remembered() {
            return Ok(());
        }
        let message = format!("Cannot use (or request) retryable writes with {option}");
        Err(Error::new(ErrorCode::INVALID_OPTIONS, message))
    }

    /// What the statement at `index` has come to before. If that is remembered, the reply will say so.
    pub(super) fn past(&mut self, index: usize) -> Option<Past<'c>> {
        let number = self.number(index);
        let past = self.write?.past(number)?;
        self.retried.push(number);
        Some(past)
    }

    /// The statement at `index`, to be remembered.
    pub(super) fn at(&self, index: usize, image: Option<Image>) -> Option<Numbered<'c>> {
        Some(Numbered { write: self.write?, number: self.number(index), image })
    }

    /// The number of the statement at `index`.
    pub(super) fn number(&self, index: usize) -> i32 {
        match &self.numbers {
            Numbers::From(first) => first.saturating_add(i32::try_from(index).unwrap_or(i32::MAX)),
            Numbers::Given(numbers) => numbers[index],
        }
    }

    /// Those that were done before.
    pub(super) fn retried(&self) -> &[i32] {
        &self.retried
    }
}

/// A document that is remembered.
///
/// # Errors
///
/// It was too large to be remembered, or belongs to a command of another kind.
pub(super) fn remembered(answer: &AnswerV1) -> Result<Option<&RawDocument>, DocumentError> {
    match answer {
        AnswerV1::Nothing => Ok(None),
        AnswerV1::Document(bytes) => {
            let document = RawDocument::from_bytes(bytes);
            Ok(Some(document.expect("what is remembered was a document")))
        }
        AnswerV1::TooLarge => Err(incomplete("its document is too large to be remembered").into()),
    }
}

/// A command was done before, and what it answered is not known.
pub(super) fn incomplete(why: &str) -> Error {
    let message = format!("the command was done before, and cannot be answered again: {why}");
    Error::new(ErrorCode::INCOMPLETE_TRANSACTION_HISTORY, message)
}

fn number(of: &str, name: &str, value: Value<'_>) -> Result<Option<i32>> {
    match value {
        Value::Missing => Ok(None),
        Value::Int32(number) => Ok(Some(number)),
        other => Err(Error::type_mismatch(format!(
            "BSON field '{of}.{name}' is the wrong type '{}', expected type 'int'",
            other.type_name()
        ))),
    }
}
