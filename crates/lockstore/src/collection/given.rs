//! What callers give: values of their own types, and what they become as BSON.

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::time::Duration;

use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};
use docquery::{Error, ErrorCode, Value, Writer, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bounded::Bounded;
use super::place::Place;
use super::{Collection, Hint};
use crate::documents::plan;
use crate::error::DocumentError;
pub(super) use crate::operations::Held;
use crate::operations::{Selector, check_collation};

/// What most requests have in common. A value that cannot be used fails the request when it is run.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) selector: Selector,
    max_time: Option<Duration>,
    comment: Option<Box<Bson>>,
    failed: Option<DocumentError>,
}

impl Asked {
    /// A request about what matches `filter`.
    pub(super) fn about(filter: &impl Serialize) -> Self {
        match argument(filter) {
            Ok(filter) => {
                let selector = Selector::about(filter);
                Self { selector, max_time: None, comment: None, failed: None }
            }
            Err(error) => Self { failed: Some(error), ..Self::default() },
        }
    }

    /// The value as a document; `None` if it is none, which is remembered.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Option<RawDocumentBuf> {
        self.keep(argument(value))
    }

    /// What was given, unless it cannot be used, which is remembered.
    pub(super) fn keep<V>(&mut self, given: Result<V, DocumentError>) -> Option<V> {
        given.map_err(|error| self.failed.get_or_insert(error).clone()).ok()
    }

    pub(super) fn set_sort(&mut self, sort: &impl Serialize) {
        self.selector.sort = self.document(sort);
    }

    pub(super) fn set_variables(&mut self, variables: &impl Serialize) {
        self.selector.variables = self.document(variables);
    }

    pub(super) fn set_hint(&mut self, hint: Hint) {
        let hint = match hint {
            Hint::Name(name) => Ok(plan::Hint::Name(name.into())),
            Hint::Keys(keys) => argument(&keys).and_then(|keys| Ok(plan::Hint::parse(&keys)?)),
        };
        self.selector.hint = self.keep(hint).unwrap_or_default();
    }

    pub(super) fn set_collation(&mut self, collation: &impl Serialize) {
        let checked = argument(collation).and_then(|collation| {
            check_collation((&*collation).into()).map_err(DocumentError::from)
        });
        self.keep(checked);
    }

    pub(super) fn set_comment(&mut self, comment: Bson) {
        self.comment = Some(Box::new(comment));
    }

    /// As everywhere in MongoDB, no time is no limit.
    pub(super) fn set_max_time(&mut self, max_time: Duration) {
        self.max_time = Some(max_time).filter(|limit| !limit.is_zero());
    }

    /// Checks that all that was given can be used.
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Begins the request: its time runs from here.
    pub(super) fn place<'c, T>(
        &self,
        collection: &'c Collection<T>,
    ) -> Result<Place<'c>, DocumentError> {
        self.check()?;
        match (collection.place(self.max_time)?, &self.comment) {
            (Place::There(place), Some(comment)) => {
                let comment = argument(&doc! { "comment": (**comment).clone() })?;
                Ok(Place::There(place.commented(Some(comment))))
            }
            (place, _) => Ok(place),
        }
    }
}

/// The value as a document that is sound, and may be an argument: as deep as one of a command.
pub(super) fn argument(value: &impl Serialize) -> Result<RawDocumentBuf, DocumentError> {
    let document = document(value)?;
    limits::check_bson(&document, limits::EXPRESSION_DEPTH_MAX)?;
    Ok(document)
}

/// The value as a document, which has not been checked but for its depth.
pub(super) fn document(value: &impl Serialize) -> Result<RawDocumentBuf, DocumentError> {
    let exceeded = Cell::new(false);
    let bounded = Bounded::new(value, LEVELS_MAX, &exceeded);
    bson::serialize_to_raw_document_buf(&bounded).map_err(|error| {
        if exceeded.get() {
            let message = format!("the value is nested deeper than {LEVELS_MAX} levels");
            return Error::new(ErrorCode::OVERFLOW, message).into();
        }
        DocumentError::Serialize(Box::new(error))
    })
}

impl Held {
    /// The value, if it may be an argument.
    pub(super) fn new(value: &impl Serialize) -> Result<Self, DocumentError> {
        /// An array is no document, but a document may hold one.
        #[derive(Serialize)]
        struct Holder<'v, V> {
            held: &'v V,
        }
        let holder = document(&Holder { held: value })?;
        limits::check_bson(&holder, LEVELS_MAX)?;
        Ok(Self::holding(holder))
    }
}

/// A document that was found, as a value of the caller's type.
///
/// A `RawDocumentBuf` is given as it is. A `Document` is parsed without serde, which is faster, and takes much less of the stack for
/// each level: in a program that is not optimised, 100 levels would be too much for a thread.
pub(super) fn read<T: DeserializeOwned + 'static>(
    document: RawDocumentBuf,
) -> Result<T, DocumentError> {
    let kind = TypeId::of::<T>();
    let read = if kind == TypeId::of::<RawDocumentBuf>() {
        Ok(same(document))
    } else if kind == TypeId::of::<Document>() {
        Document::try_from(&*document).map(same)
    } else {
        bson::deserialize_from_slice(document.as_bytes())
    };
    read.map_err(|error| DocumentError::Deserialize(Box::new(error)))
}

/// A value of a type that is known by now to be `T`.
fn same<V: 'static, T: 'static>(value: V) -> T {
    let value: &mut dyn Any = &mut Some(value);
    let value = value.downcast_mut::<Option<T>>().and_then(Option::take);
    value.expect("the types are the same")
}

/// A value of a document that is stored.
pub(super) fn parsed(value: RawBson) -> Bson {
    value.try_into().expect("what is stored has passed a check")
}

/// A value that was computed.
///
/// # Errors
///
/// It came from elsewhere, and is not sound.
pub(super) fn parsed_value(value: Value<'_>) -> Result<Bson, DocumentError> {
    let mut fields = Writer::new();
    fields.field("value", value);
    let fields =
        RawDocumentBuf::from_bytes(fields.finish()).expect("what was written is a document");
    let mut fields = read::<Document>(fields)?;
    Ok(fields.remove("value").unwrap_or(Bson::Null))
}

/// An error that says that an argument is of the wrong kind.
pub(super) fn refused(message: &str) -> DocumentError {
    Error::new(ErrorCode::BAD_VALUE, message).into()
}

/// How many levels a value is written down to: those that an argument may have, and one that holds it.
const LEVELS_MAX: usize = limits::EXPRESSION_DEPTH_MAX + 1;
