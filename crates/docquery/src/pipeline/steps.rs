//! How often a stage asks whether it may go on.

use std::cell::Cell;

use super::Workspace;
use crate::Result;

/// Counts the steps of a stage, which are about a document each, and asks its workspace every so many of them whether
/// the operation is over: its time is up, or who runs it stops. Nothing here knows a clock, and none is read for each document.
#[derive(Debug)]
pub(crate) struct Steps {
    /// How many there are until the workspace is asked.
    left: Cell<usize>,
}

impl Steps {
    /// Counts `steps` that are about to be done.
    ///
    /// # Errors
    ///
    /// What [`Workspace::check_for_interrupt`] gives.
    pub(crate) fn take(&self, steps: usize, workspace: &dyn Workspace) -> Result<()> {
        if let Some(left) = self.left.get().checked_sub(steps) {
            self.left.set(left);
            return Ok(());
        }
        self.left.set(STEPS);
        workspace.check_for_interrupt()
    }
}

impl Default for Steps {
    fn default() -> Self {
        Self { left: Cell::new(STEPS) }
    }
}

/// How many steps are done between two questions.
pub(crate) const STEPS: usize = 63;

#[cfg(test)]
mod tests {
    use bson::{Bson, bson};

    use super::super::testing::{Memory, run};
    use super::STEPS;
    use crate::ErrorCode;

    fn numbered(count: i32) -> Bson {
        Bson::Array((0..count).map(|n| bson!({"_id": n, "all": 0})).collect())
    }

    /// Checks that `stages` ask at least once for every 64 of the `steps` that `count` documents take, the collection `c` being of
    /// as many, and that they end when they are told to.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
    fn check_asks(count: i32, stages: Bson, steps: usize) {
        let database = Memory::with("c", numbered(count)).with_scratch();
        run(stages.clone(), numbered(count), &database).unwrap();
        let (asked, least) = (database.asked(), steps / (STEPS + 1));
        assert!(asked >= least, "asked {asked} times in {steps} steps: {stages}");
        for times in [0, least / 2, least - 1] {
            let database = Memory::with("c", numbered(count)).with_scratch().ending_after(times);
            let ended = run(stages.clone(), numbered(count), &database);
            assert_eq!(ended, Err(ErrorCode::MAX_TIME_MS_EXPIRED.value()), "{stages}");
            assert_eq!(database.asked(), times + 1, "it ended at once: {stages}");
        }
    }

    /// Nothing comes through it.
    fn nothing() -> Bson {
        bson!({"$match": {"none": 1}})
    }

    #[test]
    fn documents_that_are_multiplied_ask_whether_to_go_on() {
        let lookup = bson!({"$lookup": {"from": "c", "pipeline": [], "as": "x"}});
        let unwind = bson!({"$unwind": "$x"});
        let three = bson!([
            lookup.clone(),
            unwind.clone(),
            lookup.clone(),
            unwind.clone(),
            lookup,
            unwind,
            nothing()
        ]);
        check_asks(10, three, 10_000);
        let many = bson!({"$set": {"x": {"$range": [0, 1_000]}}});
        check_asks(10, bson!([many.clone(), {"$unwind": "$x"}, nothing()]), 10_000);
        check_asks(10, bson!([many, {"$unwind": "$x"}]), 10_000);
    }

    #[test]
    fn what_looks_into_another_collection_asks_whether_to_go_on() {
        let plain = bson!({"from": "c", "localField": "all", "foreignField": "all", "as": "x"});
        check_asks(80, bson!([{"$lookup": plain}]), 6_400);
        let with_variable = bson!({
            "from": "c", "let": {"n": "$_id"}, "as": "x", "pipeline": [{"$set": {"n": "$$n"}}, nothing()],
        });
        check_asks(80, bson!([{"$lookup": with_variable}]), 6_400);
        let short =
            bson!({"let": {"n": "$_id"}, "as": "x", "pipeline": [{"$documents": [{"n": "$$n"}]}]});
        check_asks(80, bson!([{"$lookup": short}]), 80 * (STEPS + 1));
        let graph = bson!({
            "from": "c", "startWith": "$all", "connectFromField": "_id", "connectToField": "all", "as": "x",
        });
        check_asks(80, bson!([{"$graphLookup": graph}]), 6_400);
        check_asks(1_280, bson!([{"$unionWith": "c"}, nothing()]), 2_560);
        check_asks(1_280, bson!([{"$unionWith": {"coll": "c", "pipeline": [nothing()]}}]), 1_280);
    }

    #[test]
    fn what_goes_through_documents_again_asks_whether_to_go_on() {
        check_asks(1_280, bson!([{"$facet": {"a": [nothing()], "b": [{"$count": "n"}]}}]), 3_840);
        let window = bson!({"$push": "$_id", "window": {"documents": ["current", "unbounded"]}});
        let windows = bson!({"sortBy": {"_id": 1}, "output": {"x": window}});
        check_asks(100, bson!([{"$setWindowFields": windows}]), 5_000);
        let range = bson!({"step": 1, "bounds": [0, 5_000]});
        check_asks(10, bson!([{"$densify": {"field": "_id", "range": range}}, nothing()]), 5_000);
    }

    #[test]
    fn what_holds_all_documents_asks_whether_to_go_on() {
        check_asks(1_280, bson!([{"$sort": {"all": 1, "_id": -1}}, {"$skip": 1_280}]), 2_560);
        check_asks(1_280, bson!([{"$sort": {"_id": 1}}, {"$limit": 1}]), 1_280);
        check_asks(1_280, bson!([{"$group": {"_id": "$all"}}]), 1_280);
        check_asks(1_280, bson!([{"$group": {"_id": "$_id"}}, {"$count": "n"}]), 2_560);
        check_asks(1_280, bson!([{"$bucketAuto": {"groupBy": "$_id", "buckets": 1}}]), 2_560);
        check_asks(1_280, bson!([{"$sample": {"size": 1}}]), 1_280);
        check_asks(1_280, bson!([{"$count": "n"}]), 1_280);
    }
}
