//! Migrations that were cut short, and comparisons.

use std::ops::ControlFlow;
use std::time::Duration;

use bson::{Document, doc, rawdoc};
use lockstore::IndexModel;
use lockstore_mongo::migration::{
    Difference, Ended, Endpoint, How, Migration, MigrationError, Selection, Step,
};

use crate::cut_off::CutOff;
use crate::support::{Stores, file, go_on, hold, migrated, raw};

/// Ends a migration at each of its steps in turn, and runs it again.
fn goes_on(stores: impl Fn() -> Stores, documents: i32, step: usize) {
    let mut ends_after = 0;
    loop {
        let stores = stores().filled(documents);
        stores.jobs().create_index(IndexModel::new(doc! { "kind": 1 })).unwrap();
        let key = format!("{}/k", stores.database);
        hold(stores.from.store(), &key, "ada", None, false);
        stores
            .jobs()
            .update_one(doc! { "_id": 5 }, doc! { "$set": { "lock_id": "by hand" } })
            .run()
            .unwrap();
        let mut steps = 0;
        let ended = stores.migration().run(&mut |_| {
            steps += 1;
            if steps > ends_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let was_whole = match ended {
            Err(MigrationError::Stopped) => false,
            ended => matches!(ended.unwrap(), Ended::Migrated(_)),
        };
        let mut copied = 0;
        let again = stores.migration().run(&mut |step| {
            if let Step::Copied { documents } = step {
                copied += documents;
            }
            ControlFlow::Continue(())
        });
        match again.unwrap() {
            Ended::Already(_) => assert!(was_whole && copied == 0),
            Ended::Migrated(report) => {
                assert_eq!(report.documents, u64::try_from(documents).unwrap());
                assert_eq!(report.locks, 1);
            }
        }
        assert_eq!(raw(&stores.there()), raw(&stores.jobs()));
        assert!(stores.to.store().is_lock_holder(&key, "ada").unwrap());
        stores.migration().compare(&mut go_on).unwrap();
        stores.to.store().release(&key, "ada", None).unwrap();
        if was_whole {
            assert!(ends_after > 8, "only {ends_after} steps");
            return;
        }
        ends_after += step;
    }
}

/// Whatever the last thing was that the target was told: it is cut off after one command, after two ...
#[test]
fn a_migration_whose_target_is_cut_off_anywhere_goes_on() {
    let mut commands = 0;
    loop {
        let stores = Stores::files().filled(1_100);
        let jobs = stores.jobs();
        jobs.create_index(IndexModel::new(doc! { "kind": 1 })).unwrap();
        let expiring = IndexModel::new(doc! { "at": 1 }).expire_after(Duration::from_secs(3_600));
        jobs.create_index(expiring).unwrap();
        hold(stores.from.store(), "k", "ada", None, false);
        hold(stores.from.store(), "l", "bob", None, true);
        let lock = rawdoc! { "lockDocument": "jobs", "filter": { "_id": 5 }, "lockId": "worker" };
        stores.from.store().database(&stores.database).run_command(&lock);
        let cut_off = Endpoint::file(CutOff::after(commands, stores.to.store()), "cut off");
        let selection = Selection::databases([&stores.database]);
        let migration = Migration::new(stores.from.clone(), cut_off).only(selection);
        let was_whole = match migration.run(&mut go_on) {
            Err(error @ MigrationError::Store { .. }) => {
                assert!(error.to_string().contains("the store is closed"), "{error}");
                false
            }
            ended => matches!(ended.unwrap(), Ended::Migrated(_)),
        };
        if !was_whole {
            migrated(&stores.migration());
        }
        assert_eq!(
            stores.migration().run(&mut go_on).map(|it| matches!(it, Ended::Already(_))).ok(),
            Some(true)
        );
        stores.migration().compare(&mut go_on).unwrap();
        let (to, there) = (stores.to.store(), stores.there());
        assert!(to.is_lock_holder("k", "ada").unwrap() && to.is_lock_holder("l", "bob").unwrap());
        assert_eq!(to.list("", None, 10).unwrap().len(), 2);
        let locked = there.locked_documents().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        assert!(
            matches!(&*locked, [it] if it.lock_id == "worker" && it.token.is_some()),
            "{locked:?}"
        );
        assert_eq!(there.list_indexes().unwrap().len(), 3);
        if was_whole {
            assert!(commands > 30, "only {commands} commands");
            return;
        }
        commands += 1;
    }
}

#[test]
fn a_migration_to_a_replica_set_that_was_ended_anywhere_goes_on() {
    goes_on(Stores::to_a_set, 2_500, 4);
}

#[test]
fn more_databases_follow_in_later_runs_and_locks_are_not_acquired_again() {
    let stores = Stores::files().filled(30);
    hold(stores.from.store(), "k", "ada", None, false);
    let report = migrated(&stores.migration_of_locks());
    assert_eq!((report.documents, report.locks), (0, 1));
    stores.to.store().release("k", "ada", None).unwrap();
    let report = migrated(&stores.migration());
    assert_eq!((report.documents, report.locks), (30, 0));
    assert!(!stores.to.store().is_locked("k").unwrap(), "it was released there");
    for migration in [stores.migration(), stores.migration_of_locks()] {
        assert!(matches!(migration.run(&mut go_on).unwrap(), Ended::Already(_)));
    }
    // What was dropped there comes back when it is asked for.
    stores.there().drop().unwrap();
    assert!(matches!(stores.migration().run(&mut go_on).unwrap(), Ended::Already(_)));
    assert_eq!(migrated(&stores.migration().again(true)).documents, 30);
}

#[test]
fn what_is_copied_is_not_copied_again() {
    let stores = Stores::files().filled(4_500);
    let mut batches = 0;
    let ended = stores.migration().run(&mut |step| {
        batches += u32::from(matches!(step, Step::Copied { .. }));
        if batches == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(ended, Err(MigrationError::Stopped)));
    let mut copied = 0;
    stores
        .migration()
        .run(&mut |step| {
            match step {
                Step::Planned { resumed, .. } => assert!(resumed),
                Step::Copying { already, .. } => assert_eq!(already, 3_000),
                Step::Copied { documents } => copied += documents,
                _ => {}
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(copied, 1_500);
}

#[test]
fn what_is_changed_behind_its_back_is_found_and_copied_by_the_next_run() {
    for stores in [Stores::files(), Stores::to_a_set()] {
        let stores = stores.filled(1_200);
        let (jobs, mut is_changed) = (stores.jobs(), false);
        let ended = stores.migration().run(&mut |step| {
            if matches!(step, Step::Comparing { .. }) && !is_changed {
                is_changed = true;
                jobs.update_one(doc! { "_id": 7 }, doc! { "$set": { "kind": 1_i64 } })
                    .run()
                    .unwrap();
                jobs.delete_one(doc! { "_id": 8 }).run().unwrap();
                jobs.insert_one(doc! { "_id": 9.5 }).unwrap();
            }
            ControlFlow::Continue(())
        });
        let Err(MigrationError::Differs { differences, .. }) = ended else { panic!("{ended:?}") };
        let mut told: Vec<_> = differences
            .iter()
            .map(|difference| match difference {
                Difference::Document { id, how, .. } => (id.to_string(), *how),
                other => panic!("{other}"),
            })
            .collect();
        told.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [("7", How::Changed), ("8", How::Extra), ("9.5", How::Missing)];
        assert_eq!(told, expected.map(|(id, how)| (id.to_owned(), how)));
        migrated(&stores.migration());
        assert_eq!(raw(&stores.there()), raw(&stores.jobs()));
    }
}

/// The programs use the target by now, and somebody finds more to migrate in the source.
#[test]
fn what_was_migrated_is_the_targets_whatever_follows_later() {
    let stores = Stores::files().filled(20);
    migrated(&stores.migration());
    let there = stores.there();
    there.update_one(doc! { "_id": 1 }, doc! { "$set": { "done": true } }).run().unwrap();
    there.insert_one(doc! { "_id": "new" }).unwrap();
    there.delete_one(doc! { "_id": 2 }).run().unwrap();
    let lock = there.lock_document(doc! { "_id": 3 }).lock_id("w").acquire().unwrap();
    let used = raw(&there);

    let more =
        |store: &Endpoint| store.store().database(&stores.database).collection::<Document>("more");
    more(&stores.from).insert_one(doc! { "_id": 1 }).unwrap();
    // What is not as it was when it was migrated is no difference, and is not repaired by one run more.
    assert_eq!(migrated(&stores.migration()).documents, 1);
    assert!(matches!(stores.migration().run(&mut go_on).unwrap(), Ended::Already(_)));
    assert_eq!(raw(&there), used);
    assert!(lock.holds());
    assert_eq!(more(&stores.to).count_documents(doc! {}).run().unwrap(), 1);
}

/// Otherwise a later run would acquire them once more, when their holders in the target have released them.
#[test]
fn locks_that_a_run_has_begun_to_move_are_moved_by_the_run_that_finishes() {
    let stores = Stores::files().filled(20);
    let (from, to) = (stores.from.store(), stores.to.store());
    hold(from, "k", "ada", None, false);
    hold(from, "l", "bob", None, false);
    let mut locked = 0;
    let ended = stores.migration().run(&mut |step| {
        locked += u32::from(matches!(step, Step::Locked));
        if locked == 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(ended, Err(MigrationError::Stopped)), "{ended:?}");
    let documents = Selection::databases([&stores.database]).without_locks();
    assert_eq!(migrated(&stores.migration().only(documents)).locks, 2);
    for (key, holder) in [("k", "ada"), ("l", "bob")] {
        to.release(key, holder, None).unwrap();
    }
    let more = from.database(&stores.database).collection::<Document>("more");
    more.insert_one(doc! { "_id": 1 }).unwrap();
    assert_eq!(migrated(&stores.migration()).locks, 0);
    assert!(!to.is_locked("k").unwrap() && !to.is_locked("l").unwrap());
}

#[test]
fn a_beginning_anew_that_is_refused_forgets_nothing() {
    let stores = Stores::files().filled(20);
    hold(stores.from.store(), "k", "ada", None, false);
    migrated(&stores.migration());
    stores.to.store().release("k", "ada", None).unwrap();
    let again = stores.migration().again(true);
    assert!(matches!(again.run(&mut go_on), Err(MigrationError::Occupied { .. })));
    for migration in [stores.migration(), stores.migration_of_locks()] {
        assert!(matches!(migration.run(&mut go_on).unwrap(), Ended::Already(_)));
    }
    assert!(!stores.to.store().is_locked("k").unwrap());
}

#[test]
fn each_collection_that_differs_is_repaired_by_the_next_run_that_has_it() {
    let stores = Stores::files().filled(20);
    let other = Stores {
        from: stores.from.clone(),
        to: stores.to.clone(),
        database: format!("{}-other", stores.database),
    };
    let other = other.filled(20);
    let both = Selection::databases([&stores.database, &other.database]);
    let mut is_changed = false;
    let ended = stores.migration().only(both.clone()).run(&mut |step| {
        if matches!(step, Step::Comparing { .. }) && !is_changed {
            is_changed = true;
            stores.jobs().delete_one(doc! { "_id": 7 }).run().unwrap();
            other.jobs().delete_one(doc! { "_id": 8 }).run().unwrap();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(ended, Err(MigrationError::Differs { .. })), "{ended:?}");
    migrated(&stores.migration());
    migrated(&stores.migration().only(both));
    for stores in [&stores, &other] {
        assert_eq!(raw(&stores.there()), raw(&stores.jobs()));
    }
    // Only who asks is told what is gone from the source since.
    let rest = other.from.store().database(&other.database).collection::<Document>("rest");
    rest.insert_one(doc! { "_id": 1 }).unwrap();
    other.jobs().drop().unwrap();
    migrated(&other.migration());
    let ended = other.migration().compare(&mut go_on);
    let Err(MigrationError::Differs { differences, .. }) = ended else { panic!("{ended:?}") };
    let [Difference::Collection { how: How::Extra, .. }] = &*differences else {
        panic!("{differences:?}")
    };
}

#[test]
fn a_comparison_finds_whatever_was_changed_since() {
    let stores = Stores::files().filled(20);
    stores.jobs().create_index(IndexModel::new(doc! { "kind": 1 })).unwrap();
    hold(stores.from.store(), "k", "ada", None, false);
    migrated(&stores.migration());
    assert!(matches!(stores.migration().run(&mut go_on).unwrap(), Ended::Already(_)));
    stores.migration().compare(&mut go_on).unwrap();
    let there = stores.there();
    there.update_one(doc! { "_id": 3 }, doc! { "$set": { "kind": 3.0 } }).run().unwrap();
    there.drop_index("kind_1").unwrap();
    stores.to.store().release("k", "ada", None).unwrap();
    let ended = stores.migration().compare(&mut go_on);
    let Err(error @ MigrationError::Differs { .. }) = ended else { panic!("{ended:?}") };
    let sentence = error.to_string();
    for words in
        ["_id 3 is another", "\"kind_1\" is missing", "\"k\" that \"ada\" holds is missing"]
    {
        assert!(sentence.contains(words), "{words} in {sentence}");
    }
}

#[test]
fn another_source_does_not_go_on_where_one_has_ended() {
    let stores = Stores::files().filled(3);
    let mut ends = |step: Step<'_>| match step {
        Step::Indexing { .. } | Step::Locking { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    assert!(matches!(stores.migration().run(&mut ends), Err(MigrationError::Stopped)));
    let other = Stores {
        from: file("other.redb"),
        to: stores.to.clone(),
        database: stores.database.clone(),
    };
    let other = other.filled(5);
    assert!(matches!(other.migration().run(&mut go_on), Err(MigrationError::Occupied { .. })));
    migrated(&stores.migration());
}

/// A file and a replica set, both with an index that lets no two documents have the same code, and what is done to the source when it is partly, or
/// wholly, copied.
fn has_its_codes_changed(when: impl Fn(&Step<'_>) -> bool) {
    for stores in [Stores::files(), Stores::to_a_set()] {
        let jobs = stores.jobs();
        jobs.insert_many((0..1_500).map(|id| doc! { "_id": id, "code": id })).run().unwrap();
        jobs.create_index(IndexModel::new(doc! { "code": 1 }).unique(true)).unwrap();
        let code = |id: i32, code: i32| {
            jobs.update_one(doc! { "_id": id }, doc! { "$set": { "code": code } }).run().unwrap();
        };
        let ended = stores.migration().run(&mut |step| {
            if !when(&step) {
                return ControlFlow::Continue(());
            }
            // Two have changed places, and two have taken that of the one before, of which the first is gone.
            for (id, new) in [(1, -1), (1_400, 1), (1, 1_400)] {
                code(id, new);
            }
            jobs.delete_one(doc! { "_id": 1_450 }).run().unwrap();
            code(2, 1_450);
            code(1_460, 2);
            ControlFlow::Break(())
        });
        assert!(matches!(ended, Err(MigrationError::Stopped)), "{ended:?}");
        // The first run may find out, and the next ones do something about it.
        for _ in 0..2 {
            if let Ok(Ended::Migrated(_)) = stores.migration().run(&mut go_on) {
                break;
            }
        }
        assert!(matches!(stores.migration().run(&mut go_on).unwrap(), Ended::Already(_)));
        assert_eq!(raw(&stores.there()), raw(&jobs));
        assert_eq!(stores.there().list_indexes().unwrap().len(), 2);
    }
}

#[test]
fn documents_that_have_swapped_what_is_unique_since_they_were_copied_are_repaired() {
    has_its_codes_changed(|step| matches!(step, Step::Comparing { .. }));
}

#[test]
fn documents_that_have_swapped_what_is_unique_while_they_were_copied_are_repaired() {
    has_its_codes_changed(|step| matches!(step, Step::Copied { .. }));
}
