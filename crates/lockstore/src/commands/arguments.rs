//! The arguments of a command, taken one by one, with the checks and errors that MongoDB's own command descriptions give.

use std::collections::HashSet;

use docquery::number::Number;
use docquery::{Array, Document, Error, Result, Value};

pub(super) use crate::operations::raw;

/// The fields of a command, or of a document inside one. What is not taken by the time of [`Arguments::finish`] is unknown.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    /// What the fields belong to, for errors: `count`, `update.updates`.
    of: &'static str,
    fields: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Arguments<'a> {
    /// The fields of `document`.
    pub(crate) fn new(of: &'static str, document: Document<'a>) -> Result<Self> {
        let mut names = HashSet::new();
        let mut fields = Vec::new();
        for (name, value) in document {
            if !names.insert(name) {
                return Err(Error::location(
                    40413,
                    format!("BSON field '{of}.{name}' is a duplicate field"),
                ));
            }
            fields.push((name, value));
        }
        Ok(Self { of, fields })
    }

    /// The arguments of the command `name`, but for what it is about.
    pub(crate) fn of_command(name: &'static str, command: Document<'a>) -> Result<Self> {
        let mut arguments = Self::new(name, command)?;
        arguments.value(name);
        Ok(arguments)
    }

    /// The field `name`, as it is; `Missing` if there is none.
    pub(crate) fn value(&mut self, name: &str) -> Value<'a> {
        match self.fields.iter().position(|(key, _)| *key == name) {
            Some(place) => self.fields.swap_remove(place).1,
            None => Value::Missing,
        }
    }

    /// The field `name` if it has a value: null and undefined count as none.
    pub(crate) fn present(&mut self, name: &str) -> Option<Value<'a>> {
        Some(self.value(name)).filter(|value| !value.is_nullish())
    }

    /// A document.
    pub(crate) fn document(&mut self, name: &str) -> Result<Option<Document<'a>>> {
        self.typed(name, "type 'object'", docquery::Value::as_document)
    }

    /// A document; null is of the wrong type too.
    pub(crate) fn strict_document(&mut self, name: &str) -> Result<Option<Document<'a>>> {
        match self.value(name) {
            Value::Missing => Ok(None),
            Value::Document(document) => Ok(Some(document)),
            other => Err(Error::type_mismatch(format!(
                "Expected field {name} to be of type object, found {}",
                other.type_name()
            ))),
        }
    }

    /// An array.
    pub(crate) fn array(&mut self, name: &str) -> Result<Option<Array<'a>>> {
        self.typed(name, "type 'array'", docquery::Value::as_array)
    }

    /// An array; null is of the wrong type too.
    pub(crate) fn strict_array(&mut self, name: &str) -> Result<Option<Array<'a>>> {
        match self.value(name) {
            Value::Missing => Ok(None),
            Value::Array(array) => Ok(Some(array)),
            other => Err(Error::type_mismatch(format!(
                "'{name}' option must be specified as an array, not {}",
                other.type_name()
            ))),
        }
    }

    /// A string.
    pub(crate) fn text(&mut self, name: &str) -> Result<Option<&'a str>> {
        self.typed(name, "type 'string'", docquery::Value::as_str)
    }

    /// A boolean, of no other type.
    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "type 'bool'", docquery::Value::as_bool)
    }

    /// A boolean, or a number that is taken for one.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>> {
        self.typed(name, "types '[bool, long, int, decimal, double]'", |value| {
            let taken = value.is_number() || value.as_bool().is_some();
            taken.then(|| value.is_truthy())
        })
    }

    /// A number, cut to a whole one of 64 bits. A decimal is rounded to the nearest, as on the server.
    pub(crate) fn integer(&mut self, name: &str) -> Result<Option<i64>> {
        self.typed(name, "types '[long, int, decimal, double]'", |value| match value {
            Value::Decimal(number) => Some(
                number
                    .to_nearest_whole()
                    .unwrap_or_else(|| Number::Decimal(*number).saturating_i64()),
            ),
            value => Number::of(*value).map(Number::saturating_i64),
        })
    }

    /// A number that is not negative, cut to a whole one.
    pub(crate) fn count(&mut self, name: &str) -> Result<Option<u64>> {
        let Some(number) = self.integer(name)? else { return Ok(None) };
        u64::try_from(number).map(Some).map_err(|_| {
            let of = self.of;
            Error::location(
                51024,
                format!("BSON field '{name}' value must be >= 0, actual value '{number}' ({of})"),
            )
        })
    }

    /// What must be there.
    pub(crate) fn required<T>(&self, name: &str, found: Option<T>) -> Result<T> {
        found.ok_or_else(|| {
            let of = self.of;
            Error::location(
                40414,
                format!("BSON field '{of}.{name}' is missing but a required field"),
            )
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// Fields are left that nobody has asked for.
    pub(crate) fn finish(self) -> Result<()> {
        match self.fields.iter().find(|(name, _)| !GENERIC.contains(name)) {
            None => Ok(()),
            Some((name, _)) => {
                let of = self.of;
                Err(Error::location(
                    40415,
                    format!("BSON field '{of}.{name}' is an unknown field."),
                ))
            }
        }
    }

    fn typed<T>(
        &mut self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Value<'a>) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.present(name) else { return Ok(None) };
        match read(&value) {
            Some(read) => Ok(Some(read)),
            None => Err(Error::type_mismatch(format!(
                "BSON field '{}.{name}' is the wrong type '{}', expected {expected}",
                self.of,
                value.type_name()
            ))),
        }
    }
}

/// The arguments that every command takes.
const GENERIC: &[&str] = &[
    "$audit",
    "$client",
    "$clusterTime",
    "$configServerState",
    "$configTime",
    "$db",
    "$queryOptions",
    "$readPreference",
    "$replData",
    "$tenant",
    "$topologyTime",
    "allowImplicitCollectionCreation",
    "apiDeprecationErrors",
    "apiStrict",
    "apiVersion",
    "autocommit",
    "comment",
    "coordinator",
    "databaseVersion",
    "help",
    "lockFences",
    "lockRetry",
    "lockTransaction",
    "lsid",
    "maxTimeMS",
    "maxTimeMSOpOnly",
    "mayBypassWriteBlocking",
    "readConcern",
    "shardVersion",
    "startTransaction",
    "stmtId",
    "tracking_info",
    "txnNumber",
    "txnRetryCounter",
    "writeConcern",
];

#[cfg(test)]
mod tests {
    use super::*;
    use bson::rawdoc;

    #[track_caller]
    fn check<T: std::fmt::Debug + PartialEq>(read: Result<T>, expected: Result<T, i32>) {
        let read = read.map_err(|error| error.code().value());
        match (read, expected) {
            (Ok(read), Ok(expected)) => assert_eq!(read, expected),
            (Err(read), Err(expected)) => assert_eq!(read, expected),
            (read, expected) => panic!("{read:?} in place of {expected:?}"),
        }
    }

    #[test]
    fn an_argument_has_one_of_its_types_or_is_not_there() {
        let command = rawdoc! {
            "text": "a", "yes": true, "one": 1_i32, "none": bson::RawBson::Null, "half": 1.5, "below": -1_i64,
        };
        let mut arguments = Arguments::new("find", (&*command).into()).unwrap();
        check(arguments.boolean("one"), Err(14));
        check(arguments.flag("half"), Ok(Some(true)));
        check(arguments.flag("text"), Err(14));
        check(arguments.integer("none"), Ok(None));
        check(arguments.count("below"), Err(51024));
        check(arguments.boolean("yes"), Ok(Some(true)));
        check(arguments.text("absent"), Ok(None));
        check(arguments.finish(), Ok(()));
    }

    #[test]
    fn what_nobody_asks_for_is_unknown_and_what_every_command_takes_is_not() {
        let command = rawdoc! { "comment": "a", "$db": "test" };
        check(Arguments::new("find", (&*command).into()).unwrap().finish(), Ok(()));
        let command = rawdoc! { "Filter": {} };
        check(Arguments::new("find", (&*command).into()).unwrap().finish(), Err(40415));
    }
}
