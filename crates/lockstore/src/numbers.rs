//! The numbers that outlive a run: how far tokens, audit records and the wall clock have come.

use lockcore::Token;

use crate::clock::WallTime;
use crate::records::{BreakRecordV1, Record, TokenRecordV1, WallRecordV1};
use crate::rows::{RowChange, RowKey, TableId};

/// The numbers as they are on disk, and as they have become since.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// No token from here on has been used by this or any earlier run.
    reserved_below: u64,
    /// The wall clock's high-water mark as it is on disk.
    wall_mark: WallTime,
    /// The wall time of the last batch.
    wall_shown: WallTime,
    /// The latest wall time seen by this or any earlier run.
    wall_seen: WallTime,
    /// The numbers of the audit records that are kept: from the first to before the next.
    first_audit: u64,
    next_audit: u64,
}

impl Numbers {
    /// As an opening has found them: tokens are reserved below `reserved_below`, `wall_mark` is on disk,
    /// the wall clock shows `wall_shown`, and audit records are kept from `first_audit` to before `next_audit`.
    pub(crate) fn new(
        reserved_below: u64,
        wall_mark: WallTime,
        wall_shown: WallTime,
        first_audit: u64,
        next_audit: u64,
    ) -> Self {
        let wall_seen = wall_mark.max(wall_shown);
        Self { reserved_below, wall_mark, wall_shown, wall_seen, first_audit, next_audit }
    }

    /// The latest wall time seen: a wall clock that never goes back.
    pub(crate) fn wall_seen(&self) -> WallTime {
        self.wall_seen
    }

    /// Looks at the wall clock. When it has gone back since it was looked at last, the answer is what it
    /// showed then.
    pub(crate) fn see(&mut self, wall: WallTime) -> Option<WallTime> {
        self.wall_seen = self.wall_seen.max(wall);
        let shown = std::mem::replace(&mut self.wall_shown, wall);
        let went_back = wall.as_millis().saturating_add(CLOCK_SLACK_MS) < shown.as_millis();
        went_back.then_some(shown)
    }

    /// The row that a batch needs when it uses tokens up to before `next_token`: tokens are reserved in
    /// blocks, so that few commits touch the counter. After a crash they go on behind the block.
    pub(crate) fn reserve(&mut self, next_token: Token) -> Option<RowChange> {
        if next_token.get() <= self.reserved_below {
            return None;
        }
        self.reserved_below = next_token.get().saturating_add(TOKENS_RESERVED);
        Some(reserve_tokens_below(self.reserved_below))
    }

    /// The row that moves the wall clock's mark, when it lags too far behind.
    pub(crate) fn move_mark(&mut self) -> Option<RowChange> {
        let due = self.wall_mark.as_millis().saturating_add(WALL_MARK_LAG_MS);
        if self.wall_seen.as_millis() <= due {
            return None;
        }
        self.wall_mark = self.wall_seen;
        Some(mark_wall(self.wall_mark))
    }

    /// Numbers a break, and adds to `rows` its record and the deletion of those that are too many.
    pub(crate) fn audit(
        &mut self,
        record: &BreakRecordV1,
        audit_max: u64,
        rows: &mut Vec<RowChange>,
    ) -> u64 {
        let number = self.next_audit;
        let row = RowKey::audit(number);
        let value = record.to_row(&row);
        rows.push(RowChange::put(TableId::Audit, row, value));
        self.next_audit += 1;
        while self.next_audit - self.first_audit > audit_max {
            rows.push(RowChange::delete(TableId::Audit, RowKey::audit(self.first_audit)));
            self.first_audit += 1;
        }
        number
    }

    /// The rows of a clean close: the tokens that were reserved and not used are given back, so that the
    /// next run goes on without a gap, and the time is noted.
    pub(crate) fn farewell(&mut self, next_token: Token, wall: WallTime) -> [RowChange; 2] {
        self.see(wall);
        [reserve_tokens_below(next_token.get()), mark_wall(self.wall_seen)]
    }
}

/// The row that reserves all tokens below this one.
fn reserve_tokens_below(reserved_below: u64) -> RowChange {
    let value = TokenRecordV1 { reserved_below }.to_row(&RowKey::TOKEN);
    RowChange::put(TableId::Meta, RowKey::TOKEN, value)
}

fn mark_wall(wall: WallTime) -> RowChange {
    let value = WallRecordV1 { mark_ms: wall.as_millis() }.to_row(&RowKey::WALL);
    RowChange::put(TableId::Meta, RowKey::WALL, value)
}

/// How many tokens are reserved at once.
const TOKENS_RESERVED: u64 = 4_096;
/// How far the wall clock's mark on disk may lag behind, in ms.
const WALL_MARK_LAG_MS: u64 = 10_000;
/// How far the wall clock may be corrected backwards without a word, in ms.
const CLOCK_SLACK_MS: u64 = 1_000;
