//! What a store tells about itself: figures under their names.

use std::time::Duration;

use docquery::{Error, Result, Value, Writer};

use super::field;
use super::parts::{count, number, optional};
use crate::clock::WallTime;
use crate::commands::Arguments;
use crate::info::Stats;
use crate::maintenance::CheckReport;
use crate::recovery::Recovery;

/// Declares how the figures of a type are written and read: each under its name.
macro_rules! figures {
    ($type:ident, $write:ident, $read:ident: $($figure:ident = $name:literal by $to:ident, $from:ident;)*) => {
        pub(crate) fn $write(figures: &$type, fields: &mut Writer) {
            $(fields.field($name, $to(figures.$figure));)*
        }

        pub(crate) fn $read(fields: &mut Arguments<'_>) -> Result<$type> {
            Ok($type { $($figure: fields.need($name, Arguments::$from)?,)* ..$type::default() })
        }
    };
}

figures! { Stats, write_stats, read_stats:
    locks = "locks" by count, size;
    document_locks = "documentLocks" by count, size;
    waiters = "waiters" by count, size;
    sessions = "sessions" by count, size;
    client_sessions = "clientSessions" by count, size;
    commits = "commits" by number, count;
    requests = "requests" by number, count;
    batch_max = "batchMax" by count, size;
    file_bytes = "fileBytes" by number, count;
    cached_bytes = "cachedBytes" by count, size;
    audit_records = "auditRecords" by number, count;
    collections = "collections" by count, size;
    indexes = "indexes" by count, size;
    documents = "documents" by number, count;
    index_entries = "indexEntries" by number, count;
}

figures! { CheckReport, write_checked, read_checked:
    grants = "grants" by number, count;
    sessions = "sessions" by number, count;
    client_sessions = "clientSessions" by number, count;
    audit_records = "auditRecords" by number, count;
    documents = "documents" by number, count;
    index_entries = "indexEntries" by number, count;
}

figures! { Recovery, write_recovered, read_recovered:
    held = "held" by number, count;
    graced = "graced" by number, count;
    expired = "expired" by number, count;
    sessions_ended = "sessionsEnded" by number, count;
    sessions = "sessions" by number, count;
}

pub(crate) fn write_check(report: &CheckReport, fields: &mut Writer) {
    write_checked(report, fields);
    fields.open_array(PROBLEMS);
    for problem in &report.problems {
        fields.item(Value::String(problem));
    }
    fields.close();
}

pub(crate) fn read_check(fields: &mut Arguments<'_>) -> Result<CheckReport> {
    let report = read_checked(fields)?;
    let problems = fields.need(PROBLEMS, Arguments::array)?;
    let problems = problems.iter().map(|problem| match problem {
        Value::String(problem) => Ok(problem.to_owned()),
        other => Err(Error::type_mismatch(format!("a problem is a {}", other.type_name()))),
    });
    Ok(CheckReport { problems: problems.collect::<Result<_>>()?, ..report })
}

pub(crate) fn write_recovery(recovery: &Recovery, fields: &mut Writer) {
    write_recovered(recovery, fields);
    let mark = recovery.clock_went_backwards;
    fields.field(field::MARK_MS, optional(mark.map(WallTime::as_millis)));
    fields.field(TOOK_NS, number(super::parts::nanos(recovery.took)));
}

pub(crate) fn read_recovery(fields: &mut Arguments<'_>) -> Result<Recovery> {
    Ok(Recovery {
        clock_went_backwards: fields.wall_time(field::MARK_MS)?,
        took: Duration::from_nanos(fields.need(TOOK_NS, Arguments::count)?),
        ..read_recovered(fields)?
    })
}

const PROBLEMS: &str = "problems";
const TOOK_NS: &str = "tookNS";
