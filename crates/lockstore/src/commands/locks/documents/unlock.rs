//! `unlockDocument`.

use bson::RawDocumentBuf;
use docquery::{Document, Error, Value};

use super::failure;
use crate::clock::WallTime;
use crate::commands::Call;
use crate::commands::arguments::Arguments;
use crate::commands::fences;
use crate::commands::find::owned;
use crate::commands::reply::Reply;
use crate::commands::started::Started;
use crate::commands::update::UpdateSpec;
use crate::document_locks::{HeldLocks, LockUpdate, Release, StoredLocks};
use crate::error::{DocumentError, ReleaseDocumentError};
use crate::fence::Fence;
use crate::remote::form::field;

pub(super) fn start(call: &Call<'_>) -> Started {
    Started::Reply(run(call).map_or_else(|error| failure::write_release(&error), |()| released()))
}

fn run(call: &Call<'_>) -> Result<(), ReleaseDocumentError> {
    call.namespace().map_err(DocumentError::from)?;
    let (lock, release) = parse(call.command, call.engine.clock.wall())?;
    if call.write.is_some_and(|write| write.past(0).is_some()) {
        return Ok(());
    }
    let relied_on = fences::parse(call.command).map_err(DocumentError::from)?;
    let locks = StoredLocks::new(call.engine).fenced_by(&relied_on).of(call.write);
    locks.give_back(&lock, release)
}

/// Which lock is to be released, and how.
pub(crate) fn parse(
    command: Document<'_>,
    wall: WallTime,
) -> Result<(Fence, Release), DocumentError> {
    let (lock, release) = arguments(command)?;
    if let Release::Update(update) = &release {
        update.check(i64::try_from(wall.as_millis()).unwrap_or(i64::MAX))?;
    }
    Ok((lock, release))
}

/// The reply of a release that is done.
pub(crate) fn released() -> RawDocumentBuf {
    Reply::new().finish()
}

fn arguments(command: Document<'_>) -> Result<(Fence, Release), Error> {
    let mut arguments = Arguments::of_command("unlockDocument", command)?;
    let lock = fences::required(&mut arguments)?;
    let variables = owned(arguments.document("let")?);
    let update = match arguments.value("update") {
        Value::Missing => None,
        update => Some(UpdateSpec::parse(update, &mut arguments)?.of_lock(variables)),
    };
    arguments.array("arrayFilters")?;
    let delete = arguments.flag("delete")?.unwrap_or(false);
    let unless_rejoined = arguments.flag(field::UNLESS_REJOINED)?.unwrap_or(false);
    arguments.finish()?;
    let update = update.filter(|update| !LockUpdate::is_empty(update));
    let release = match (update, delete, unless_rejoined) {
        (None, false, false) => Release::Unlock,
        (None, false, true) => Release::HandOn,
        (None, true, false) => Release::Delete,
        (Some(update), false, false) => Release::Update(update),
        _ => {
            return Err(Error::bad_value(
                "'unlockDocument' takes one of 'update', 'delete' and 'unlessRejoined' at most",
            ));
        }
    };
    Ok((lock, release))
}
