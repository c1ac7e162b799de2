//! Updates as MongoDB 6.0.5 applies them.

#![expect(clippy::needless_pass_by_value, reason = "cases read better without references")]

use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};

use super::Update;
use crate::{Environment, ErrorCode, Filter, Result};

const NOW_MS: i64 = 1_700_000_000_123;

/// What is expected of an update.
#[derive(Debug)]
enum Expected {
    Becomes(Document),
    Stays,
    Fails(i32),
}

use Expected::{Becomes, Fails, Stays};

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

fn parse(update: &Bson, array_filters: &[Document]) -> Result<Update> {
    let array_filters: Vec<_> = array_filters.iter().map(raw).collect();
    let array_filters: Vec<_> = array_filters.iter().map(|filter| &**filter).collect();
    let update = RawBson::try_from(update.clone()).unwrap();
    Update::parse(update.as_raw_bson_ref(), &array_filters, &Environment::new(NOW_MS))
}

fn filter(filter: &Document) -> Filter {
    Filter::parse(&raw(filter), &Environment::new(NOW_MS)).unwrap()
}

#[track_caller]
fn verify(result: Result<Option<RawDocumentBuf>>, expected: &Expected, what: &dyn std::fmt::Debug) {
    // Some documents here have a megabyte.
    let what = format!("{what:?}").chars().take(300).collect::<String>();
    match (result, expected) {
        (Ok(Some(document)), Becomes(expected)) => {
            // The bytes, so that the types and the order of fields count.
            let document = Document::try_from(&*document).unwrap();
            assert!(raw(&document) == raw(expected), "{what} gives {document}");
        }
        (Ok(None), Stays) => {}
        (Err(error), Fails(code)) if error.code() == ErrorCode::new(*code) => {}
        (result, _) => panic!("{what}: expected {expected:?}, got {result:?}"),
    }
}

#[track_caller]
fn check_found(query: Document, before: Document, update: impl Into<Bson>, expected: Expected) {
    let update = update.into();
    let result =
        parse(&update, &[]).and_then(|parsed| parsed.apply(&raw(&before), &filter(&query)));
    verify(result, &expected, &(before, update));
}

#[track_caller]
fn check(before: Document, update: impl Into<Bson>, expected: Expected) {
    check_found(doc! {}, before, update, expected);
}

#[track_caller]
fn check_items(before: Document, update: Document, array_filters: &[Document], expected: Expected) {
    let result = parse(&Bson::Document(update.clone()), array_filters)
        .and_then(|parsed| parsed.apply(&raw(&before), &filter(&doc! {})));
    verify(result, &expected, &(before, update, array_filters));
}

#[track_caller]
fn check_upsert(query: Document, update: impl Into<Bson>, expected: Expected) {
    let update = update.into();
    let result = parse(&update, &[]).and_then(|parsed| parsed.upsert(&filter(&query)));
    verify(result.map(Some), &expected, &(query, update));
}

#[test]
fn fields_are_set_in_place_and_new_ones_in_the_order_of_their_names() {
    check(
        doc! {"b": 1},
        doc! {"$set": {"c": 1, "a": 2, "b": 3}},
        Becomes(doc! {"b": 3, "a": 2, "c": 1}),
    );
    check(
        doc! {},
        doc! {"$set": {"b": 1, "a": 2, "10": 1, "9": 1}, "$inc": {"aa": 5}},
        Becomes(doc! {"9": 1, "10": 1, "a": 2, "aa": 5, "b": 1}),
    );
    check(doc! {"a": 1}, doc! {"$set": {"a": 1}}, Stays);
    check(doc! {"a": 1}, doc! {"$set": {"a": 1.0}}, Becomes(doc! {"a": 1.0}));
    check(
        doc! {"a": {"b": 1}},
        doc! {"$set": {"a.c.d": 2}},
        Becomes(doc! {"a": {"b": 1, "c": {"d": 2}}}),
    );
    check(doc! {"a": 1}, doc! {"$set": {}}, Stays);
    check(doc! {"a": 1}, doc! {"$setOnInsert": {"a": 2}}, Stays);
}

#[test]
fn paths_lead_into_documents_and_places_of_arrays_only() {
    check(doc! {"a": 1}, doc! {"$set": {"a.b": 1}}, Fails(28));
    check(doc! {"a": null}, doc! {"$set": {"a.b": 1}}, Fails(28));
    check(doc! {"a": [1]}, doc! {"$set": {"a.b": 1}}, Fails(28));
    check(doc! {"a": 1}, doc! {"$unset": {"a.b": 1}}, Stays);
    check(doc! {"a": 1}, doc! {"$pull": {"a.b": 1}}, Fails(28));
    check(doc! {"a": 1}, doc! {"$pop": {"a.b": 1}}, Fails(28));
    check(doc! {"a": {}}, doc! {"$pop": {"a.b": 1}}, Stays);
    check(doc! {"a": [1]}, doc! {"$set": {"a.3": 2}}, Becomes(doc! {"a": [1, null, null, 2]}));
    check(
        doc! {"a": [1]},
        doc! {"$set": {"a.2": 3, "a.1.b": 2}},
        Becomes(doc! {"a": [1, {"b": 2}, 3]}),
    );
    check(doc! {"a": [1, 2]}, doc! {"$set": {"a.01": 3}}, Becomes(doc! {"a": [1, 3]}));
    check(doc! {"a": []}, doc! {"$set": {"a.1500001": 1}}, Fails(34));
    check(doc! {"a": []}, doc! {"$set": {"a.99999999999999999999999": 1}}, Fails(34));
}

#[test]
fn what_is_unset_goes_and_leaves_null_in_arrays() {
    check(doc! {"a": 1, "b": 2}, doc! {"$unset": {"a": ""}}, Becomes(doc! {"b": 2}));
    check(doc! {"a": [1, 2]}, doc! {"$unset": {"a.0": ""}}, Becomes(doc! {"a": [null, 2]}));
    check(doc! {"a": [1, 2]}, doc! {"$unset": {"a.7": "", "b.c": ""}}, Stays);
}

#[test]
fn numbers_keep_and_widen_their_types() {
    check(doc! {"n": i32::MAX}, doc! {"$inc": {"n": 1}}, Becomes(doc! {"n": 2_147_483_648_i64}));
    check(doc! {"n": i64::MAX}, doc! {"$inc": {"n": 1}}, Fails(2));
    check(doc! {"n": 1}, doc! {"$inc": {"n": 0}}, Stays);
    check(doc! {"n": 1}, doc! {"$inc": {"n": 0_i64}}, Becomes(doc! {"n": 1_i64}));
    check(doc! {"n": "1"}, doc! {"$inc": {"n": 1}}, Fails(14));
    check(doc! {"n": null}, doc! {"$inc": {"n": 1}}, Fails(14));
    check(doc! {}, doc! {"$inc": {"n": "1"}}, Fails(14));
    check(
        doc! {},
        doc! {"$mul": {"i": 5, "l": 5_i64, "x": 1.5}},
        Becomes(doc! {"i": 0, "l": 0_i64, "x": 0.0}),
    );
    check(
        doc! {"n": 6},
        doc! {"$bit": {"n": {"and": 12, "or": 1_i64}}},
        Becomes(doc! {"n": 5_i64}),
    );
    check(doc! {}, doc! {"$bit": {"n": {"or": 5}}}, Becomes(doc! {"n": 5}));
    check(doc! {"n": 1.0}, doc! {"$bit": {"n": {"or": 5}}}, Fails(2));
    check(
        doc! {"n": 5},
        doc! {"$min": {"n": "a"}, "$max": {"m": null}},
        Becomes(doc! {"n": 5, "m": null}),
    );
    check(doc! {"n": 5}, doc! {"$max": {"n": 5.0}}, Stays);
    check(doc! {"n": 5}, doc! {"$min": {"n": null}}, Becomes(doc! {"n": null}));
}

#[test]
fn the_current_date_is_that_of_the_environment() {
    let date = bson::DateTime::from_millis(NOW_MS);
    let timestamp = bson::Timestamp { time: 1_700_000_000, increment: 1 };
    check(doc! {}, doc! {"$currentDate": {"d": false}}, Becomes(doc! {"d": date}));
    check(
        doc! {},
        doc! {"$currentDate": {"t": {"$type": "timestamp"}}},
        Becomes(doc! {"t": timestamp}),
    );
    check(doc! {}, doc! {"$currentDate": {"t": {"$type": "time"}}}, Fails(2));
    check(doc! {}, doc! {"$currentDate": {"t": 1}}, Fails(2));
}

#[test]
fn a_rename_moves_a_field_outside_of_arrays() {
    check(doc! {"a": 1, "b": 2}, doc! {"$rename": {"a": "c"}}, Becomes(doc! {"b": 2, "c": 1}));
    check(doc! {"a": 1, "b": 2}, doc! {"$rename": {"a": "b"}}, Becomes(doc! {"b": 1}));
    check(
        doc! {"a": {"x": 1}},
        doc! {"$rename": {"a.x": "b.y"}},
        Becomes(doc! {"a": {}, "b": {"y": 1}}),
    );
    check(doc! {"b": 1}, doc! {"$rename": {"a": "c"}}, Stays);
    check(doc! {"a": [{"x": 1}]}, doc! {"$rename": {"a.0.x": "c"}}, Fails(2));
    check(doc! {"a": 1, "b": []}, doc! {"$rename": {"a": "b.0"}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a.x": "c"}}, Fails(28));
    check(doc! {"a": 1}, doc! {"$rename": {"a": "a"}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a": "a.b"}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a": "b.$"}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a": 1}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a": "b\0"}}, Fails(2));
    check(doc! {"a": 1}, doc! {"$rename": {"a": ""}}, Fails(56));
    check(doc! {"a": 1}, doc! {"$rename": {"a": "b"}, "$set": {"b": 1}}, Fails(40));
}

#[test]
fn values_are_pushed_at_a_position_then_sorted_then_sliced() {
    check(
        doc! {"a": [1]},
        doc! {"$push": {"a": {"$slice": 1}}},
        Becomes(doc! {"a": [1, {"$slice": 1}]}),
    );
    check(doc! {}, doc! {"$push": {"a": {"$each": []}}}, Becomes(doc! {"a": []}));
    check(doc! {"a": [1]}, doc! {"$push": {"a": {"$each": []}}}, Stays);
    check(doc! {"a": null}, doc! {"$push": {"a": 1}}, Fails(2));
    for (position, expected) in
        [(0, [9, 1, 2]), (1, [1, 9, 2]), (7, [1, 2, 9]), (-1, [1, 9, 2]), (-7, [9, 1, 2])]
    {
        let each = doc! {"$each": [9], "$position": position};
        check(
            doc! {"a": [1, 2]},
            doc! {"$push": {"a": each}},
            Becomes(doc! {"a": expected.to_vec()}),
        );
    }
    let each = doc! {"$each": [2, 5], "$sort": -1, "$slice": 3, "$position": 0};
    check(doc! {"a": [4, 1]}, doc! {"$push": {"a": each}}, Becomes(doc! {"a": [5, 4, 2]}));
    let by_field = doc! {"$each": [{"x": 1}], "$sort": {"x": 1}, "$slice": -2};
    check(
        doc! {"a": [{"x": 2}, {"x": {"y": 1}}, {}]},
        doc! {"$push": {"a": by_field}},
        Becomes(doc! {"a": [{"x": 2}, {"x": {"y": 1}}]}),
    );
    let sorted = doc! {"$each": [], "$sort": 1};
    check(doc! {"a": [1]}, doc! {"$push": {"a": sorted.clone()}}, Becomes(doc! {"a": [1]}));
    check(doc! {"a": []}, doc! {"$push": {"a": sorted}}, Stays);
    for clauses in [
        doc! {"$each": 1},
        doc! {"$each": [], "$slice": 1.5},
        doc! {"$each": [], "$sort": 2},
        doc! {"$each": [], "$sort": {}},
        doc! {"$each": [], "$sort": {"a.": 1}},
        doc! {"$each": [], "$position": "0"},
        doc! {"$each": [], "x": 1},
    ] {
        check(doc! {}, doc! {"$push": {"a": clauses}}, Fails(2));
    }
}

#[test]
fn sets_take_each_value_once() {
    check(
        doc! {"a": [1, {"x": 1, "y": 2}]},
        doc! {"$addToSet": {"a": {"$each": [1.0, 2, 2_i64, {"y": 2, "x": 1}, {"x": 1.0, "y": 2}]}}},
        Becomes(doc! {"a": [1, {"x": 1, "y": 2}, 2, {"y": 2, "x": 1}]}),
    );
    check(doc! {"a": [1]}, doc! {"$addToSet": {"a": 1.0}}, Stays);
    check(doc! {"a": 1}, doc! {"$addToSet": {"a": 1}}, Fails(2));
    check(doc! {}, doc! {"$addToSet": {"a": {"$each": 1}}}, Fails(14));
    check(doc! {}, doc! {"$addToSet": {"a": {"$each": [], "x": 1}}}, Fails(2));
}

#[test]
fn items_are_taken_out_by_value_or_condition() {
    check(doc! {"a": [1, 2, 1.0]}, doc! {"$pullAll": {"a": [1]}}, Becomes(doc! {"a": [2]}));
    check(
        doc! {"a": [1, 5, "x"]},
        doc! {"$pull": {"a": {"$gte": 2}}},
        Becomes(doc! {"a": [1, "x"]}),
    );
    check(
        doc! {"a": [{"x": 1, "y": 2}, {"x": 2}, 1, [{"x": 1}]]},
        doc! {"$pull": {"a": {"x": 1}}},
        Becomes(doc! {"a": [{"x": 2}, 1, [{"x": 1}]]}),
    );
    check(doc! {"a": [[1], 1]}, doc! {"$pull": {"a": [1]}}, Becomes(doc! {"a": [1]}));
    check(doc! {"a": [1]}, doc! {"$pull": {"a": 2}}, Stays);
    check(doc! {"a": 1}, doc! {"$pull": {"a": 2}}, Fails(2));
    check(doc! {}, doc! {"$pull": {"a": {"$not": {"$gt": 2}}}}, Fails(2));
    check(doc! {}, doc! {"$pull": {"a": {"$expr": true}}}, Fails(224));
    check(doc! {}, doc! {"$pullAll": {"a": 1}}, Fails(2));
    check(doc! {"a": [1, 2]}, doc! {"$pop": {"a": 1}}, Becomes(doc! {"a": [1]}));
    check(doc! {"a": [1, 2]}, doc! {"$pop": {"a": -1.0}}, Becomes(doc! {"a": [2]}));
    check(doc! {"a": []}, doc! {"$pop": {"a": 1}}, Stays);
    check(doc! {"a": 1}, doc! {"$pop": {"a": 1}}, Fails(14));
    check(doc! {"a": []}, doc! {"$pop": {"a": 2}}, Fails(9));
}

#[test]
fn the_positional_operator_is_the_place_the_filter_matched() {
    let before = || doc! {"a": [1, 2, 3]};
    check_found(doc! {"a": 2}, before(), doc! {"$set": {"a.$": 9}}, Becomes(doc! {"a": [1, 9, 3]}));
    check_found(doc! {}, before(), doc! {"$set": {"a.$": 9}}, Fails(2));
    check_found(
        doc! {"d.k": 2},
        doc! {"d": [{"k": 1}, {"k": 2}]},
        doc! {"$inc": {"d.$.k": 1, "d.1.n": 5}},
        Becomes(doc! {"d": [{"k": 1}, {"k": 3, "n": 5}]}),
    );
    check_found(doc! {"a": 2}, before(), doc! {"$set": {"a.$": 9, "a.1": 8}}, Fails(40));
    check(before(), doc! {"$set": {"$.a": 1}}, Fails(2));
    check(before(), doc! {"$set": {"a.$.b.$": 1}}, Fails(2));
    check_upsert(doc! {"a": 2}, doc! {"$set": {"b.$": 1}}, Fails(2));
}

#[test]
fn array_filters_choose_items() {
    let before = || doc! {"a": [1, 5, 9]};
    let at_least_5 = doc! {"x": {"$gte": 5}};
    let filters = std::slice::from_ref(&at_least_5);
    check_items(before(), doc! {"$inc": {"a.$[]": 1}}, &[], Becomes(doc! {"a": [2, 6, 10]}));
    check_items(before(), doc! {"$set": {"a.$[x]": 0}}, filters, Becomes(doc! {"a": [1, 0, 0]}));
    check_items(
        doc! {"d": [{"k": 1}, {"k": 2}]},
        doc! {"$set": {"d.$[].n": 0, "d.$[e].m": 1}},
        &[doc! {"e.k": 2}],
        Becomes(doc! {"d": [{"k": 1, "n": 0}, {"k": 2, "m": 1, "n": 0}]}),
    );
    check_items(before(), doc! {"$set": {"a.$[]": 1, "a.$[x]": 2}}, filters, Fails(40));
    check_items(before(), doc! {"$set": {"a.$[x]": 1, "a.0": 2}}, filters, Fails(40));
    check_items(before(), doc! {"$set": {"a.$[y]": 1}}, filters, Fails(2));
    check_items(before(), doc! {"$set": {"a": 1}}, filters, Fails(9));
    check_items(
        before(),
        doc! {"$set": {"a.$[x]": 1}},
        &[doc! {"x": 1}, doc! {"x.y": 1}],
        Fails(9),
    );
    check_items(before(), doc! {"$set": {"a.$[x]": 1}}, &[doc! {"x": 1, "y": 1}], Fails(9));
    check_items(before(), doc! {"$set": {"a.$[x]": 1}}, &[doc! {"x": {"$all": []}}], Fails(9));
    check_items(before(), doc! {"$set": {"a.$[X]": 1}}, &[doc! {"X": 1}], Fails(2));
    check_items(before(), doc! {"$set": {"a.$[x]": 1}}, &[doc! {"$expr": true}], Fails(224));
    check_items(before(), doc! {"$set": {"$[].a": 1}}, &[], Fails(2));
    check_items(doc! {"a": 1}, doc! {"$set": {"a.$[]": 1}}, &[], Fails(2));
    check_items(doc! {}, doc! {"$set": {"a.$[]": 1}}, &[], Fails(2));
}

#[test]
fn one_update_changes_a_path_in_one_way() {
    for (a, b) in [("a", "a"), ("a", "a.b"), ("a.b", "a"), ("a.b.c", "a.b"), ("a.$[]", "a.0")] {
        check(doc! {}, doc! {"$set": {a: 1}, "$inc": {b: 1}}, Fails(40));
    }
    check(
        doc! {},
        doc! {"$set": {"a.b": 1}, "$inc": {"a.c": 1}},
        Becomes(doc! {"a": {"b": 1, "c": 1}}),
    );
}

#[test]
fn updates_are_of_one_kind() {
    check(doc! {}, doc! {"$set": {"a": 1}, "b": 1}, Fails(9));
    check(doc! {}, doc! {"$foo": {"a": 1}}, Fails(9));
    check(doc! {}, doc! {"$set": 1}, Fails(9));
    check(doc! {}, doc! {"$v": 1, "$set": {"a": 1}}, Fails(9));
    check(doc! {}, "x", Fails(9));
    check(doc! {}, Bson::Null, Fails(9));
    check(doc! {}, doc! {"b": 1, "$set": {"a": 1}}, Fails(52));
    check(doc! {}, doc! {"$set": {"a..b": 1}}, Fails(56));
    check(doc! {}, doc! {"$set": {"$x": 1}}, Fails(52));
    check(doc! {}, doc! {"$set": {"$id": 1}}, Fails(55));
    check(
        doc! {"a": {}},
        doc! {"$set": {"a.$x": 1, "b": {"$y": 1}}},
        Becomes(doc! {"a": {"$x": 1}, "b": {"$y": 1}}),
    );
    check(doc! {}, vec![Bson::from(doc! {"$match": {}})], Fails(72));
}

#[test]
fn a_replacement_keeps_the_id() {
    let before = || doc! {"_id": 1, "a": 1};
    check(before(), doc! {"b": 1}, Becomes(doc! {"_id": 1, "b": 1}));
    check(before(), doc! {"b": 1, "_id": 1}, Becomes(doc! {"_id": 1, "b": 1}));
    check(before(), doc! {}, Becomes(doc! {"_id": 1}));
    check(before(), before(), Stays);
    check(before(), doc! {"_id": 2}, Fails(66));
    check(before(), doc! {"_id": [1]}, Fails(53));
    check(before(), doc! {"_id": {"$a": 1}}, Fails(52));
    let zero = bson::Timestamp { time: 0, increment: 0 };
    let now = bson::Timestamp { time: 1_700_000_000, increment: 1 };
    check(
        before(),
        doc! {"t": zero, "d": {"t": zero}},
        Becomes(doc! {"_id": 1, "t": now, "d": {"t": zero}}),
    );
}

#[test]
fn the_id_never_changes() {
    let before = || doc! {"_id": {"x": 1}, "a": 1};
    check(before(), doc! {"$set": {"_id": {"x": 1}}}, Stays);
    check(before(), doc! {"$set": {"_id": {"x": 1.0}}}, Fails(66));
    check(before(), doc! {"$set": {"_id.x": 1}}, Stays);
    check(before(), doc! {"$set": {"_id.y": 1}}, Fails(66));
    check(before(), doc! {"$unset": {"_id": 1}}, Fails(66));
    check(before(), doc! {"$unset": {"_id.y": 1}}, Stays);
    check(before(), doc! {"$inc": {"_id.x": 1}}, Fails(66));
    check(before(), doc! {"$rename": {"_id": "b"}}, Fails(66));
    check(before(), doc! {"$rename": {"a": "_id"}}, Fails(66));
    check(before(), doc! {"$rename": {"b": "_id"}}, Stays);
    check(before(), doc! {"$setOnInsert": {"_id": 2}}, Stays);
}

#[test]
fn an_upsert_begins_with_what_the_filter_fixes() {
    check_upsert(
        doc! {"b": 1, "a": {"$eq": 2}, "c": {"$gt": 3}, "d": {"$in": [4]}, "$and": [{"e": {"$all": [5]}}], "$or": [{"f": 6}]},
        doc! {"$set": {"z": 1, "y": 2}, "$setOnInsert": {"_id": 7}},
        Becomes(doc! {"_id": 7, "a": 2, "b": 1, "d": 4, "e": 5, "f": 6, "y": 2, "z": 1}),
    );
    check_upsert(
        doc! {"x.0": 5, "x.y": 6},
        doc! {"$set": {}},
        Becomes(doc! {"x": {"0": 5, "y": 6}}),
    );
    check_upsert(
        doc! {"a": 1, "_id": 3},
        doc! {"$inc": {"a": 1}},
        Becomes(doc! {"_id": 3, "a": 2}),
    );
    check_upsert(doc! {"a": 1, "_id": 3}, doc! {"b": 1}, Becomes(doc! {"_id": 3, "b": 1}));
    check_upsert(doc! {"$and": [{"a": 1}, {"a": 2}]}, doc! {"b": 1}, Becomes(doc! {"b": 1}));
    check_upsert(doc! {"$and": [{"a": 1}, {"a": 2}]}, doc! {"$set": {"b": 1}}, Fails(54));
    check_upsert(doc! {"_id": [1]}, doc! {"$set": {"b": 1}}, Fails(53));
    check_upsert(doc! {"_id": [1]}, doc! {"b": 1}, Fails(54));
    check_upsert(doc! {"_id": [1]}, vec![doc! {"$set": {"b": 1}}], Fails(54));
    check_upsert(doc! {}, doc! {"$set": {"_id": [1]}}, Fails(53));
    check_upsert(doc! {}, doc! {"$push": {"_id": 1}}, Fails(54));
    check_upsert(doc! {}, doc! {"$push": {"_id": {"$each": []}}}, Fails(53));
    check_upsert(doc! {}, doc! {"$addToSet": {"_id": 1}}, Fails(54));
    for twice in [
        doc! {"a": 1, "a.b": 2},
        doc! {"a.b": 1, "a": {"b": 1}},
        doc! {"a": 1, "a-b": 1, "a.b.c": 1},
        doc! {"a": {"$all": [1, 2]}},
    ] {
        check_upsert(twice, doc! {"$set": {"b": 1}}, Fails(54));
    }
    check_upsert(doc! {"_id.a": 1}, doc! {"b": 1}, Fails(111));
    check_upsert(doc! {"_id.a": 1}, doc! {"$set": {"_id.b": 1}}, Fails(66));
    check_upsert(doc! {}, doc! {"$set": {"_id.b": 1}}, Becomes(doc! {"_id": {"b": 1}}));
    check_upsert(doc! {}, doc! {"$set": {"_id.b": 1, "_id.c": 1}}, Fails(66));
    check_upsert(doc! {"_id": 1}, doc! {"$set": {"_id": 2}}, Fails(66));
    check_upsert(doc! {"_id": 1}, doc! {"_id": 2}, Fails(66));
    check_upsert(doc! {"_id": [1]}, doc! {"$set": {"a": 2}}, Fails(53));
    check_upsert(doc! {"a": 1}, doc! {"$set": {"a.b": 2}}, Fails(28));
}

/// A document in `levels` others.
fn nested(levels: usize) -> Document {
    (0..levels).fold(doc! {"x": 1}, |inner, _| doc! {"d": inner})
}

#[test]
fn documents_stay_within_their_limits() {
    check(doc! {}, doc! {"$set": {"a": nested(177)}}, Becomes(doc! {"a": nested(177)}));
    check(doc! {}, doc! {"$set": {"a": nested(178)}}, Becomes(doc! {"a": nested(178)}));
    check(doc! {}, doc! {"$set": {"a": nested(179)}}, Fails(15));
    check(doc! {}, doc! {"$push": {"a": nested(177)}}, Becomes(doc! {"a": [nested(177)]}));
    check(doc! {}, doc! {"$push": {"a": nested(178)}}, Fails(15));
    check(doc! {}, doc! {"$set": {vec!["a"; 180].join("."): 1}}, Becomes(nested_path(180)));
    check(doc! {}, doc! {"$set": {vec!["a"; 181].join("."): 1}}, Fails(15));
    check(doc! {}, doc! {"$set": {vec!["a"; 100_000].join("."): 1}}, Fails(15));
    check(doc! {"x": {"a": nested(177)}}, doc! {"$rename": {"x.a": "y.z.a"}}, Fails(15));
    let mebibytes = |count: usize| "x".repeat(count * 1024 * 1024);
    check(doc! {"a": mebibytes(9)}, doc! {"$set": {"b": mebibytes(8)}}, Fails(10334));
    let small = "x".repeat(16 * 1024 * 1024 - 30);
    check(doc! {"a": small.clone()}, doc! {"$set": {"b": "x".repeat(100)}}, Fails(17419));
    check_upsert(doc! {"a": small}, doc! {"$set": {"b": "x".repeat(100)}}, Fails(17420));
    check(doc! {"a": [], "b": []}, doc! {"$set": {"a.1500000": 1, "b.1500000": 1}}, Fails(10334));
}

fn nested_path(parts: usize) -> Document {
    (1..parts).fold(doc! {"a": 1}, |inner, _| doc! {"a": inner})
}

#[test]
fn many_paths_are_applied_in_one_walk() {
    let fields: Document =
        (0..20_000).map(|number| (format!("f{number}"), Bson::from(1))).collect();
    let sums = parse(&doc! {"$inc": fields.clone()}.into(), &[]).unwrap();
    let result = sums.apply(&raw(&fields), &filter(&doc! {})).unwrap().unwrap();
    assert!(result.iter().all(|field| field.unwrap().1.as_i32() == Some(2)));
    let items = (0..20_000).map(|place| (format!("a.{place}"), Bson::from(2)));
    let items = parse(&doc! {"$set": items.collect::<Document>()}.into(), &[]).unwrap();
    let result = items.apply(&raw(&doc! {"a": vec![1; 10_000]}), &filter(&doc! {})).unwrap();
    assert_eq!(result.unwrap(), raw(&doc! {"a": vec![2; 20_000]}));
}

/// A small update of a small document that makes a huge one.
#[test]
fn an_update_that_multiplies_ends_early() {
    let before = || doc! {"a": vec![Bson::from(doc! {"b": []}); 10_000]};
    let value = "x".repeat(1_000_000);
    check(before(), doc! {"$set": {"a.$[].b": value.clone()}}, Fails(10334));
    check(before(), doc! {"$push": {"a.$[].b": value}}, Fails(10334));
    let many = || vec![Bson::from(1); 10_000];
    for each in [
        doc! {"$push": {"a.$[].b": {"$each": many()}}},
        doc! {"$push": {"a.$[].b": {"$each": many(), "$slice": 1}}},
        doc! {"$addToSet": {"a.$[].b": {"$each": (0..10_000).collect::<Vec<_>>()}}},
        doc! {"$pullAll": {"a.$[].b": (0..10_000).collect::<Vec<_>>()}},
    ] {
        check(before(), each, Fails(10334));
    }
}

#[test]
fn an_update_knows_which_paths_it_touches() {
    let update = doc! {"$set": {"a.b": 1, "c.$[].d": 1}, "$rename": {"e": "f"}};
    let update = parse(&update.into(), &[]).unwrap();
    for path in ["a", "a.b", "a.b.c", "a.0.b", "c", "c.d", "c.d.1", "e", "f.x"] {
        assert!(update.touches(path), "{path}");
    }
    for path in ["a.c", "ab", "b", "d", "_id"] {
        assert!(!update.touches(path), "{path}");
    }
    assert!(!update.is_replacement() && !update.is_pipeline());
    assert!(parse(&doc! {"a": 1}.into(), &[]).unwrap().touches("z"));
}
