//! Places in MongoDB where it fails, or waits, when a test has it do so.

use std::io;

use lockstore::bson::{RawBson, RawDocument, RawDocumentBuf, rawdoc};

use super::{MemberNumber, ReplicaSet};

/// A fail point of a member. It is off again when this is dropped.
///
/// A member has one of each name: of two tests that set the same, the later takes it from the other.
///
/// ```no_run
/// use lockstore::bson::rawdoc;
/// use lockstore_testkit::replica_set::ReplicaSet;
///
/// let set = ReplicaSet::start()?;
/// let lost = rawdoc! { "failCommands": ["update"], "closeConnection": true };
/// let failing = set.fail_point("failCommand", rawdoc! { "times": 1 }, &lost)?;
/// // The next update of anybody ends without a reply.
/// drop(failing);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "the fail point is off when this is dropped"]
pub struct FailPoint<'s> {
    set: &'s ReplicaSet,
    member: MemberNumber,
    name: &'static str,
    entered_before: i64,
}

impl ReplicaSet {
    /// Sets a fail point of the primary: `mode` says how often it does what `data` says, as MongoDB's `configureFailPoint` has them.
    ///
    /// # Errors
    ///
    /// There is no primary, or it refuses that.
    pub fn fail_point(
        &self,
        name: &'static str,
        mode: impl Into<RawBson>,
        data: &RawDocument,
    ) -> io::Result<FailPoint<'_>> {
        let member = self.primary()?;
        let set = rawdoc! {
            "configureFailPoint": name, "mode": mode.into(), "data": data.to_owned(), "$db": "admin",
        };
        let reply = self.run_well(member, &set)?;
        let count = reply.get("count").map_err(io::Error::other)?;
        let entered_before = match count {
            Some(count) => count.as_i64().or(count.as_i32().map(i64::from)).unwrap_or(0),
            None => 0,
        };
        Ok(FailPoint { set: self, member, name, entered_before })
    }

    /// Runs a command that is not to be refused.
    fn run_well(
        &self,
        member: MemberNumber,
        command: &RawDocumentBuf,
    ) -> io::Result<RawDocumentBuf> {
        let reply = self.run(member, command)?;
        if matches!(reply.get_f64("ok"), Ok(1.0)) {
            Ok(reply)
        } else {
            Err(io::Error::other(format!("{reply:?}")))
        }
    }
}

impl FailPoint<'_> {
    /// Waits until it was come to for the first time since it was set.
    ///
    /// # Errors
    ///
    /// It was not in a minute.
    pub fn wait_until_entered(&self) -> io::Result<()> {
        let wait = rawdoc! {
            "waitForFailPoint": self.name, "timesEntered": self.entered_before + 1, "maxTimeMS": 60_000,
            "$db": "admin",
        };
        self.set.run_well(self.member, &wait).map(drop)
    }
}

impl Drop for FailPoint<'_> {
    fn drop(&mut self) {
        let off = rawdoc! { "configureFailPoint": self.name, "mode": "off", "$db": "admin" };
        // A member that does not run any more has none.
        let _ = self.set.run(self.member, &off);
    }
}
