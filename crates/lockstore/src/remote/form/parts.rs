//! What fields are made of.

use std::time::Duration;

use docquery::{Error, Result, Value, Writer};
use lockcore::{
    Granted, HeldBy, Holder, Instant, Key, Lease, Mode, SessionId, Token, Ttl, WaiterId,
};

use super::field;
use crate::clock::WallTime;
use crate::commands::Arguments;

/// A number as a value. Those beyond a long's are points in time that nobody lives to see.
pub(crate) fn number(number: u64) -> Value<'static> {
    Value::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A number that may be missing.
pub(crate) fn optional(number: Option<u64>) -> Value<'static> {
    number.map_or(Value::Missing, self::number)
}

/// A count as a value.
pub(crate) fn count(count: usize) -> Value<'static> {
    number(count as u64)
}

pub(crate) fn instant(at: Option<Instant>) -> Value<'static> {
    optional(at.map(Instant::as_nanos))
}

pub(crate) fn uuid(bytes: &[u8; 16]) -> Value<'_> {
    Value::Binary { subtype: UUID, bytes }
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn mode(mode: Mode) -> Value<'static> {
    Value::String(match mode {
        Mode::Exclusive => "exclusive",
        Mode::Shared => "shared",
    })
}

pub(crate) fn write_lease(lease: Option<Lease>, fields: &mut Writer) {
    fields.field(field::TTL_MS, optional(lease.map(|lease| lease.ttl.as_millis())));
    fields.field(field::EXPIRES_AT_NS, instant(lease.map(|lease| lease.expires_at)));
}

pub(crate) fn write_granted(granted: &Granted, fields: &mut Writer) {
    fields.field(field::TOKEN, number(granted.token.get()));
    write_lease(granted.lease, fields);
    fields.field(field::REJOINED, Value::Bool(granted.rejoined));
}

pub(crate) fn write_held_by(by: &HeldBy, fields: &mut Writer) {
    fields.open_document(field::HELD_BY);
    fields.field(field::MODE, mode(by.mode));
    fields.field(field::HOLDER, Value::String(&by.holder));
    fields.field(field::TOKEN, number(by.token.get()));
    fields.field(field::EXPIRES_AT_NS, instant(by.expires_at));
    fields.close();
}

/// Reading: each of these takes one field.
impl<'a> Arguments<'a> {
    /// What must be there.
    pub(crate) fn need<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        let found = read(self, name)?;
        self.required(name, found)
    }

    pub(crate) fn instant(&mut self, name: &str) -> Result<Option<Instant>> {
        Ok(self.count(name)?.map(Instant::from_nanos))
    }

    pub(crate) fn wall_time(&mut self, name: &str) -> Result<Option<WallTime>> {
        Ok(self.count(name)?.map(WallTime::from_millis))
    }

    pub(crate) fn size(&mut self, name: &str) -> Result<Option<usize>> {
        Ok(self.count(name)?.map(|count| usize::try_from(count).unwrap_or(usize::MAX)))
    }

    pub(crate) fn token(&mut self, name: &str) -> Result<Option<Token>> {
        self.numbered(name, Token::new)
    }

    pub(crate) fn session(&mut self, name: &str) -> Result<Option<SessionId>> {
        self.numbered(name, SessionId::new)
    }

    pub(crate) fn waiter(&mut self, name: &str) -> Result<Option<WaiterId>> {
        self.numbered(name, WaiterId::new)
    }

    pub(crate) fn ttl(&mut self, name: &str) -> Result<Option<Ttl>> {
        let millis = self.count(name)?;
        millis.map(Ttl::from_millis).transpose().map_err(|error| bad(name, &error))
    }

    pub(crate) fn uuid(&mut self, name: &str) -> Result<Option<[u8; 16]>> {
        match self.value(name) {
            Value::Missing => Ok(None),
            Value::Binary { bytes, .. } => {
                bytes.try_into().map(Some).map_err(|_| bad(name, &"16 bytes"))
            }
            _ => Err(bad(name, &"16 bytes")),
        }
    }

    pub(crate) fn key(&mut self, name: &str) -> Result<Option<Key>> {
        self.text(name)?.map(Key::new).transpose().map_err(|error| bad(name, &error))
    }

    pub(crate) fn holder(&mut self, name: &str) -> Result<Option<Holder>> {
        self.text(name)?.map(Holder::new).transpose().map_err(|error| bad(name, &error))
    }

    pub(crate) fn mode(&mut self, name: &str) -> Result<Option<Mode>> {
        self.text(name)?
            .map(|text| match text {
                "exclusive" => Ok(Mode::Exclusive),
                "shared" => Ok(Mode::Shared),
                other => Err(bad(name, &format!("'exclusive' or 'shared', not '{other}'"))),
            })
            .transpose()
    }

    /// The lease of a grant.
    pub(crate) fn lease(&mut self) -> Result<Option<Lease>> {
        let (ttl, expires_at) = (self.ttl(field::TTL_MS)?, self.instant(field::EXPIRES_AT_NS)?);
        Ok(ttl.zip(expires_at).map(|(ttl, expires_at)| Lease { ttl, expires_at }))
    }

    pub(crate) fn granted(&mut self) -> Result<Granted> {
        Ok(Granted {
            token: self.need(field::TOKEN, Self::token)?,
            lease: self.lease()?,
            rejoined: self.need(field::REJOINED, Self::boolean)?,
        })
    }

    pub(crate) fn held_by(&mut self) -> Result<HeldBy> {
        let by = self.need(field::HELD_BY, Self::document)?;
        let mut by = Arguments::new(field::HELD_BY, by)?;
        Ok(HeldBy {
            mode: by.need(field::MODE, Self::mode)?,
            holder: by.need(field::HOLDER, Self::holder)?,
            token: by.need(field::TOKEN, Self::token)?,
            expires_at: by.instant(field::EXPIRES_AT_NS)?,
        })
    }

    /// The documents of an array.
    pub(crate) fn documents<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(Arguments<'a>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let items = self.need(name, Self::array)?;
        let documents = items.iter().map(|item| match item {
            Value::Document(document) => read(Arguments::new(name, document)?),
            other => Err(Error::type_mismatch(format!(
                "BSON field '{name}' has a '{}' in it, expected documents",
                other.type_name()
            ))),
        });
        documents.collect()
    }

    fn numbered<T>(&mut self, name: &str, of: impl FnOnce(u64) -> Option<T>) -> Result<Option<T>> {
        let Some(number) = self.count(name)? else { return Ok(None) };
        of(number).map(Some).ok_or_else(|| bad(name, &"a number above 0"))
    }
}

/// BSON's subtype.
const UUID: u8 = 4;

/// A value that is none of those that may be.
pub(crate) fn bad(name: &str, expected: &impl std::fmt::Display) -> Error {
    Error::bad_value(format!("BSON field '{name}' is not as it should be: {expected}"))
}
