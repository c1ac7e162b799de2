//! Questions about locks and about the store, and what is done to the store as a whole.

use std::borrow::Cow;

use bson::RawDocumentBuf;
use docquery::{Document, Result, Value, Writer};
use lockcore::{Holder, Key, Token};

use super::call::user_key;
use super::parts::{count, number, optional};
use super::{document, field};
use crate::commands::Arguments;

/// A command that is no call about one lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    IsHeld { key: Key, holder: Option<Holder> },
    Inspect { key: Key },
    List { prefix: Cow<'a, str>, after: Option<Cow<'a, str>>, limit: Option<usize> },
    Audit { before: Option<u64>, limit: Option<usize> },
    Subscribe { prefix: Cow<'a, str>, events_max: Option<usize> },
    NextEvents { subscription: u64 },
    Unsubscribe { subscription: u64 },
    Sessions,
    Stats,
    Recovery,
    Check,
    StoreId,
    ReserveTokens { at_least: Token },
    Backup { path: Cow<'a, str> },
    Compact,
}

impl<'a> Query<'a> {
    /// Its command.
    pub(crate) fn write(&self) -> RawDocumentBuf {
        let mut fields = Writer::new();
        match self {
            Self::IsHeld { key, holder } => {
                fields.field(IS_HELD, Value::String(key));
                fields.field(field::HOLDER, text(holder.as_deref()));
            }
            Self::Inspect { key } => fields.field(INSPECT, Value::String(key)),
            Self::List { prefix, after, limit } => {
                fields.field(LIST, Value::String(prefix));
                fields.field(field::AFTER, text(after.as_deref()));
                fields.field(field::LIMIT, limit.map_or(Value::Missing, count));
            }
            Self::Audit { before, limit } => {
                fields.field(AUDIT, Value::Int32(1));
                fields.field(field::BEFORE, optional(*before));
                fields.field(field::LIMIT, limit.map_or(Value::Missing, count));
            }
            Self::Subscribe { prefix, events_max } => {
                fields.field(SUBSCRIBE, Value::String(prefix));
                fields.field(field::EVENTS_MAX, events_max.map_or(Value::Missing, count));
            }
            Self::NextEvents { subscription } => fields.field(NEXT_EVENTS, number(*subscription)),
            Self::Unsubscribe { subscription } => fields.field(UNSUBSCRIBE, number(*subscription)),
            Self::Sessions => fields.field(SESSIONS, Value::Int32(1)),
            Self::Stats => fields.field(STATS, Value::Int32(1)),
            Self::Recovery => fields.field(RECOVERY, Value::Int32(1)),
            Self::Check => fields.field(CHECK, Value::Int32(1)),
            Self::StoreId => fields.field(STORE_ID, Value::Int32(1)),
            Self::ReserveTokens { at_least } => {
                fields.field(RESERVE_TOKENS, number(at_least.get()));
            }
            Self::Backup { path } => fields.field(BACKUP, Value::String(path)),
            Self::Compact => fields.field(COMPACT, Value::Int32(1)),
        }
        document(fields)
    }

    /// The query of a command; `None` when it is none of these.
    pub(crate) fn parse(name: &str, command: Document<'a>) -> Option<Result<Self>> {
        let name = *NAMES.iter().find(|it| **it == name)?;
        Some(Arguments::new(name, command).and_then(|arguments| Self::read(name, arguments)))
    }

    fn read(name: &'static str, mut arguments: Arguments<'a>) -> Result<Self> {
        let query = match name {
            IS_HELD => Self::IsHeld {
                key: user_key(&mut arguments, name)?,
                holder: arguments.holder(field::HOLDER)?,
            },
            INSPECT => Self::Inspect { key: user_key(&mut arguments, name)? },
            LIST => Self::List {
                prefix: arguments.need(name, Arguments::text)?.into(),
                after: arguments.text(field::AFTER)?.map(Cow::from),
                limit: arguments.size(field::LIMIT)?,
            },
            SUBSCRIBE => Self::Subscribe {
                prefix: arguments.need(name, Arguments::text)?.into(),
                events_max: arguments.size(field::EVENTS_MAX)?,
            },
            NEXT_EVENTS => {
                Self::NextEvents { subscription: arguments.need(name, Arguments::count)? }
            }
            UNSUBSCRIBE => {
                Self::Unsubscribe { subscription: arguments.need(name, Arguments::count)? }
            }
            RESERVE_TOKENS => {
                Self::ReserveTokens { at_least: arguments.need(name, Arguments::token)? }
            }
            BACKUP => Self::Backup { path: arguments.need(name, Arguments::text)?.into() },
            // These are about nothing in particular.
            _ => {
                arguments.value(name);
                match name {
                    AUDIT => Self::Audit {
                        before: arguments.count(field::BEFORE)?,
                        limit: arguments.size(field::LIMIT)?,
                    },
                    SESSIONS => Self::Sessions,
                    RECOVERY => Self::Recovery,
                    CHECK => Self::Check,
                    STORE_ID => Self::StoreId,
                    COMPACT => Self::Compact,
                    _ => Self::Stats,
                }
            }
        };
        arguments.finish().map(|()| query)
    }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Missing, Value::String)
}

const IS_HELD: &str = "lockIsHeld";
const INSPECT: &str = "lockInspect";
const LIST: &str = "lockList";
const AUDIT: &str = "lockAudit";
const SUBSCRIBE: &str = "lockSubscribe";
const NEXT_EVENTS: &str = "lockNextEvents";
const UNSUBSCRIBE: &str = "lockUnsubscribe";
const SESSIONS: &str = "lockSessions";
const STATS: &str = "lockStats";
const RECOVERY: &str = "lockRecovery";
const CHECK: &str = "lockCheck";
const STORE_ID: &str = "lockStoreId";
const RESERVE_TOKENS: &str = "lockReserveTokens";
const BACKUP: &str = "lockBackup";
const COMPACT: &str = "lockCompact";

const NAMES: [&str; 15] = [
    IS_HELD,
    INSPECT,
    LIST,
    AUDIT,
    SUBSCRIBE,
    NEXT_EVENTS,
    UNSUBSCRIBE,
    SESSIONS,
    STATS,
    RECOVERY,
    CHECK,
    STORE_ID,
    RESERVE_TOKENS,
    BACKUP,
    COMPACT,
];
