//! Breaks, with their records in the same batch.

use lockcore::{Command, Holder, Key, Token};

use super::{Moment, Writer};
use crate::info::BreakRecord;
use crate::records::BreakRecordV1;
use crate::request::Answer;

impl Writer {
    /// Ends a grant by force, and records that.
    pub(super) fn break_lock(
        &mut self,
        key: Key,
        token: Token,
        reason: String,
        moment: Moment<'_>,
    ) -> Answer {
        let held = self.table.lock(&key).and_then(|lock| lock.grant_with(token));
        let holder = held.map(|grant| grant.holder.clone());
        let command = Command::Break { key: key.clone(), token };
        let (transition, holder) = match (self.table.decide(moment.now, &command), holder) {
            (Ok(transition), Some(holder)) => (transition, holder),
            (Err(refusal), _) => return Answer::Refused(refusal),
            (Ok(_), None) => unreachable!("what can be broken is held"),
        };
        self.apply(&transition, moment);
        self.record_break(key, holder, token, reason, moment)
    }

    /// Records a break in the batch that makes it.
    pub(super) fn record_break(
        &mut self,
        key: Key,
        holder: Holder,
        token: Token,
        reason: String,
        moment: Moment<'_>,
    ) -> Answer {
        let record = BreakRecordV1 {
            key: key.as_str().to_owned(),
            holder: holder.as_str().to_owned(),
            token: token.get(),
            reason: reason.clone(),
            at_wall_ms: moment.wall.as_millis(),
        };
        let audit_max = moment.around.audit_max;
        let number = self.numbers.audit(&record, audit_max, &mut self.batch.rows);
        let at = moment.wall;
        Answer::Broken(Box::new(BreakRecord { number, key, holder, token, reason, at }))
    }
}
