//! A collection with indexes and one without always give the same answers: any writes, filters, sorts and cuts.

#[path = "documents_properties/queries.rs"]
mod queries;

use bson::{Bson, Document, RawDocumentBuf, bson, doc};
use lockstore::{Database, Store};
use proptest::prelude::*;

use queries::{any_document, any_filter, any_scalar, any_sort, any_value};

/// The collection with indexes, and the one without.
const COLLECTIONS: [&str; 2] = ["indexed", "plain"];

/// Something that is done to both collections.
#[derive(Clone, Debug)]
enum Step {
    Insert(Document),
    /// One write, told by how the command begins and by what follows the collection's name.
    Write(&'static str, Document),
    /// Of the indexed one only.
    CreateIndex(usize),
    DropIndex(usize),
}

/// Something that is asked of both collections.
#[derive(Clone, Debug)]
struct Question {
    filter: Document,
    sort: Document,
    skip: i32,
    limit: i32,
    batch: i32,
    distinct: &'static str,
    hint: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn an_indexed_collection_answers_as_a_plain_one(
        steps in proptest::collection::vec(any_step(), 10..50),
        questions in proptest::collection::vec(any_question(), 1..30),
    ) {
        let store = Store::in_memory().unwrap();
        let database = store.database("test");
        for (number, step) in steps.into_iter().enumerate() {
            check_step(&database, number, step)?;
        }
        for question in questions {
            check_question(&database, &question)?;
        }
        let report = store.check().unwrap();
        prop_assert_eq!(report.problems, Vec::<String>::new());
    }
}

proptest! {
    #[test]
    fn an_expression_agrees_with_the_operator_of_the_same_name(
        values in proptest::collection::vec(any_of_one_class(), 1..20),
        operand in any_of_one_class(),
        operator in proptest::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$mod"]),
    ) {
        let store = Store::in_memory().unwrap();
        let database = store.database("test");
        let same_class = values.into_iter().filter(|value| class(value) == class(&operand));
        let documents = same_class.enumerate().map(|(number, value)| {
            doc! { "_id": i32::try_from(number).unwrap(), "v": value }
        });
        let documents: Vec<_> = documents.collect();
        if !documents.is_empty() && (operator != "$mod" || class(&operand) == Some(Class::Number)) {
            run(&database, "insert", COLLECTIONS[1], &doc! { "documents": documents });
            let literal = doc! { "$literal": &operand };
            let (argument, expression) = match operator {
                "$in" => (bson!([&operand]), doc! { "$in": ["$v", [literal]] }),
                "$mod" => (bson!([3, 1]), doc! { "$eq": [{ "$mod": [{ "$trunc": "$v" }, 3] }, 1] }),
                _ => (operand, doc! { operator: ["$v", literal] }),
            };
            let by_operator = doc! { "filter": { "v": { operator: argument } }, "sort": { "_id": 1 } };
            let by_expression = doc! { "filter": { "$expr": expression }, "sort": { "_id": 1 } };
            let found = find(&database, COLLECTIONS[1], &by_operator);
            prop_assert_eq!(&found, &find(&database, COLLECTIONS[1], &by_expression), "{}", by_operator);
            prop_assert!(found.is_ok(), "{:?}", found);
        }
    }
}

/// Values that are compared with each other by both: `$expr` compares all values, an operator those of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Number,
    String,
    Date,
    Truth,
}

fn class(value: &Bson) -> Option<Class> {
    match value {
        Bson::Int32(_) | Bson::Int64(_) | Bson::Double(_) | Bson::Decimal128(_) => {
            Some(Class::Number)
        }
        Bson::String(_) => Some(Class::String),
        Bson::DateTime(_) => Some(Class::Date),
        Bson::Boolean(_) => Some(Class::Truth),
        _ => None,
    }
}

/// A value of a class. NaN is in none: an operator finds it with no range, and for an expression it is the least number.
fn any_of_one_class() -> impl Strategy<Value = Bson> {
    any_scalar().prop_filter("of a class", |value| {
        let is_nan = value.to_string().contains("NaN") || value.to_string().contains("Infinity");
        class(value).is_some()
            && !is_nan
            && !matches!(value, Bson::Double(number) if !number.is_finite())
    })
}

/// Pipelines about `filter` that must give the same with and without indexes.
fn pipelines(filter: &Document, sort: &Document, collection: &str) -> [Vec<Document>; 7] {
    let (found, by_id) = (doc! { "$match": filter }, doc! { "$sort": { "_id": 1 } });
    let inner = [found.clone(), by_id.clone()];
    [
        vec![found.clone(), doc! { "$match": { "n": { "$gte": 0 } } }, doc! { "$sort": sort }],
        vec![
            found.clone(),
            by_id.clone(),
            doc! { "$group": { "_id": "$n", "ids": { "$push": "$_id" } } },
        ],
        vec![
            found.clone(),
            by_id.clone(),
            doc! { "$lookup": {
                "from": collection, "localField": "n", "foreignField": "a", "pipeline": [by_id.clone()], "as": "same",
            } },
        ],
        vec![
            by_id.clone(),
            doc! { "$limit": 3 },
            doc! { "$unionWith": { "coll": collection, "pipeline": &inner[..] } },
        ],
        vec![
            doc! { "$facet": { "found": &inner[..], "count": [found.clone(), doc! { "$count": "n" }] } },
        ],
        vec![
            found,
            by_id,
            doc! { "$lookup": {
                "from": collection, "let": { "n": "$n" }, "as": "least",
                "pipeline": [{ "$match": { "$expr": { "$eq": ["$n", "$$n"] } } }, { "$sort": sort }, { "$limit": 2 }],
            } },
        ],
        vec![
            doc! { "$sort": { "_id": 1 } },
            doc! { "$limit": 5 },
            doc! { "$lookup": {
                "from": collection, "let": { "a": "$a", "n": "$n" }, "as": "others",
                "pipeline": [
                    { "$match": { "$expr": { "$and": [{ "$lte": ["$$n", "$n"] }, { "$or": [{ "$eq": ["$a", "$$a"] }, { "$gt": ["$n", "$$a"] }] }] } } },
                    { "$sort": { "_id": 1 } },
                ],
            } },
        ],
    ]
}

fn check_step(database: &Database, number: usize, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Insert(document) => {
            let mut whole = doc! { "_id": i32::try_from(number).unwrap() };
            whole.extend(document);
            check_same(database, "insert", &doc! { "documents": [whole] })?;
        }
        Step::Write(command, rest) => {
            check_same(database, command, &rest)?;
        }
        Step::CreateIndex(index) => {
            let (key, options) = indexes().swap_remove(index);
            let mut spec = doc! { "key": key, "name": name(index) };
            spec.extend(options);
            // It may be there already.
            run(database, "createIndexes", COLLECTIONS[0], &doc! { "indexes": [spec] });
        }
        Step::DropIndex(index) => {
            // It may not be there.
            run(database, "dropIndexes", COLLECTIONS[0], &doc! { "index": name(index) });
        }
    }
    Ok(())
}

fn check_question(database: &Database, question: &Question) -> Result<(), TestCaseError> {
    let Question { filter, sort, skip, limit, batch, distinct, hint } = question;
    let cut =
        doc! { "filter": filter, "sort": sort, "skip": skip, "limit": limit, "batchSize": batch };
    let [indexed, plain] = COLLECTIONS.map(|collection| find(database, collection, &cut));
    prop_assert_eq!(indexed, plain, "{}", cut);

    let unsorted = doc! { "filter": filter, "batchSize": batch };
    let [indexed, plain] =
        COLLECTIONS.map(|collection| by_id(find(database, collection, &unsorted)));
    prop_assert_eq!(&indexed, &plain, "{}", unsorted);

    let (_, options) = &indexes()[*hint];
    if options.is_empty() {
        let hinted = doc! { "filter": filter, "hint": name(*hint) };
        // The index may not be there.
        if let Ok(hinted) = by_id(find(database, COLLECTIONS[0], &hinted)) {
            prop_assert_eq!(&Ok(hinted), &plain, "{} by {}", filter, name(*hint));
        }
    }
    check_same(database, "count", &doc! { "query": filter })?;
    check_same(database, "count", &doc! { "query": filter, "skip": skip, "limit": limit })?;
    for number in 0..6 {
        let [indexed, plain] = COLLECTIONS.map(|collection| {
            let stages = pipelines(filter, sort, collection).into_iter().nth(number);
            let rest = doc! { "pipeline": stages.unwrap(), "cursor": {} };
            let mut reply = run(database, "aggregate", collection, &rest);
            reply.get_document_mut("cursor").map(|cursor| cursor.remove("ns")).ok();
            reply.remove("errmsg");
            raw(&reply)
        });
        prop_assert_eq!(indexed, plain, "{:?}", pipelines(filter, sort, "itself")[number]);
    }
    let stages = [
        doc! { "$match": filter },
        doc! { "$sort": sort },
        doc! { "$skip": i64::from(*skip) },
        doc! { "$limit": 5 },
    ];
    let rest = doc! { "pipeline": &stages[..], "cursor": {} };
    let [indexed, plain] = COLLECTIONS.map(|collection| {
        let mut reply = run(database, "aggregate", collection, &rest);
        reply.get_document_mut("cursor").map(|cursor| cursor.remove("ns")).ok();
        raw(&reply)
    });
    prop_assert_eq!(indexed, plain, "{}", rest);

    let rest = doc! { "key": distinct, "query": filter };
    let [indexed, plain] = COLLECTIONS.map(|collection| distinct_keys(database, collection, &rest));
    prop_assert_eq!(indexed, plain, "{}", rest);
    Ok(())
}

/// The distinct values, or the code of the error. Numbers of several types are one value, and which of them stands
/// for it is open; so is their order.
fn distinct_keys(
    database: &Database,
    collection: &str,
    rest: &Document,
) -> Result<Vec<Vec<u8>>, i32> {
    let reply = run(database, "distinct", collection, rest);
    let values = reply.get_array("values").map_err(|_| reply.get_i32("code").unwrap())?;
    let numbered = values.iter().enumerate().map(|(number, value)| (number.to_string(), value));
    let values: Document = numbered.map(|(number, value)| (number, value.clone())).collect();
    let values = raw(&values);
    let mut keys = Vec::new();
    for (_, value) in docquery::Document::from(&*values) {
        let mut key = Vec::new();
        docquery::key::encode(value, &mut key);
        keys.push(key);
    }
    keys.sort();
    Ok(keys)
}

/// Runs a command on both collections, which must reply the same.
fn check_same(database: &Database, command: &str, rest: &Document) -> Result<(), TestCaseError> {
    let [mut indexed, mut plain] =
        COLLECTIONS.map(|collection| run(database, command, collection, rest));
    for reply in [&mut indexed, &mut plain] {
        // It names the collection.
        for error in reply.get_array_mut("writeErrors").into_iter().flatten() {
            error.as_document_mut().unwrap().remove("errmsg");
            error.as_document_mut().unwrap().remove("errInfo");
        }
    }
    // Bytes, since NaN equals nothing.
    prop_assert_eq!(raw(&indexed), raw(&plain), "{} {}", command, rest);
    Ok(())
}

fn run(database: &Database, command: &str, collection: &str, rest: &Document) -> Document {
    let mut whole = doc! { command: collection };
    whole.extend(rest.clone());
    let reply = database.run_command(&raw(&whole));
    Document::try_from(&*reply).unwrap()
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

/// What is found, batch for batch, or the code of the error.
fn find(
    database: &Database,
    collection: &str,
    rest: &Document,
) -> Result<Vec<RawDocumentBuf>, i32> {
    let mut reply = run(database, "find", collection, rest);
    let mut found = Vec::new();
    loop {
        let Ok(cursor) = reply.get_document("cursor") else {
            return Err(reply.get_i32("code").unwrap());
        };
        let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch"));
        found.extend(batch.unwrap().iter().map(|found| raw(found.as_document().unwrap())));
        let id = cursor.get_i64("id").unwrap();
        if id == 0 {
            return Ok(found);
        }
        let more = doc! { "getMore": id, "collection": collection, "batchSize": 2 };
        let more = database.run_command(&raw(&more));
        reply = Document::try_from(&*more).unwrap();
    }
}

fn by_id(found: Result<Vec<RawDocumentBuf>, i32>) -> Result<Vec<RawDocumentBuf>, i32> {
    found.map(|mut documents| {
        documents.sort_by_key(|document| document.get_i32("_id").unwrap());
        documents
    })
}

fn name(index: usize) -> String {
    format!("index{index}")
}

/// Keys and options. `n` is never an array, so no document has parallel ones, which an index refuses.
fn indexes() -> Vec<(Document, Document)> {
    vec![
        (doc! { "a": 1 }, doc! {}),
        (doc! { "a": -1 }, doc! {}),
        (doc! { "b": 1 }, doc! {}),
        (doc! { "n": 1 }, doc! {}),
        (doc! { "a": 1, "n": -1 }, doc! {}),
        (doc! { "n": 1, "a": 1 }, doc! {}),
        (doc! { "n": -1, "b": 1, "_id": 1 }, doc! {}),
        (doc! { "a.x": 1 }, doc! {}),
        (doc! { "a.x": -1, "n": 1 }, doc! {}),
        (doc! { "a.0": 1 }, doc! {}),
        (doc! { "b.0.x": 1 }, doc! {}),
        (doc! { "a": 1, "a.x": 1 }, doc! {}),
        (doc! { "b": -1 }, doc! { "sparse": true }),
        (doc! { "a.x": 1 }, doc! { "sparse": true }),
        (doc! { "n": 1, "b": 1 }, doc! { "sparse": true }),
        (doc! { "n": 1, "_id": -1 }, doc! { "unique": true }),
        (doc! { "a": 1 }, doc! { "partialFilterExpression": { "n": { "$gt": 1 } } }),
        (doc! { "n": 1 }, doc! { "partialFilterExpression": { "a.x": { "$exists": true } } }),
        (doc! { "b": 1 }, doc! { "partialFilterExpression": { "a": { "$lte": 2 } } }),
    ]
}

fn any_step() -> BoxedStrategy<Step> {
    let number = 0..indexes().len();
    prop_oneof![
        12 => any_document().prop_map(Step::Insert),
        5 => any_write().prop_map(|(command, rest)| Step::Write(command, rest)),
        3 => number.clone().prop_map(Step::CreateIndex),
        1 => number.prop_map(Step::DropIndex),
    ]
    .boxed()
}

/// A write whose outcome is the same in whatever order the documents are found: of one document that is told by
/// `_id` or comes first by a total sort, or of many with an update that never fails.
fn any_write() -> BoxedStrategy<(&'static str, Document)> {
    let update = |q: Document, u: Document, multi: bool, upsert: bool| {
        let change = doc! { "q": q, "u": u, "multi": multi, "upsert": upsert };
        ("update", doc! { "updates": [change] })
    };
    let id = || 0..30_i32;
    prop_oneof![
        3 => (id(), any_risky_update(), any::<bool>()).prop_map(move |(id, u, upsert)| {
            update(doc! { "_id": id, "b": { "$ne": "never" } }, u, false, upsert)
        }),
        2 => (id(), any_scalar()).prop_map(move |(id, value)| {
            update(doc! { "_id": id, "a": value }, doc! { "$set": { "a.$": 7 } }, false, false)
        }),
        3 => (any_filter(), any_safe_update()).prop_map(move |(q, u)| update(q, u, true, false)),
        1 => (any_filter(), id()).prop_map(|(filter, id)| {
            let q = doc! { "$and": [filter, { "_id": { "$lt": id } }] };
            ("delete", doc! { "deletes": [{ "q": q, "limit": 0 }] })
        }),
        2 => (any_filter(), any_sort(), any_safe_update(), any::<bool>()).prop_map(
            |(query, sort, update, new)| {
                let rest = doc! { "query": query, "sort": sort, "update": update, "new": new };
                ("findAndModify", rest)
            }
        ),
        1 => (any_filter(), any_sort()).prop_map(|(query, sort)| {
            ("findAndModify", doc! { "query": query, "sort": sort, "remove": true })
        }),
    ]
    .boxed()
}

fn any_safe_update() -> BoxedStrategy<Document> {
    let path = || proptest::sample::select(vec!["a", "b"]);
    prop_oneof![
        4 => (path(), any_value()).prop_map(|(path, value)| doc! { "$set": { path: value } }),
        1 => any_scalar().prop_map(|value| doc! { "$set": { "n": value } }),
        1 => path().prop_map(|path| doc! { "$unset": { path: 1 } }),
        1 => any_scalar().prop_map(|value| doc! { "$min": { "n": value } }),
        1 => any_scalar().prop_map(|value| doc! { "$max": { "a": value } }),
        1 => Just(doc! { "$rename": { "a": "b" } }),
    ]
    .boxed()
}

fn any_risky_update() -> BoxedStrategy<Document> {
    let path = || proptest::sample::select(vec!["a", "b", "a.x", "a.0", "b.0.x", "b.1"]);
    prop_oneof![
        2 => any_safe_update(),
        3 => any_document(),
        2 => (path(), any_value()).prop_map(|(path, value)| doc! { "$set": { path: value } }),
        1 => (path(), any_value()).prop_map(|(path, value)| doc! { "$push": { path: value } }),
        1 => (path(), any_value()).prop_map(|(path, value)| doc! { "$addToSet": { path: value } }),
        1 => (path(), any_scalar()).prop_map(|(path, value)| doc! { "$pull": { path: value } }),
        1 => path().prop_map(|path| doc! { "$inc": { path: Bson::Double(0.5) } }),
        1 => path().prop_map(|path| doc! { "$set": { format!("{path}.$[]"): bson!(1) } }),
    ]
    .boxed()
}

fn any_question() -> BoxedStrategy<Question> {
    let distinct = proptest::sample::select(vec!["a", "b", "n", "a.x", "a.0", "_id"]);
    let cut = (0..4_i32, 0..6_i32, 0..4_i32);
    (any_filter(), any_sort(), cut, distinct, 0..indexes().len())
        .prop_map(|(filter, sort, (skip, limit, batch), distinct, hint)| Question {
            filter,
            sort,
            skip,
            limit,
            batch,
            distinct,
            hint,
        })
        .boxed()
}
