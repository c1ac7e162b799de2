//! Migrations from one store to another: of a file, of a replica set, and of what was cut short.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ops::ControlFlow;
use std::time::Duration;

use bson::oid::ObjectId;
use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, DbPointer, Decimal128, Document, JavaScriptCodeWithScope,
    RawDocumentBuf, Regex, Timestamp, Uuid, doc, rawdoc,
};
use lockstore::{Collection, IndexModel, Store, Token, get_lock_id};
use lockstore_mongo::ReplicaSetOptions;
use lockstore_mongo::migration::{
    Bound, Difference, Ended, Endpoint, How, Migration, MigrationError, Report, Step,
};
use lockstore_testkit::replica_set::{ReplicaSet, new_database};

/// What is migrated, and where to.
struct Stores {
    from: Endpoint,
    to: Endpoint,
    database: String,
}

impl Stores {
    fn files() -> Self {
        Self { from: file("from.redb"), to: file("to.redb"), database: new_database() }
    }

    fn to_a_set() -> Self {
        Self { to: set(), ..Self::files() }
    }

    fn migration(&self) -> Migration {
        Migration::new(self.from.clone(), self.to.clone()).databases([&self.database])
    }

    fn there(&self) -> Collection {
        self.to.store().database(&self.database).collection("jobs")
    }

    fn jobs(&self) -> Collection {
        self.from.store().database(&self.database).collection("jobs")
    }

    /// So many documents.
    fn filled(self, count: i32) -> Self {
        let documents =
            (0..count).map(|id| doc! { "_id": id, "kind": id % 7, "text": "x".repeat(20) });
        self.jobs().insert_many(documents).run().unwrap();
        self
    }

    /// The way back, to another file.
    fn back(self) -> Self {
        Self { from: self.to, to: file("back.redb"), database: self.database }
    }
}

fn file(name: &str) -> Endpoint {
    Endpoint::file(Store::in_memory().unwrap(), name)
}

/// The replica set, with locks of its own.
fn set() -> Endpoint {
    let own = new_database();
    let store = ReplicaSetOptions::new().database(&own).connect(&ReplicaSet::shared().uri());
    Endpoint::replica_set(store.unwrap(), "the set", own)
}

fn go_on(_: Step<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[track_caller]
fn migrated(migration: &Migration) -> Report {
    match migration.run(&mut go_on).unwrap() {
        Ended::Migrated(report) => report,
        Ended::Already(at) => panic!("it was finished at {at}"),
    }
}

fn raw(collection: &Collection) -> Vec<RawDocumentBuf> {
    let collection = collection.with_type::<RawDocumentBuf>();
    let found = collection.find(doc! {}).sort(doc! { "_id": 1 }).run().unwrap();
    found.collect::<Result<_, _>>().unwrap()
}

/// A value of each type, as a field and as an `_id`.
fn values() -> Vec<Bson> {
    let binary = |subtype| Bson::Binary(Binary { subtype, bytes: vec![0, 255, 7] });
    let decimal = |text: &str| Bson::Decimal128(text.parse::<Decimal128>().unwrap());
    let pointer: DbPointer = match rawdoc! {}.is_empty() {
        _ => {
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
    };
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
        Bson::DbPointer(pointer),
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

/// Puts documents there as they are, empty timestamps too.
fn put(collection: &Collection, documents: &[RawDocumentBuf]) {
    for document in documents {
        let id = document.get("_id").unwrap().unwrap();
        let stage = rawdoc! { "$replaceWith": { "$literal": document.clone() } };
        let filter = rawdoc! { "_id": { "$eq": id } };
        let put = collection.update_one(filter, vec![stage]).upsert(true).run();
        put.unwrap_or_else(|error| panic!("{document:?}: {error}"));
    }
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

/// Leaks locks, as they are of processes that are gone.
fn hold(store: &Store, key: &str, holder: &str, ttl: Option<Duration>, shared: bool) -> Token {
    let request = store.lock(key).holder(holder);
    let request = if shared { request.shared() } else { request };
    let request = ttl.map_or(request.clone(), |ttl| request.clone().ttl(ttl));
    request.acquire().unwrap().leak().token
}

fn locks_are_migrated(stores: Stores) -> Stores {
    let (from, to) = (stores.from.store(), stores.to.store());
    let hour = Some(Duration::from_secs(3_600));
    // In another order than that of their keys.
    let keys = ["z", "a", "m/1"].map(|key| format!("{}/{key}", stores.database));
    hold(from, &keys[0], "ada", None, false);
    hold(from, &keys[1], "ada", hour, false);
    hold(from, &keys[2], "ada", hour, true);
    hold(from, &keys[2], "bob", None, true);
    let free = from.lock("free").acquire().unwrap();
    let highest = free.token();
    free.release().unwrap();
    let report = migrated(&stores.migration_of_locks());
    assert_eq!((report.locks, report.collections), (4, 0));
    assert!(report.next_token > highest, "{report:?}");
    let there = to.list(&stores.database, None, 10).unwrap();
    let grants = there
        .iter()
        .flat_map(|lock| lock.holders.iter().map(move |it| (lock.key.as_str(), lock.mode, it)));
    let mut grants: Vec<_> = grants.collect();
    assert!(grants.iter().all(|(.., it)| it.token > highest), "{grants:?}");
    grants.sort_by_key(|(.., it)| it.token);
    let order: Vec<_> = grants.iter().map(|(key, _, it)| (*key, it.holder.as_str())).collect();
    let expected: Vec<_> = [(0, "ada"), (1, "ada"), (2, "ada"), (2, "bob")]
        .map(|(key, holder)| (keys[key].as_str(), holder))
        .into();
    assert_eq!(order, expected);
    for (_, _, it) in &grants {
        if let Some(left) = it.remaining {
            let spent = Duration::from_secs(3_600).checked_sub(left).unwrap();
            assert!(spent < Duration::from_secs(300), "{it:?}");
        }
    }
    let leases: Vec<bool> = grants.iter().map(|(.., it)| it.ttl.is_some()).collect();
    assert_eq!(leases, [false, true, true, false]);
    // They are their holders' locks.
    assert!(to.lock(&keys[0]).holder("bob").try_acquire().is_err());
    to.release(&keys[0], "ada", None).unwrap();
    to.renew(&keys[1], "ada", None, None).unwrap();
    let next = to.lock(&keys[0]).acquire().unwrap().leak().token;
    assert!(next > grants[3].2.token);
    for (key, holder) in [(0, None), (1, Some("ada")), (2, Some("ada")), (2, Some("bob"))] {
        match holder {
            Some(holder) => to.release(&keys[key], holder, None).unwrap(),
            None => assert!(to.is_locked(&keys[key]).unwrap()),
        }
    }
    stores
}

#[test]
fn locks_are_held_in_another_file_by_the_same_holders_with_higher_tokens() {
    locks_are_migrated(Stores::files());
}

#[test]
fn locks_are_held_on_a_replica_set_by_the_same_holders_with_higher_tokens() {
    locks_are_migrated(Stores::to_a_set());
}

#[test]
fn locks_come_back_from_a_replica_set_with_higher_tokens() {
    locks_are_migrated(Stores { from: set(), ..Stores::files() });
}

fn locks_of_documents_are_migrated(stores: &Stores) {
    let jobs = stores.jobs();
    jobs.insert_many((0..6).map(|id| doc! { "_id": id })).run().unwrap();
    let hour = Duration::from_secs(3_600);
    let lock = |id: i32, ttl: Option<Duration>| {
        let command = doc! {
            "lockDocument": "jobs", "filter": { "_id": id }, "lockId": format!("worker {id}"), "showToken": true,
        };
        let mut command = RawDocumentBuf::try_from(&command).unwrap();
        if let Some(ttl) = ttl {
            command.append(cstr!("ttlMS"), i64::try_from(ttl.as_millis()).unwrap());
        }
        let reply = stores.from.store().database(&stores.database).run_command(&command);
        assert_eq!(reply.get_f64("ok").ok(), Some(1.0), "{reply:?}");
    };
    lock(0, None);
    lock(1, Some(hour));
    lock(2, Some(Duration::from_millis(1)));
    jobs.update_one(doc! { "_id": 3 }, doc! { "$set": { "lock_id": "by hand" } }).run().unwrap();
    let report = migrated(&stores.migration());
    assert_eq!(report.document_locks, 2);
    let there = stores.there();
    let locked = there.locked_documents().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let mut locked: Vec<_> =
        locked.into_iter().map(|it| (it.id, it.lock_id, it.token.is_some())).collect();
    locked.sort_by_key(|(id, ..)| id.as_i32());
    let expected = [(0, "worker 0", true), (1, "worker 1", true), (3, "by hand", false)];
    let expected =
        expected.map(|(id, lock_id, token)| (Bson::Int32(id), lock_id.to_owned(), token));
    assert_eq!(locked, expected);
    // Nobody else gets them, whoever has locked one gets it again, and gives it back.
    let mut taken = Vec::new();
    while let Some(id) = there
        .lock_document(doc! { "_id": { "$lt": 4 } })
        .acquire()
        .map(|lock| Some(lock.locked_document()?.get_i32("_id").unwrap()))
        .unwrap()
    {
        there.delete_one(doc! { "_id": id }).run().unwrap();
        taken.push(id);
    }
    assert_eq!(taken, [2], "its lease had run out");
    let own = there.lock_document(doc! { "_id": 1 }).lock_id("worker 1").get_locked_doc(true);
    let own = own.acquire().unwrap();
    let shown = own.locked_document().unwrap();
    assert_eq!(shown.get_i64("lock_token").unwrap().unsigned_abs(), own.token().unwrap().get());
    own.release().unwrap();
    let freed = there.find_one(doc! { "_id": 1 }).run().unwrap().unwrap();
    assert_eq!(get_lock_id(&freed), None);
    let broken = there.unlock(doc! { "_id": 0 }, "its worker is gone").unwrap();
    assert_eq!(broken[0].holder.as_str(), "worker 0");
}

#[test]
fn a_document_that_is_locked_in_a_file_is_locked_in_another() {
    locks_of_documents_are_migrated(&Stores::files());
}

#[test]
fn a_document_that_is_locked_in_a_file_is_locked_on_a_replica_set() {
    locks_of_documents_are_migrated(&Stores::to_a_set());
}

#[test]
fn a_document_that_is_locked_on_a_replica_set_is_locked_in_a_file() {
    locks_of_documents_are_migrated(&Stores { from: set(), ..Stores::files() });
}

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

#[test]
fn a_migration_between_files_that_was_ended_anywhere_goes_on() {
    goes_on(Stores::files, 2_500, 1);
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
fn locks_that_end_with_sessions_are_refused_or_left_behind() {
    for stores in [Stores::files(), Stores { from: set(), ..Stores::files() }] {
        let stores = stores.filled(2);
        let from = stores.from.store();
        let session = from.session().unwrap();
        let key = format!("{}/bound", stores.database);
        let _guard = from.lock(&key).session(&session).acquire().unwrap();
        let _document =
            stores.jobs().lock_document(doc! { "_id": 1 }).session(&session).acquire().unwrap();
        let error = stores.migration().run(&mut go_on).unwrap_err();
        let MigrationError::InUse { bound, .. } = &error else { panic!("{error}") };
        assert_eq!(bound.len(), 2, "{error}");
        assert!(error.to_string().contains("/bound"), "{error}");
        assert!(stores.there().find_one(doc! {}).run().unwrap().is_none(), "nothing was done");
        let report = migrated(&stores.migration().leave_behind(true));
        assert!(
            matches!(&*report.left_behind, [Bound::Lock { .. }, Bound::Document { .. }]),
            "{report:?}"
        );
        assert!(!stores.to.store().is_locked(&key).unwrap());
        let there = stores.there();
        let waited_for = there.lock_document(doc! { "_id": 1 }).sleep(Duration::from_millis(10));
        assert!(waited_for.acquire().unwrap().holds(), "its lock has stayed behind");
    }
}

#[test]
fn a_lock_that_is_held_in_the_target_by_another_is_refused() {
    let stores = Stores::files();
    hold(stores.from.store(), "k", "ada", None, true);
    hold(stores.to.store(), "k", "bob", None, true);
    assert!(matches!(
        stores.migration_of_locks().run(&mut go_on),
        Err(MigrationError::LockTaken { .. })
    ));
}

impl Stores {
    fn migration_of_locks(&self) -> Migration {
        self.migration().databases([""; 0])
    }
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
        let migration = stores.migration_of_locks().databases([database]);
        let error = migration.run(&mut go_on).unwrap_err();
        assert!(matches!(error, MigrationError::Reserved { .. }), "{error}");
    }
    let missing = stores.migration_of_locks().databases(["nowhere"]);
    assert!(matches!(missing.run(&mut go_on), Err(MigrationError::NoSuchDatabase { .. })));
}
