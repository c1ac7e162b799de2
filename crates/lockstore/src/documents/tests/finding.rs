//! Documents are found the same with and without indexes.

use std::ops::ControlFlow;

use bson::{Bson, bson, doc};
use docquery::key::KeyPattern;
use docquery::{Environment, Filter};
use proptest::prelude::*;

use super::*;
use crate::documents::execution::{Execution, Extent, Row};
use crate::documents::plan::{Access, Explanation, Hint, Order, Plan, Query};

fn raw(document: &bson::Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn query(filter: &bson::Document) -> Query {
    Query::new(Arc::new(Filter::parse(&raw(filter), &Environment::new(0)).unwrap()))
}

fn execution(store: &Store, query: &Query, extent: Extent) -> Execution {
    let reading = store.engine().reading().unwrap();
    let collection = reading.catalog().collection("test.jobs").cloned();
    let plan = match &collection {
        Some(collection) => Plan::new(collection, query).unwrap(),
        None => Plan::nothing(query),
    };
    Execution::new(reading, collection.as_deref(), Arc::new(plan), extent)
}

fn find(store: &Store, query: &Query, extent: Extent) -> Vec<RawDocumentBuf> {
    let mut execution = execution(store, query, extent);
    let mut rows = Vec::new();
    while !execution.is_done() {
        rows.extend(execution.next_batch(store.engine(), 3, 1 << 20, document).unwrap());
    }
    rows
}

#[expect(clippy::unnecessary_wraps, reason = "it is passed for what may fail")]
fn document(row: Row<'_>) -> Result<RawDocumentBuf, DocumentError> {
    Ok(row.document.to_owned())
}

/// The keys by which documents are found.
fn keys(store: &Store, query: &Query) -> Vec<RawDocumentBuf> {
    let mut execution = execution(store, query, Extent { keys: true, ..Extent::default() });
    execution.next_batch(store.engine(), 9, 1 << 20, |row| Ok(row.key_document()?)).unwrap()
}

fn ids(documents: &[RawDocumentBuf]) -> Vec<i32> {
    documents.iter().map(|document| document.get_i32("_id").unwrap()).collect()
}

fn sorted(mut ids: Vec<i32>) -> Vec<i32> {
    ids.sort_unstable();
    ids
}

fn any_scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0..4_i32).prop_map(Bson::Int32),
        1 => Just(Bson::Null),
        1 => Just(Bson::Double(1.5)),
        1 => Just(Bson::Double(f64::NAN)),
        1 => Just(bson!("ab")),
        1 => Just(bson!("b")),
        1 => Just(bson!(true)),
        1 => Just(Bson::MaxKey),
    ]
}

fn any_object() -> impl Strategy<Value = Bson> {
    let field = prop_oneof![
        2 => any_scalar(),
        1 => proptest::collection::vec(any_scalar(), 0..3).prop_map(Bson::Array)
    ];
    let name = prop_oneof![3 => Just("x"), 3 => Just("y"), 1 => Just("0")];
    proptest::collection::vec((name, field), 0..3).prop_map(|fields| {
        Bson::Document(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    })
}

fn any_value() -> impl Strategy<Value = Bson> {
    let item = prop_oneof![
        4 => any_scalar(),
        3 => any_object(),
        1 => proptest::collection::vec(any_scalar(), 0..3).prop_map(Bson::Array)
    ];
    prop_oneof![
        3 => any_scalar(),
        2 => any_object(),
        3 => proptest::collection::vec(item, 0..4).prop_map(Bson::Array)
    ]
}

fn any_document() -> impl Strategy<Value = bson::Document> {
    proptest::collection::vec((prop_oneof![Just("a"), Just("b")], any_value()), 0..3).prop_map(
        |fields| fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    )
}

fn any_test() -> impl Strategy<Value = bson::Document> {
    let operand = || prop_oneof![4 => any_scalar(), 1 => any_value()];
    let list = || proptest::collection::vec(operand(), 0..3);
    let order = proptest::sample::select(vec!["$gt", "$gte", "$lt", "$lte"]);
    let two = proptest::collection::vec((order, any_scalar()), 1..3);
    let simple = prop_oneof![
        3 => operand().prop_map(|value| doc! { "$eq": value }),
        3 => two.prop_map(|tests| {
            tests.into_iter().map(|(operator, value)| (operator.to_owned(), value)).collect()
        }),
        1 => operand().prop_map(|value| doc! { "$ne": value }),
        1 => list().prop_map(|list| doc! { "$in": list }),
        1 => list().prop_map(|list| doc! { "$nin": list }),
        1 => any::<bool>().prop_map(|exists| doc! { "$exists": exists }),
        1 => proptest::sample::select(vec!["array", "int", "null", "string", "object", "number"])
            .prop_map(|name| doc! { "$type": name }),
        1 => Just(doc! { "$regex": "^a" }),
        1 => Just(doc! { "$mod": [2, 1] }),
        1 => Just(doc! { "$size": 1 }),
        1 => list().prop_map(|list| doc! { "$all": list }),
    ];
    let simple = simple.boxed();
    let inner = (proptest::sample::select(vec!["x", "y", "0"]), simple.clone());
    let inner = proptest::collection::vec(inner, 1..3);
    prop_oneof![
        6 => simple.clone(),
        1 => simple.clone().prop_map(|test| doc! { "$not": test }),
        1 => simple.prop_map(|test| doc! { "$elemMatch": test }),
        2 => inner.prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, test)| (name.to_owned(), Bson::Document(test)));
            doc! { "$elemMatch": fields.collect::<bson::Document>() }
        }),
    ]
}

/// A comparison in an expression: of a field with a constant mostly.
fn any_comparison() -> impl Strategy<Value = bson::Document> {
    let operator =
        proptest::sample::select(vec!["$eq", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]);
    let path = proptest::sample::select(vec!["$a", "$a", "$b", "$a.x", "$a.y", "$a.0", "$$ROOT.a"]);
    let constant = prop_oneof![
        6 => any_value().prop_map(|value| bson!({ "$literal": value })),
        1 => Just(Bson::MinKey),
        1 => Just(Bson::Undefined),
        1 => Just(bson!("$$REMOVE")),
        1 => Just(bson!("$b")),
    ];
    (operator, path, constant, any::<bool>()).prop_map(|(operator, path, constant, turned)| {
        if turned {
            doc! { operator: [constant, path] }
        } else {
            doc! { operator: [path, constant] }
        }
    })
}

fn any_expression() -> impl Strategy<Value = bson::Document> {
    let comparison = any_comparison().boxed();
    let parts = || proptest::collection::vec(comparison.clone(), 1..4);
    let joined = (parts(), comparison.clone())
        .prop_map(|(parts, one)| doc! { "$and": [one, { "$or": parts }] });
    prop_oneof![
        3 => comparison.clone(),
        2 => parts().prop_map(|parts| doc! { "$and": parts }),
        1 => parts().prop_map(|parts| doc! { "$or": parts }),
        1 => joined,
        1 => comparison.clone().prop_map(|comparison| doc! { "$not": [comparison] }),
    ]
}

fn any_filter() -> impl Strategy<Value = bson::Document> {
    let path =
        proptest::sample::select(vec!["a", "a", "b", "a.x", "a.y", "a.0", "b.0", "a.0.x", "b.x"]);
    let leaf = prop_oneof![
        3 => (path, any_test()).prop_map(|(path, test)| doc! { path: test }),
        1 => any_expression().prop_map(|expression| doc! { "$expr": expression }),
    ];
    let leaf = leaf.boxed();
    let parts = || proptest::collection::vec(leaf.clone(), 1..4);
    prop_oneof![
        3 => leaf.clone(),
        3 => parts().prop_map(|parts| doc! { "$and": parts }),
        1 => parts().prop_map(|parts| doc! { "$or": parts }),
        1 => parts().prop_map(|parts| doc! { "$nor": parts }),
        1 => (leaf.clone(), parts()).prop_map(|(leaf, parts)| {
            doc! { "$and": [leaf, { "$or": parts }] }
        }),
    ]
}

fn indexes() -> Vec<(bson::Document, bson::Document)> {
    vec![
        (doc! { "a": 1 }, doc! {}),
        (doc! { "a": -1 }, doc! {}),
        (doc! { "a": 1, "b": -1 }, doc! {}),
        (doc! { "b": 1, "a": 1 }, doc! {}),
        (doc! { "a.x": 1 }, doc! {}),
        (doc! { "a.x": 1, "a.y": 1 }, doc! {}),
        (doc! { "a.0": 1 }, doc! {}),
        (doc! { "a.0.x": -1 }, doc! {}),
        (doc! { "a": 1, "a.x": 1 }, doc! {}),
        (doc! { "a": 1 }, doc! { "sparse": true }),
        (doc! { "a.x": 1 }, doc! { "sparse": true }),
        (doc! { "a": 1, "b": 1 }, doc! { "sparse": true }),
        (doc! { "a": 1 }, doc! { "partialFilterExpression": { "b": { "$gt": 1 } } }),
        (doc! { "b": 1 }, doc! { "partialFilterExpression": { "a.x": { "$exists": true } } }),
        (doc! { "b": 1 }, doc! { "partialFilterExpression": { "a": { "$lte": 1 }, "b": 2 } }),
    ]
}

fn any_sort() -> impl Strategy<Value = bson::Document> {
    let field = (proptest::sample::select(vec!["a", "b", "a.x", "a.y"]), any::<bool>());
    proptest::collection::vec(field, 1..3).prop_map(|fields| {
        let direction = |descends| Bson::Int32(if descends { -1 } else { 1 });
        fields.into_iter().map(|(path, descends)| (path.to_owned(), direction(descends))).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_same_is_found_with_and_without_indexes(
        chosen in proptest::sample::subsequence(indexes(), 1..4),
        documents in proptest::collection::vec(any_document(), 1..12),
        filters in proptest::collection::vec((any_filter(), any_sort()), 1..12),
    ) {
        let store = Store::in_memory().unwrap();
        for (number, (key, options)) in chosen.iter().enumerate() {
            create_index(&store, raw(key), &format!("index{number}"), &raw(options)).unwrap();
        }
        for (id, document) in documents.iter().enumerate() {
            let mut whole = doc! { "_id": i32::try_from(id).unwrap() };
            whole.extend(document.clone());
            // Some have parallel arrays.
            let _ = try_insert(&store, raw(&whole));
        }
        check(&store);
        for (filter, sort) in filters {
            let natural = Query { hint: Hint::Natural(Direction::Forward), ..query(&filter) };
            let expected = ids(&find(&store, &natural, Extent::default()));
            let free = query(&filter);
            let found = ids(&find(&store, &free, Extent::default()));
            let plan = execution(&store, &free, Extent::default());
            prop_assert_eq!(sorted(found), expected.clone(), "{} by {:?}", filter, plan.plan().access());
            let counted = execution(&store, &free, Extent::default()).count(store.engine()).unwrap();
            prop_assert_eq!(counted, expected.len() as u64, "{} by {:?}", filter, plan.plan().access());
            for (number, (_, options)) in chosen.iter().enumerate() {
                if options.is_empty() {
                    let hint = Hint::Name(format!("index{number}").into());
                    let hinted = Query { hint, ..query(&filter) };
                    let found = ids(&find(&store, &hinted, Extent::default()));
                    prop_assert_eq!(sorted(found), expected.clone(), "{} by index{}", filter, number);
                }
            }
            check_order(&store, &filter, &sort, &expected)?;
        }
    }
}

/// Checks that what an index gives in the order of `sort` is in that order.
fn check_order(
    store: &Store,
    filter: &bson::Document,
    sort: &bson::Document,
    expected: &[i32],
) -> Result<(), TestCaseError> {
    // The order of a sort is that of the keys of an index on its fields.
    let pattern = KeyPattern::parse(&raw(sort)).unwrap();
    let Ok(order) = Order::parse(&raw(sort)) else { return Ok(()) };
    let sorted_query = Query { order, ..query(filter) };
    let plan = execution(store, &sorted_query, Extent::default());
    if plan.plan().sort().is_some() {
        return Ok(());
    }
    let found = find(store, &sorted_query, Extent::default());
    prop_assert_eq!(sorted(ids(&found)), expected);
    let keys = found.iter().map(|document| pattern.keys(document).unwrap().keys[0].clone());
    let keys: Vec<_> = keys.collect();
    prop_assert!(keys.is_sorted(), "{} by {} with {:?}", filter, sort, plan.plan().access());
    Ok(())
}

#[test]
fn an_execution_goes_on_where_it_rested() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": -1 }, "a", &rawdoc! {}).unwrap();
    for id in 0..10 {
        insert(&store, rawdoc! { "_id": id, "a": id % 3 });
    }
    let mut query = query(&doc! { "a": { "$gte": 1 } });
    let mut resting = execution(&store, &query, Extent::default());
    assert_eq!(ids(&resting.next_batch(store.engine(), 2, 1 << 20, document).unwrap()), [2, 5]);
    insert(&store, rawdoc! { "_id": 10, "a": 2 });
    insert(&store, rawdoc! { "_id": 11, "a": 5 });
    assert_eq!(ids(&resting.next_batch(store.engine(), 3, 1 << 20, document).unwrap()), [8, 10, 1]);
    assert_eq!(ids(&resting.next_batch(store.engine(), 9, 1 << 20, document).unwrap()), [4, 7]);
    assert!(resting.is_done());
    assert_eq!(resting.counts().returned, 7);

    query.order = Order::parse(&rawdoc! { "a": 1 }).unwrap();
    let found = find(&store, &query, Extent { skip: 1, limit: Some(5), ..Extent::default() });
    assert_eq!(ids(&found), [4, 1, 10, 8, 5]);
    query.order = Order::Natural(Direction::Backward);
    assert_eq!(
        ids(&find(&store, &query, Extent { limit: Some(2), ..Extent::default() })),
        [11, 10]
    );
}

#[test]
fn what_is_dropped_under_an_execution_ends_it() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    for id in 0..3 {
        insert(&store, rawdoc! { "_id": id, "a": 1 });
    }
    let query = query(&doc! { "a": 1 });
    let mut resting = execution(&store, &query, Extent::default());
    resting.next_batch(store.engine(), 1, 1 << 20, document).unwrap();
    let drop = Definition::DropIndexes { namespace: namespace(), names: vec!["a".into()] };
    done(store.engine().define(drop));
    let error = resting.next_batch(store.engine(), 1, 1 << 20, document).unwrap_err();
    assert_eq!(error.code().value(), 175, "{error}");
    assert!(resting.is_done());
}

#[test]
fn a_deadline_that_has_passed_is_an_error() {
    let store = Store::in_memory().unwrap();
    insert(&store, rawdoc! { "_id": 0 });
    let deadline = Some(Deadline::new(store.engine().clock.now()));
    let mut late = execution(&store, &query(&doc! {}), Extent { deadline, ..Extent::default() });
    let error = late.run(store.engine(), &mut |_| Ok(ControlFlow::Continue(()))).unwrap_err();
    assert_eq!(error.code().value(), 50, "{error}");
}

#[test]
fn a_key_is_told_with_the_row() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    insert(&store, rawdoc! { "_id": 0, "a": [5_i64, 7], "b": 1 });
    insert(&store, rawdoc! { "_id": 1, "a": 6, "b": 0 });
    assert_eq!(keys(&store, &query(&doc! { "a": 5 })), [rawdoc! { "a": 5_i64 }]);
    assert_eq!(keys(&store, &query(&doc! { "b": 1 })), [rawdoc! {}]);
    let order = Order::parse(&rawdoc! { "b": 1 }).unwrap();
    let sorted = Query { order, ..query(&doc! { "a": { "$lt": 7 } }) };
    assert_eq!(keys(&store, &sorted), [rawdoc! { "a": 6 }, rawdoc! { "a": 5_i64 }]);
}

#[test]
fn an_expression_that_compares_a_field_uses_its_index_until_that_meets_an_array() {
    let store = Store::in_memory().unwrap();
    for (name, key) in [("a", rawdoc! { "a": 1 }), ("bc", rawdoc! { "b.c": -1, "a": 1 })] {
        create_index(&store, key, name, &rawdoc! {}).unwrap();
    }
    create_index(&store, rawdoc! { "d": 1 }, "sparse", &rawdoc! { "sparse": true }).unwrap();
    insert(&store, rawdoc! { "_id": 0, "a": 1, "b": { "c": 2 }, "d": 3 });
    let none = doc! {};
    let check = |expression: bson::Document, expected: &[&str]| {
        check_plan(&store, &doc! { "$expr": expression }, &none, expected);
    };
    check(doc! { "$eq": ["$a", 1] }, &["a"]);
    check(doc! { "$gte": [7, "$a"] }, &["a"]);
    check(doc! { "$and": [{ "$eq": ["$b.c", 2] }, { "$lt": ["$a", 5] }] }, &["bc"]);
    check(doc! { "$or": [{ "$eq": ["$b.c", 2] }, { "$lt": ["$a", 5] }] }, &["bc", "a"]);
    check(doc! { "$gt": ["$d", 1] }, &["sparse"]);
    check(doc! { "$lt": ["$d", 1] }, &["collection"]);
    check(doc! { "$ne": ["$a", 1] }, &["collection"]);
    check(doc! { "$eq": ["$a", "$b"] }, &["collection"]);
    insert(&store, rawdoc! { "_id": 1, "a": [5] });
    check(doc! { "$eq": ["$a", 1] }, &["collection"]);
    check(doc! { "$and": [{ "$eq": ["$b.c", 2] }, { "$lt": ["$a", 5] }] }, &["bc"]);
    check(doc! { "$or": [{ "$eq": ["$b.c", 2] }, { "$lt": ["$a", 5] }] }, &["collection"]);
}

#[track_caller]
fn check_plan(store: &Store, filter: &bson::Document, sort: &bson::Document, expected: &[&str]) {
    let order = if sort.is_empty() { Order::Found } else { Order::parse(&raw(sort)).unwrap() };
    let execution = execution(store, &Query { order, ..query(filter) }, Extent::default());
    let found: Vec<_> = match execution.plan().access() {
        Access::Nothing => vec!["nothing"],
        Access::Collection(_) => vec!["collection"],
        Access::Indexes(scans) => scans.iter().map(|scan| scan.index().name()).collect(),
    };
    assert_eq!(found, expected, "{filter} {sort}");
}

#[test]
fn the_index_that_binds_the_most_is_taken() {
    let store = Store::in_memory().unwrap();
    for (name, key, options) in [
        ("a", doc! { "a": 1 }, doc! {}),
        ("ab", doc! { "a": 1, "b": 1 }, doc! {}),
        ("c", doc! { "c": 1 }, doc! { "unique": true }),
        ("sparse", doc! { "d": 1 }, doc! { "sparse": true }),
        ("partial", doc! { "e": 1 }, doc! { "partialFilterExpression": { "f": { "$gt": 5 } } }),
        ("hidden", doc! { "g": 1 }, doc! { "hidden": true }),
    ] {
        create_index(&store, raw(&key), name, &raw(&options)).unwrap();
    }
    let none = doc! {};
    check_plan(&store, &doc! {}, &none, &["collection"]);
    check_plan(&store, &doc! { "_id": 1 }, &none, &["_id_"]);
    check_plan(&store, &doc! { "_id": 1, "a": 1 }, &none, &["_id_"]);
    check_plan(&store, &doc! { "a": 1 }, &none, &["a"]);
    check_plan(&store, &doc! { "a": 1, "b": 1 }, &none, &["ab"]);
    check_plan(&store, &doc! { "a": 1 }, &doc! { "b": 1 }, &["ab"]);
    check_plan(&store, &doc! { "a": 1, "c": 1 }, &none, &["c"]);
    check_plan(&store, &doc! { "a": 1, "c": { "$gt": 1 } }, &none, &["a"]);
    check_plan(&store, &doc! { "a": { "$gt": 1 }, "c": { "$gt": 1 } }, &doc! { "c": 1 }, &["c"]);
    check_plan(&store, &doc! { "x": 1 }, &doc! { "a": -1 }, &["a"]);
    check_plan(&store, &doc! { "x": 1 }, &doc! { "x": 1 }, &["collection"]);
    check_plan(&store, &doc! { "a": { "$exists": true } }, &none, &["a"]);
    check_plan(&store, &doc! { "a": { "$exists": true } }, &doc! { "c": 1 }, &["c"]);
    check_plan(&store, &doc! { "a": { "$in": [] } }, &none, &["nothing"]);
    check_plan(&store, &doc! { "a": { "$size": 1 } }, &none, &["collection"]);
    check_plan(&store, &doc! { "$or": [{ "a": 1 }, { "c": 1 }] }, &none, &["a", "c"]);
    check_plan(&store, &doc! { "$or": [{ "a": 1 }, { "x": 1 }] }, &none, &["collection"]);
    check_plan(
        &store,
        &doc! { "x": 1, "$or": [{ "a": 1, "b": 2 }, { "c": 1 }] },
        &none,
        &["ab", "c"],
    );
    check_plan(&store, &doc! { "d": 1 }, &none, &["sparse"]);
    check_plan(&store, &doc! { "d": null }, &none, &["collection"]);
    check_plan(&store, &doc! { "d": { "$ne": 1 } }, &none, &["collection"]);
    check_plan(&store, &doc! { "d": { "$exists": true } }, &none, &["sparse"]);
    check_plan(&store, &doc! { "x": 1 }, &doc! { "d": 1 }, &["collection"]);
    check_plan(&store, &doc! { "e": 1 }, &none, &["collection"]);
    check_plan(&store, &doc! { "e": 1, "f": 6 }, &none, &["partial"]);
    check_plan(&store, &doc! { "e": 1, "f": { "$gte": 5 } }, &none, &["collection"]);
    check_plan(&store, &doc! { "e": 1, "f": { "$in": [6, 7.5] } }, &none, &["partial"]);
    check_plan(&store, &doc! { "g": 1 }, &none, &["collection"]);
}

#[test]
fn a_hint_must_name_an_index() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    insert(&store, rawdoc! { "_id": 0 });
    let collection = collection(&store);
    let plan = |hint: Hint| Plan::new(&collection, &Query { hint, ..query(&doc! {}) });
    let by_key = |key: RawDocumentBuf| Hint::parse(&key).unwrap();
    assert!(plan(Hint::Name("a".into())).is_ok());
    assert!(plan(by_key(rawdoc! { "a": 1.0 })).is_ok());
    assert!(plan(by_key(rawdoc! {})).is_ok());
    for hint in [Hint::Name("b".into()), by_key(rawdoc! { "a": -1 }), by_key(rawdoc! { "a": [1] })]
    {
        let error = plan(hint).unwrap_err();
        assert_eq!(error.code().value(), 2, "{error}");
    }
    assert!(Hint::parse(&rawdoc! { "$natural": 2 }).is_err());
}

/// Checks what `explain` says at a path of the winning plan.
#[track_caller]
fn check_explained(store: &Store, query: &Query, path: &str, expected: &Bson) {
    let execution = execution(store, query, Extent::default());
    let filter = rawdoc! {};
    let explanation = Explanation {
        namespace: "test.jobs",
        plan: execution.plan(),
        filter: &filter,
        projection: None,
        skip: 0,
        limit: Some(2),
        root: None,
    };
    let planner = bson::Document::try_from(explanation.query_planner()).unwrap();
    let mut found = planner.get("winningPlan").unwrap();
    for part in path.split('.') {
        let inside = found.as_document().and_then(|document| document.get(part));
        found = inside.unwrap_or_else(|| panic!("no '{part}' of {path} in {planner}"));
    }
    assert_eq!(found, expected, "{planner}");
}

#[test]
fn plans_are_explained() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1, "b.c": -1 }, "ab", &rawdoc! {}).unwrap();
    insert(&store, rawdoc! { "_id": 0, "a": 1, "b": { "c": [1, 2] } });
    let mut one = query(&doc! { "a": 5, "b.c": { "$lt": "x" } });
    check_explained(&store, &one, "stage", &bson!("LIMIT"));
    check_explained(&store, &one, "inputStage.stage", &bson!("FETCH"));
    let scan = "inputStage.inputStage";
    check_explained(&store, &one, &format!("{scan}.stage"), &bson!("IXSCAN"));
    check_explained(&store, &one, &format!("{scan}.indexName"), &bson!("ab"));
    check_explained(&store, &one, &format!("{scan}.isMultiKey"), &bson!(true));
    check_explained(&store, &one, &format!("{scan}.direction"), &bson!("forward"));
    let bounds = bson!({ "a": ["[5, 5]"], "b.c": ["(\"x\", \"\"]"] });
    check_explained(&store, &one, &format!("{scan}.indexBounds"), &bounds);
    one.order = Order::parse(&rawdoc! { "x": 1 }).unwrap();
    check_explained(&store, &one, "stage", &bson!("SORT"));
    check_explained(&store, &one, "limitAmount", &bson!(2));
    let id = query(&doc! { "_id": 1 });
    check_explained(&store, &id, "inputStage", &bson!({ "stage": "IDHACK" }));
    let either = query(&doc! { "$or": [{ "a": 1 }, { "_id": 2 }] });
    check_explained(&store, &either, "inputStage.inputStage.stage", &bson!("OR"));
    check_explained(&store, &query(&doc! {}), "inputStage.direction", &bson!("forward"));
}

#[test]
fn what_is_found_before_an_error_is_there() {
    let store = Store::in_memory().unwrap();
    for (id, list) in [(0, bson!([1])), (1, bson!([1])), (2, bson!("no list")), (3, bson!([1]))] {
        insert(&store, raw(&doc! { "_id": id, "list": list }));
    }
    let query = query(&doc! { "$expr": { "$in": [1, "$list"] } });
    let mut records = Vec::new();
    let mut broken = execution(&store, &query, Extent::default());
    let error = broken.gather(store.engine(), 10, &mut records).unwrap_err();
    assert_eq!((records.len(), error.code().value()), (2, 40081), "{error}");
    assert!(broken.is_done());
}

#[test]
fn arrays_that_come_while_a_scan_rests_are_matched_and_found_once() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    for id in 0..3 {
        insert(&store, rawdoc! { "_id": id, "a": id });
    }
    let other_than_six = query(&doc! { "a": { "$ne": 6, "$gte": 0 } });
    let mut execution = execution(&store, &other_than_six, Extent::default());
    let mut rows = execution.next_batch(store.engine(), 1, 1 << 20, document).unwrap();
    insert(&store, rawdoc! { "_id": 3, "a": [5, 6] });
    insert(&store, rawdoc! { "_id": 4, "a": [7, 8] });
    while !execution.is_done() {
        rows.extend(execution.next_batch(store.engine(), 1, 1 << 20, document).unwrap());
    }
    assert_eq!(ids(&rows), [0, 1, 2, 4]);
}

#[test]
fn arrays_that_come_before_a_count_ends_are_counted_if_they_match() {
    let store = Store::in_memory().unwrap();
    create_index(&store, rawdoc! { "a": 1 }, "a", &rawdoc! {}).unwrap();
    insert(&store, rawdoc! { "_id": 0, "a": 0 });
    insert(&store, rawdoc! { "_id": 1, "a": 1 });
    let other_than_six = query(&doc! { "a": { "$ne": 6, "$gte": 0 } });
    let mut execution = execution(&store, &other_than_six, Extent::default());
    execution.next_batch(store.engine(), 1, 1 << 20, document).unwrap();
    insert(&store, rawdoc! { "_id": 2, "a": [5, 6] });
    insert(&store, rawdoc! { "_id": 3, "a": [7, 8] });
    assert_eq!(execution.count(store.engine()).unwrap(), 2);
}
