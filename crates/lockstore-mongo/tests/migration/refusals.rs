//! What is refused before anything is done.

use bson::{Document, RawDocumentBuf, doc, rawdoc};
use lockstore_mongo::migration::{Migration, MigrationError, Selection};

use crate::support::{Stores, go_on, raw, set};

#[test]
fn other_documents_in_the_target_are_left_alone() {
    for stores in [Stores::files(), Stores::to_a_set()] {
        let stores = stores.filled(3);
        stores.there().insert_one(doc! { "_id": "theirs" }).unwrap();
        let error = stores.migration().run(&mut go_on).unwrap_err();
        assert!(
            matches!(&error, MigrationError::Occupied { namespace, .. } if namespace.collection == "jobs"),
            "{error}"
        );
        assert_eq!(raw(&stores.there()), [rawdoc! { "_id": "theirs" }]);
    }
}

#[test]
fn a_store_is_not_migrated_to_itself() {
    let stores = Stores::files();
    let same = Migration::new(stores.from.clone(), stores.from.clone());
    assert!(matches!(same.run(&mut go_on), Err(MigrationError::SameStore { .. })));
    // Two databases of locks on one replica set: the documents would be the same.
    let same = Migration::new(set(), set());
    assert!(matches!(same.run(&mut go_on), Err(MigrationError::SameStore { .. })));
}

#[test]
fn what_a_file_cannot_have_is_refused_before_anything_is_done() {
    let stores = Stores { from: set(), ..Stores::files() }.filled(2);
    let run = |command: RawDocumentBuf| {
        let reply = stores.from.store().database(&stores.database).run_command(&command);
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply:?}");
    };
    run(
        rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "text": "text" }, "name": "t" }] },
    );
    let error = stores.migration().run(&mut go_on).unwrap_err();
    assert!(matches!(error, MigrationError::Index { .. }), "{error}");
    run(rawdoc! { "dropIndexes": "jobs", "index": "t" });
    run(rawdoc! { "create": "few", "capped": true, "size": 4_096 });
    run(rawdoc! { "create": "seen", "viewOn": "jobs", "pipeline": [] });
    let error = stores.migration().run(&mut go_on).unwrap_err();
    assert!(matches!(error, MigrationError::Unsupported { .. }), "{error}");
    assert_eq!(stores.to.store().database_names().unwrap(), [""; 0]);
}

#[test]
fn names_that_a_replica_set_keeps_for_itself_are_refused() {
    let stores = Stores::to_a_set();
    for database in ["admin", "local"] {
        stores
            .from
            .store()
            .database(database)
            .collection::<Document>("jobs")
            .insert_one(doc! {})
            .unwrap();
        let migration = stores.migration().only(Selection::databases([database]));
        let error = migration.run(&mut go_on).unwrap_err();
        assert!(matches!(error, MigrationError::Reserved { .. }), "{error}");
    }
    let missing = stores.migration().only(Selection::databases(["nowhere"]));
    assert!(matches!(missing.run(&mut go_on), Err(MigrationError::NoSuchDatabase { .. })));
}
