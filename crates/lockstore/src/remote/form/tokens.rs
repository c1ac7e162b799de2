//! Tokens that are to begin higher, and why they do not.

use bson::{RawDocument, RawDocumentBuf};
use lockcore::Token;

use super::code::Code;
use super::parts::number;
use super::{Came, came, failure, field, nonsense, store_error, success};
use crate::commands::Arguments;
use crate::tokens::ReserveTokensError;

pub(crate) fn reply(reserved: &Result<Token, ReserveTokensError>) -> RawDocumentBuf {
    match reserved {
        Ok(next) => success(|fields| fields.field(field::TOKEN, number(next.get()))),
        Err(ReserveTokensError::Store(error)) => store_error::reply(error),
        Err(error @ ReserveTokensError::TooHigh { at_least, highest }) => {
            failure(&error.to_string(), Code::LockTokensTooHigh, |fields| {
                fields.field(field::TOKEN, number(at_least.get()));
                fields.field(field::MAX, number(highest.get()));
            })
        }
    }
}

pub(crate) fn read(reply: &RawDocument) -> Result<Token, ReserveTokensError> {
    match came(reply)? {
        Came::Success(mut fields) => {
            Ok(fields.need(field::TOKEN, Arguments::token).map_err(nonsense)?)
        }
        Came::Failure(Code::LockTokensTooHigh, mut fields) => {
            let at_least = fields.need(field::TOKEN, Arguments::token).map_err(nonsense)?;
            let highest = fields.need(field::MAX, Arguments::token).map_err(nonsense)?;
            Err(ReserveTokensError::TooHigh { at_least, highest })
        }
        Came::Failure(code, fields) => Err(store_error::read(code, fields).into()),
    }
}
