//! Transactions beside each other, wherever the store lives.
#![expect(clippy::duplicate_mod, reason = "the scenarios run on each deployment")]

#[path = "transactions_conflicts/scenarios.rs"]
mod commands;
#[path = "transactions_conflicts/scenarios.rs"]
mod embedded;
#[path = "transactions_conflicts/scenarios.rs"]
mod replica_set;
#[path = "transactions_conflicts/scenarios.rs"]
mod socket;

use lockstore::{AcquireError, DocumentError, Limit, Limits, StoreOptions};
use lockstore_tests::deployment::on_all_files;

#[test]
fn a_bound_that_a_commit_meets_is_told_as_outside() {
    on_all_files(|deployment| {
        let limits = Limits { locks_max: 1, ..Limits::default() };
        let store = StoreOptions::new().limits(limits).open_in_memory().unwrap();
        let store = deployment.reach(store, false);
        let tx = store.begin_transaction().unwrap();
        let locks = ["a", "b"].map(|key| tx.lock(key).acquire().unwrap());
        let refused = tx.commit().unwrap_err();
        let DocumentError::Acquire(refused) = refused else { panic!("{refused:?}") };
        assert!(
            matches!(*refused, AcquireError::LimitReached { limit: Limit::Locks, max: 1 }),
            "{refused:?}"
        );
        assert!(locks.into_iter().all(|lock| lock.guard().is_none()));
        assert_eq!(store.stats().unwrap().locks, 0);
    });
}
