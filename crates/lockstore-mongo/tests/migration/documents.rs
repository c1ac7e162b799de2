//! Documents, indexes and collections.

use std::time::Duration;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, DbPointer, Decimal128, Document, JavaScriptCodeWithScope,
    RawDocumentBuf, Regex, Timestamp, Uuid, doc, rawdoc,
};
use lockstore::{Collection, IndexModel};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_mongo::migration::{Endpoint, MigrationError};
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

use crate::support::{Stores, go_on, migrated, put, raw, set};

/// What nothing but old programs write.
fn pointer() -> DbPointer {
    let mut bytes = vec![0_u8; 4];
    bytes.extend(b"\x0cp\0\x04\0\0\0a.b\0");
    bytes.extend(ObjectId::from_bytes([7; 12]).bytes());
    bytes.push(0);
    let length = i32::try_from(bytes.len()).unwrap();
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    let document = RawDocumentBuf::from_bytes(bytes).unwrap();
    match Document::try_from(&document).unwrap().remove("p") {
        Some(Bson::DbPointer(pointer)) => pointer,
        other => panic!("{other:?}"),
    }
}

/// A value of each type, as a field and as an `_id`.
fn values() -> Vec<Bson> {
    let binary = |subtype| Bson::Binary(Binary { subtype, bytes: vec![0, 255, 7] });
    let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().unwrap());
    let scope = JavaScriptCodeWithScope { code: "f()".into(), scope: doc! { "x": 1_i64 } };
    vec![
        Bson::Double(1.5),
        Bson::Double(-0.0),
        Bson::Double(f64::NAN),
        Bson::Double(f64::INFINITY),
        Bson::Double(5e-324),
        Bson::String("täxt\0 $with {a: 1}".into()),
        Bson::Document(doc! { "$set": { "a.b": 1, "": [] } }),
        Bson::Array(vec![1.into(), Bson::Null, doc! { "a": 1_i64 }.into()]),
        binary(BinarySubtype::Generic),
        binary(BinarySubtype::UserDefined(200)),
        Bson::from(Uuid::new()),
        Bson::ObjectId(ObjectId::new()),
        Bson::Boolean(true),
        Bson::DateTime(DateTime::from_millis(-1)),
        Bson::Null,
        Bson::RegularExpression(Regex {
            pattern: cstr!("^a$").into(),
            options: cstr!("im").into(),
        }),
        Bson::DbPointer(pointer()),
        Bson::JavaScriptCode("f()".into()),
        Bson::Symbol("s".into()),
        Bson::JavaScriptCodeWithScope(scope),
        Bson::Int32(i32::MIN),
        Bson::Timestamp(Timestamp { time: 7, increment: 9 }),
        Bson::Timestamp(Timestamp { time: 0, increment: 0 }),
        Bson::Int64(i64::MAX),
        Bson::Int64(3),
        decimal("1.10"),
        decimal("-0E+3"),
        decimal("NaN"),
        Bson::MinKey,
        Bson::MaxKey,
        Bson::Undefined,
    ]
}

/// Documents with all types, at the top and further down, and `_id`s of all types that one can have.
fn documents_of_all_types() -> Vec<RawDocumentBuf> {
    let mut documents = Vec::new();
    for (index, value) in (0..).zip(values()) {
        let document =
            doc! { "_id": format!("v{index:03}"), "v": value.clone(), "deep": [{ "v": value }] };
        documents.push(RawDocumentBuf::try_from(&document).unwrap());
    }
    let cannot_be_one = |value: &Bson| {
        matches!(value, Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined)
    };
    let is_refused =
        |value: &Bson| matches!(value, Bson::Document(document) if document.contains_key("$set"));
    for value in values().into_iter().filter(|it| !cannot_be_one(it) && !is_refused(it)) {
        documents.push(RawDocumentBuf::try_from(&doc! { "_id": value, "is": "id" }).unwrap());
    }
    documents
}

fn all_indexes() -> Vec<IndexModel> {
    vec![
        IndexModel::new(doc! { "code": 1 }).unique(true).sparse(true).name("by code"),
        IndexModel::new(doc! { "a": 1, "b.c": -1 }),
        IndexModel::new(doc! { "seen": 1 }).expire_after(Duration::from_secs(3_600)),
        IndexModel::new(doc! { "kind": 1 })
            .partial_filter(doc! { "state": { "$gt": 5 } })
            .hidden(true),
    ]
}

fn indexes(collection: &Collection) -> Vec<IndexModel> {
    let mut indexes = collection.list_indexes().unwrap();
    indexes.sort_by(|a, b| a.name.cmp(&b.name));
    indexes
}

/// Everything there is, from a file over a replica set into another file.
#[test]
fn everything_is_the_same_after_a_migration_to_a_replica_set_and_back() {
    let stores = Stores::to_a_set().filled(5_000);
    let of_all_types = stores.from.store().database(&stores.database).collection("types");
    put(&of_all_types, &documents_of_all_types());
    for index in all_indexes() {
        stores.jobs().create_index(index).unwrap();
    }
    stores.from.store().database(&stores.database).create_collection("empty").unwrap();
    let before = [raw(&stores.jobs()), raw(&of_all_types)];
    let indexes_before = indexes(&stores.jobs());
    let report = migrated(&stores.migration());
    assert_eq!(report.documents, before.iter().map(|it| it.len() as u64).sum::<u64>());
    assert_eq!((report.collections, report.indexes), (3, 4));
    assert_eq!(raw(&stores.there()), before[0]);
    let back = stores.back();
    migrated(&back.migration());
    let types = back.to.store().database(&back.database).collection("types");
    assert_eq!([raw(&back.there()), raw(&types)], before);
    assert_eq!(indexes(&back.there()), indexes_before);
    let names = back.to.store().database(&back.database).collection_names().unwrap();
    assert_eq!(names, ["empty", "jobs", "types"]);
    let report = back.to.store().check().unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
}

#[test]
fn the_largest_documents_go_there_and_back() {
    let stores = Stores::to_a_set();
    let large = |id: i32, first: Bson| {
        let without = doc! { "_id": id, "first": first.clone(), "text": "" };
        let room = (16 << 20) - RawDocumentBuf::try_from(&without).unwrap().as_bytes().len();
        doc! { "_id": id, "first": first, "text": "x".repeat(room) }
    };
    let empty = Bson::Timestamp(Timestamp { time: 0, increment: 0 });
    stores.jobs().insert_one(large(1, Bson::Null)).unwrap();
    stores.jobs().insert_one(large(2, Bson::Int32(1))).unwrap();
    let shorter = doc! { "_id": 3, "first": empty, "text": "x".repeat(15 << 20) };
    put(&stores.jobs(), &[RawDocumentBuf::try_from(&shorter).unwrap()]);
    let before = raw(&stores.jobs());
    migrated(&stores.migration());
    assert_eq!(raw(&stores.there()), before);
    let back = stores.back();
    migrated(&back.migration());
    assert_eq!(raw(&back.there()), before);
}

#[test]
fn documents_that_expire_meanwhile_are_no_difference() {
    let stores = Stores::files();
    let index = IndexModel::new(doc! { "at": 1 }).expire_after(Duration::from_secs(1));
    stores
        .jobs()
        .insert_many([doc! { "_id": 1, "at": DateTime::from_millis(0) }, doc! { "_id": 2 }])
        .run()
        .unwrap();
    stores.there().create_index(index.clone()).unwrap();
    // The target has it expire before the source does.
    stores.jobs().create_index(index).unwrap();
    migrated(&stores.migration());
    assert_eq!(raw(&stores.there()).last(), Some(&rawdoc! { "_id": 2 }));
}

/// What a file cannot have, another replica set can.
#[test]
fn options_and_views_go_from_one_replica_set_to_another() {
    let other = ReplicaSet::start().unwrap();
    let store = ReplicaSetOptions::new().connect(&other.uri()).unwrap();
    let to = Endpoint::replica_set(store, "the other set", ReplicaSetOptions::DATABASE);
    let stores = Stores { from: set(), to, database: new_database() };
    let run = |command: RawDocumentBuf| {
        let reply = stores.from.store().database(&stores.database).run_command(&command);
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply:?}");
    };
    run(rawdoc! { "create": "jobs", "collation": { "locale": "en", "strength": 2 } });
    run(
        rawdoc! { "insert": "jobs", "documents": [{ "_id": "b", "n": 1 }, { "_id": "A" }, { "_id": "C", "n": "x" }] },
    );
    run(rawdoc! { "collMod": "jobs", "validator": { "n": { "$type": "int" } } });
    run(
        rawdoc! { "createIndexes": "jobs", "indexes": [{ "key": { "text": "text" }, "name": "t", "collation": { "locale": "simple" } }] },
    );
    run(rawdoc! { "create": "seen", "viewOn": "jobs", "pipeline": [{ "$match": { "n": 1 } }] });
    let report = migrated(&stores.migration());
    assert_eq!((report.collections, report.documents, report.indexes), (2, 3, 1));
    assert_eq!(raw(&stores.there()), raw(&stores.jobs()));
    let seen = stores.to.store().database(&stores.database).collection::<Document>("seen");
    assert_eq!(seen.count_documents(doc! {}).run().unwrap(), 1);
    stores.migration().compare(&mut go_on).unwrap();
    run(rawdoc! { "create": "few", "capped": true, "size": 4_096 });
    let refused = stores.migration().run(&mut go_on);
    assert!(matches!(refused, Err(MigrationError::Unsupported { .. })), "{refused:?}");
}
