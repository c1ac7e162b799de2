//! Collections and indexes come and go.

use super::*;
use docquery::ErrorCode;

fn define(store: &Store, definition: Definition) -> Result<Defined, DocumentError> {
    done_or(store.engine().define(definition))
}

fn names(store: &Store, database: &str) -> Vec<String> {
    let reading = store.engine().reading().unwrap();
    let collections = reading.catalog().of_database(database);
    collections.map(|collection| collection.namespace().collection().to_owned()).collect()
}

/// An ascending key of one field.
fn key(field: &str) -> RawDocumentBuf {
    let mut key = rawdoc! {};
    key.append(<&bson::raw::CStr>::try_from(field).unwrap(), 1);
    key
}

#[test]
fn a_collection_is_made_once_and_dropped_once() {
    let store = Store::in_memory().unwrap();
    let create = || Definition::CreateCollection { namespace: namespace(), new: new_collection() };
    let made = define(&store, create()).unwrap();
    let Defined::Collection(made) = made else { panic!("{made:?}") };
    assert_eq!(made.id_index().spec(), &*rawdoc! { "v": 2, "key": { "_id": 1 }, "name": "_id_" });
    let error = define(&store, create()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NAMESPACE_EXISTS);
    let drop = || Definition::DropCollection { namespace: namespace() };
    define(&store, drop()).unwrap();
    assert_eq!(define(&store, drop()).unwrap_err().code(), ErrorCode::NAMESPACE_NOT_FOUND);
    let made_again = define(&store, create()).unwrap();
    let Defined::Collection(made_again) = made_again else { panic!("{made_again:?}") };
    assert!(made_again.id() > made.id());
    check(&store);
}

#[test]
fn a_database_is_dropped_with_its_collections_and_no_others() {
    let store = Store::in_memory().unwrap();
    for (database, name) in [("a", "x"), ("a", "y.z"), ("ab", "x"), ("A", "x")] {
        let namespace = Namespace::new(database, name).unwrap();
        define(&store, Definition::CreateCollection { namespace, new: new_collection() }).unwrap();
    }
    assert_eq!(names(&store, "a"), ["x", "y.z"]);
    let dropped = define(&store, Definition::DropDatabase { database: "a".into() }).unwrap();
    assert!(matches!(dropped, Defined::DroppedDatabase { collections: 2 }), "{dropped:?}");
    assert_eq!((names(&store, "a").len(), names(&store, "ab").len()), (0, 1));
    assert_eq!(store.engine().reading().unwrap().catalog().len(), 2);
}

#[test]
fn an_index_that_is_there_already_is_passed_over_and_one_that_conflicts_refused() {
    let store = Store::in_memory().unwrap();
    let first = create_index(&store, rawdoc! { "a": 1 }, "a_1", &rawdoc! {}).unwrap();
    let same = create_index(&store, rawdoc! { "a": 1.0 }, "a_1", &rawdoc! {}).unwrap();
    assert_eq!(same.id(), first.id());
    for (key, name, options, code) in [
        (rawdoc! { "b": 1 }, "a_1", rawdoc! {}, ErrorCode::INDEX_KEY_SPECS_CONFLICT),
        (
            rawdoc! { "a": 1 },
            "a_1",
            rawdoc! { "unique": true },
            ErrorCode::INDEX_KEY_SPECS_CONFLICT,
        ),
        (rawdoc! { "a": 1 }, "other", rawdoc! {}, ErrorCode::INDEX_OPTIONS_CONFLICT),
        (
            rawdoc! { "a": 1 },
            "a_1",
            rawdoc! { "expireAfterSeconds": 5 },
            ErrorCode::INDEX_OPTIONS_CONFLICT,
        ),
        (rawdoc! { "a": "text" }, "text", rawdoc! {}, ErrorCode::CANNOT_CREATE_INDEX),
    ] {
        let error = create_index(&store, key, name, &options).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    // One that is unique may stand beside one that is not.
    create_index(&store, rawdoc! { "a": 1 }, "unique", &rawdoc! { "unique": true }).unwrap();
    assert_eq!(collection(&store).indexes().len(), 3);
}

#[test]
fn there_are_no_more_indexes_than_there_may_be() {
    let store = Store::in_memory().unwrap();
    for number in 0..63 {
        let field = format!("f{number}");
        create_index(&store, key(&field), &field, &rawdoc! {}).unwrap();
    }
    let error = create_index(&store, rawdoc! { "g": 1 }, "g", &rawdoc! {}).unwrap_err();
    assert_eq!(error.code(), ErrorCode::CANNOT_CREATE_INDEX);
    let large = rawdoc! { "comment": "x".repeat(800_000) };
    let namespace = Namespace::new("test", "large").unwrap();
    let new = NewCollection { uuid: [0; 16], options: large };
    let error = define(&store, Definition::CreateCollection { namespace, new }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BSON_OBJECT_TOO_LARGE);
    check(&store);
}

#[test]
fn indexes_are_dropped_all_or_none() {
    let store = Store::in_memory().unwrap();
    for name in ["a", "b"] {
        create_index(&store, key(name), name, &rawdoc! {}).unwrap();
    }
    insert(&store, rawdoc! { "_id": 1, "a": 1 });
    let drop = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).into()).collect();
        define(&store, Definition::DropIndexes { namespace: namespace(), names })
    };
    assert_eq!(drop(&["a", "c"]).unwrap_err().code(), ErrorCode::INDEX_NOT_FOUND);
    assert_eq!(drop(&["a", "_id_"]).unwrap_err().code(), ErrorCode::INVALID_OPTIONS);
    assert_eq!(collection(&store).indexes().len(), 3);
    drop(&["a"]).unwrap();
    let left = collection(&store);
    let names: Vec<_> = left.indexes().iter().map(|index| index.name()).collect();
    assert_eq!(names, ["_id_", "b"]);
    check(&store);
}

#[test]
fn a_revision_of_something_that_has_changed_is_planned_anew() {
    let store = Store::in_memory().unwrap();
    let was = create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    let revise = |hidden: bool| Definition::ReviseIndex {
        collection: collection(&store).id(),
        was: Arc::clone(&was),
        spec: rawdoc! { "v": 2, "key": { "a": 1 }, "name": "a", "hidden": hidden },
    };
    define(&store, revise(true)).unwrap();
    assert!(collection(&store).index("a").unwrap().is_hidden());
    assert!(matches!(store.engine().define(revise(false)), Ok(Attempt::Again)));
}
