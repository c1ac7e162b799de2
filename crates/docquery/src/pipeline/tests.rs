use bson::{Bson, bson, rawdoc};

use super::testing::{Memory, check, check_error, parse, run};
use super::*;

#[test]
fn stages_follow_each_other() {
    check(
        bson!([
            {"$match": {"n": {"$gte": 2}}},
            {"$set": {"m": {"$add": ["$n", 1]}}},
            {"$sort": {"n": -1}},
            {"$skip": 1},
            {"$limit": 2},
            {"$unset": "n"},
        ]),
        bson!([{"n": 1}, {"n": 2}, {"n": 3}, {"n": 4}, {"n": 5}]),
        bson!([{"m": 5}, {"m": 4}]),
    );
    check(bson!([{"$count": "n"}]), bson!([{}, {}]), bson!([{"n": 2}]));
    check(bson!([{"$count": "n"}]), bson!([]), bson!([]));
    check(
        bson!([{"$replaceRoot": {"newRoot": "$a"}}]),
        bson!([{"a": {"b": 1}}]),
        bson!([{"b": 1}]),
    );
    check_error(bson!([{"$replaceWith": "$a"}]), bson!([{"a": 1}]), 40228);
}

#[test]
fn a_field_that_was_taken_away_comes_back_in_its_place() {
    check(
        bson!([{"$set": {"a": "$none"}}, {"$set": {"a": 5}}]),
        bson!([{"a": 1, "b": 2}]),
        bson!([{"a": 5, "b": 2}]),
    );
}

#[test]
fn equal_documents_keep_their_order_in_a_sort() {
    let documents =
        bson!([{"k": 1, "n": 0}, {"k": 0, "n": 1}, {"k": 1.0, "n": 2}, {"k": 0, "n": 3}]);
    let sorted = bson!([{"k": 0, "n": 1}, {"k": 0, "n": 3}, {"k": 1, "n": 0}]);
    check(bson!([{"$sort": {"k": 1}}, {"$limit": 3}]), documents, sorted);
}

#[test]
fn what_is_no_stage_is_refused_before_others_are_parsed() {
    check_error(bson!([1]), bson!([]), 14);
    check_error(bson!([{}]), bson!([]), 40323);
    check_error(bson!([{"$limit": 1, "$skip": 1}]), bson!([]), 40323);
    check_error(bson!([{"$limit": "x"}, {"$no": 1}]), bson!([]), 40324);
    check_error(bson!([{"$sort": 1}]), bson!([]), 15973);
    check_error(bson!([{"$match": {}}, {"$documents": []}]), bson!([]), 40602);
}

#[test]
fn the_source_is_told_what_comes_first() {
    let pipeline = parse(bson!([
        {"$match": {"a": 1}}, {"$match": {"b": 1}}, {"$sort": {"c": 1}}, {"$skip": 2}, {"$limit": 3},
    ]));
    let pipeline = pipeline.unwrap();
    let leading = pipeline.leading();
    assert_eq!((leading.filters.len(), leading.sort.is_some(), leading.limit), (2, true, Some(5)));
    let pipeline = parse(bson!([{"$group": {"_id": 1}}, {"$limit": 1}])).unwrap();
    let leading = pipeline.leading();
    assert_eq!((leading.filters.len(), leading.sort.is_some(), leading.limit), (0, false, None));
}

#[test]
fn an_update_may_only_set_and_replace() {
    let pipeline =
        parse(bson!([{"$set": {"a": 1}}, {"$unset": "b"}, {"$replaceWith": "$$ROOT"}])).unwrap();
    pipeline.check_update().unwrap();
    let changed = pipeline.apply_to_document(&rawdoc! {"b": 2}).unwrap();
    assert_eq!(changed, rawdoc! {"a": 1});
    let pipeline = parse(bson!([{"$match": {}}])).unwrap();
    assert_eq!(pipeline.check_update().unwrap_err().code(), ErrorCode::INVALID_OPTIONS);
}

#[test]
fn what_would_be_very_large_or_deep_is_refused() {
    let doubled = vec![bson!({"$set": {"a": ["$a", "$a"]}}); 60];
    check_error(Bson::Array(doubled), bson!([{"a": 1}]), 10334);
    let mut stages = Vec::new();
    for _ in 0..30 {
        stages.extend(vec![bson!({"$set": {"a": {"b": "$a"}}}); 10]);
        stages.push(bson!({"$sort": {"x": 1}}));
    }
    check_error(Bson::Array(stages), bson!([{"a": 1}]), 15);
    let stages = vec![bson!({"$limit": 1}); 1001];
    check_error(Bson::Array(stages), bson!([]), 7_749_501);
    let large = "x".repeat(9_000_000);
    check_error(bson!([{"$set": {"b": "$a"}}]), bson!([{"a": large}]), 10334);
}

#[test]
fn names_that_are_made_of_strings_have_no_null_byte() {
    for expression in [
        bson!({"$arrayToObject": [[["a\0b", 1]]]}),
        bson!({"$arrayToObject": [[{"k": "a\0b", "v": 1}]]}),
        bson!({"$setField": {"field": "a\0b", "input": "$$ROOT", "value": 1}}),
        bson!({"$arrayToObject": {"$map": {"input": ["$x"], "in": ["$$this", 1]}}}),
    ] {
        let stages = bson!([{"$replaceWith": expression.clone()}]);
        let found = run(stages, bson!([{"x": "a\0b"}]), &Memory::default());
        assert!(found.is_err(), "{expression}");
    }
}

/// Documents whose `k` are in no order, each `k` several times.
fn many() -> Bson {
    let documents =
        (0..2_000_i64).map(|n| bson!({"_id": n, "k": (n * 7_919) % 500, "s": "x".repeat(50)}));
    Bson::Array(documents.collect())
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
fn check_with_little_memory(stages: Bson) {
    let little = Memory::default().with_memory(20_000);
    let found = run(stages.clone(), many(), &little).unwrap();
    assert_eq!(found, run(stages.clone(), many(), &Memory::default()).unwrap(), "{stages}");
    let without = run(stages.clone(), many(), &little.without_scratch());
    assert_eq!(without, Err(ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT.value()), "{stages}");
}

#[test]
fn a_sort_of_more_than_memory_is_the_same() {
    check_with_little_memory(bson!([{"$sort": {"k": -1}}]));
    check_with_little_memory(bson!([{"$sort": {"k": 1}}, {"$skip": 3}, {"$limit": 1_000}]));
}

#[test]
fn groups_of_more_than_memory_are_the_same() {
    let group = bson!({"$group": {
        "_id": "$k", "all": {"$push": "$_id"}, "n": {"$sum": 1}, "first": {"$first": "$_id"}, "mean": {"$avg": "$_id"},
    }});
    check_with_little_memory(bson!([group, {"$sort": {"_id": 1}}]));
}

#[test]
fn a_sample_of_more_than_memory_has_its_size() {
    let little = Memory::default().with_memory(20_000);
    for size in [1_900, 5_000] {
        let stages = bson!([{"$sample": {"size": size}}, {"$count": "n"}]);
        let found = run(stages, many(), &little);
        assert_eq!(found, Ok(bson!([{"n": size.min(2_000)}])));
    }
}

#[test]
fn windows_of_a_partition_of_more_than_memory_are_the_same() {
    let window = |function: Bson, window: Bson| {
        let mut output = function;
        output.as_document_mut().unwrap().insert("window", window);
        bson!([{"$setWindowFields": {"partitionBy": {"$lt": ["$k", 3]}, "sortBy": {"_id": 1}, "output": {"w": output}}}])
    };
    for (function, bounds) in [
        (bson!({"$sum": "$k"}), bson!({"documents": ["unbounded", "current"]})),
        (bson!({"$avg": "$k"}), bson!({"documents": [-300, 300]})),
        (bson!({"$max": "$k"}), bson!({"range": [-50, 20]})),
        (bson!({"$last": "$s"}), bson!({"documents": ["unbounded", "unbounded"]})),
        (bson!({"$derivative": {"input": "$k"}}), bson!({"documents": [-1, 0]})),
        (bson!({"$integral": {"input": "$k"}}), bson!({"documents": [-9, 9]})),
    ] {
        check_with_little_memory(window(function, bounds));
    }
    let little = Memory::default().with_memory(20_000).without_scratch();
    let stages = bson!([{"$setWindowFields": {"output": {"n": {"$sum": 1}}}}]);
    assert_eq!(run(stages, many(), &little), Err(5_643_011));
}

#[test]
fn what_functions_keep_of_a_window_is_bounded() {
    let little = Memory::default().with_memory(20_000);
    for (function, window) in
        [("$push", "current"), ("$max", "current"), ("$addToSet", "unbounded")]
    {
        let lower = if function == "$max" { bson!(-1_000) } else { bson!("unbounded") };
        let stages = bson!([{"$setWindowFields": {"sortBy": {"_id": 1}, "output": {
            "w": {function: "$_id", "window": {"documents": [lower, window]}},
        }}}]);
        assert_eq!(run(stages, many(), &little), Err(5_414_201), "{function}");
    }
}

#[test]
fn one_group_that_is_larger_than_memory_is_refused() {
    let stages = bson!([{"$group": {"_id": null, "all": {"$push": "$s"}, "set": {"$push": "$k"}}}]);
    let little = Memory::default().with_memory(20_000);
    let found = run(stages, many(), &little);
    assert_eq!(found, Err(ErrorCode::QUERY_EXCEEDED_MEMORY_LIMIT.value()));
}
