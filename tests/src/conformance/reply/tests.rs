use super::*;

use bson::RawDocumentBuf;

use crate::conformance::extended;

const EXACT: Rules = Rules { result: Order::Exact, inner_arrays: Order::Exact };
const ANY_RESULT: Rules = Rules { result: Order::Any, inner_arrays: Order::Exact };
const ANY_ARRAYS: Rules = Rules { result: Order::Exact, inner_arrays: Order::Any };

fn reply(text: &str) -> RawDocumentBuf {
    extended::document(&serde_json::from_str(text).expect("JSON")).expect("a document")
}

fn difference(recorded: &str, answered: &str, rules: Rules) -> Option<String> {
    compare(&reply(recorded), &reply(answered), rules)
        .err()
        .map(|difference| difference.to_string())
}

#[track_caller]
fn same(recorded: &str, answered: &str, rules: Rules) {
    assert_eq!(difference(recorded, answered, rules), None);
}

/// Checks that a difference is found, and that it is told in these words.
#[track_caller]
fn differs(recorded: &str, answered: &str, rules: Rules, told: &str) {
    assert_eq!(difference(recorded, answered, rules).as_deref(), Some(told));
}

/// A reply with these documents.
fn batch(documents: &str) -> String {
    format!(r#"{{"ok":1,"cursor":{{"firstBatch":[{documents}]}}}}"#)
}

/// The same with one value in it.
fn with(value: &str) -> String {
    batch(&format!(r#"{{"v":{value}}}"#))
}

#[track_caller]
fn values_differ(recorded: &str, answered: &str) {
    let told = format!("cursor.firstBatch[0].v: expected {recorded}, got {answered}");
    differs(&with(recorded), &with(answered), EXACT, &told);
    // A bag finds what a list finds.
    assert!(difference(&with(recorded), &with(answered), ANY_RESULT).is_some());
}

/// Two values, and each as the other's answer.
#[track_caller]
fn values_differ_both_ways(one: &str, other: &str) {
    same(&with(one), &with(one), EXACT);
    same(&with(other), &with(other), EXACT);
    values_differ(one, other);
    values_differ(other, one);
}

#[test]
fn numbers_of_other_types_are_other_values() {
    let one = [
        r#"{"$numberInt":"1"}"#,
        r#"{"$numberLong":"1"}"#,
        r#"{"$numberDouble":"1.0"}"#,
        r#"{"$numberDecimal":"1"}"#,
        r#"{"$numberDecimal":"1.0"}"#,
        r#""1""#,
        "true",
    ];
    for (index, left) in one.iter().enumerate() {
        for right in &one[index + 1..] {
            values_differ_both_ways(left, right);
        }
    }
}

#[test]
fn a_zero_has_a_sign_and_a_decimal_has_its_digits() {
    values_differ_both_ways(r#"{"$numberDouble":"0.0"}"#, r#"{"$numberDouble":"-0.0"}"#);
    values_differ_both_ways(r#"{"$numberDecimal":"0"}"#, r#"{"$numberDecimal":"-0"}"#);
    values_differ_both_ways(r#"{"$numberDecimal":"1E+1"}"#, r#"{"$numberDecimal":"10"}"#);
    values_differ_both_ways(
        r#"{"$numberDouble":"0.1"}"#,
        r#"{"$numberDouble":"0.10000000000000002"}"#,
    );
}

#[test]
fn every_nan_is_the_same_but_not_of_the_same_type() {
    let with_bits = |bits: u64| {
        let mut document = RawDocumentBuf::new();
        document.append(bson::raw::cstr!("ok"), 1);
        document.append(bson::raw::cstr!("value"), f64::from_bits(bits));
        document
    };
    let (quiet, other) = (0x7ff8_0000_0000_0000, 0xfff8_0000_0000_0123);
    assert_eq!(compare(&with_bits(quiet), &with_bits(other), EXACT), Ok(()));
    values_differ_both_ways(r#"{"$numberDouble":"NaN"}"#, r#"{"$numberDecimal":"NaN"}"#);
}

#[test]
fn values_that_look_alike_differ() {
    values_differ_both_ways("null", r#"{"$undefined":true}"#);
    values_differ_both_ways(r#""a""#, r#"{"$symbol":"a"}"#);
    values_differ_both_ways(r#"{"$code":"a"}"#, r#"{"$code":"a","$scope":{}}"#);
    values_differ_both_ways("[]", "{}");
    values_differ_both_ways(r"[null]", r#"{"0":null}"#);
    values_differ_both_ways(r#"{"$date":{"$numberLong":"1"}}"#, r#"{"$timestamp":{"t":0,"i":1}}"#);
    values_differ_both_ways(
        r#"{"$binary":{"base64":"AQ==","subType":"00"}}"#,
        r#"{"$binary":{"base64":"AQ==","subType":"02"}}"#,
    );
    values_differ_both_ways(
        r#"{"$regularExpression":{"pattern":"a","options":""}}"#,
        r#"{"$regularExpression":{"pattern":"a","options":"i"}}"#,
    );
}

#[test]
fn fields_have_an_order_and_none_is_too_many() {
    let recorded = batch(r#"{"a":{"b":true,"c":null}}"#);
    for (answered, told) in [
        (r#"{"a":{"c":null,"b":true}}"#, r#"a.b: expected field 0, got "c" there"#),
        (r#"{"a":{"b":true}}"#, "a.c: expected null, got no such field"),
        (r#"{"a":{"b":true,"c":null,"d":false}}"#, "a.d: expected no such field, got false"),
        (r#"{"a":{"b":true,"c":null,"c":null}}"#, "a.c: expected no such field, got null"),
        (r#"{"a":{"b":true,"C":null}}"#, "a.c: expected null, got no such field"),
        (r#"{"a":[true,null]}"#, r#"a: expected {"b":true,"c":null}, got [true,null]"#),
    ] {
        differs(&recorded, &batch(answered), EXACT, &format!("cursor.firstBatch[0].{told}"));
    }
}

#[test]
fn elements_have_an_order_and_a_number() {
    let recorded = batch(r#"{"a":[true,null]}"#);
    for (answered, told) in [
        ("[null,true]", "a[0]: expected true, got null"),
        ("[true]", "a[1]: expected null, got no such element"),
        ("[true,null,null]", "a[2]: expected no such element, got null"),
    ] {
        let answered = batch(&format!(r#"{{"a":{answered}}}"#));
        differs(&recorded, &answered, EXACT, &format!("cursor.firstBatch[0].{told}"));
    }
}

#[test]
fn a_result_without_a_sort_is_a_multiset() {
    let recorded = batch(r#"{"a":true},{"a":true},{"b":[null,true]}"#);
    same(&recorded, &batch(r#"{"b":[null,true]},{"a":true},{"a":true}"#), ANY_RESULT);
    differs(
        &recorded,
        &batch(r#"{"b":[null,true]},{"a":true},{"a":true}"#),
        EXACT,
        "cursor.firstBatch[0].a: expected true, got no such field",
    );
    differs(
        &recorded,
        &batch(r#"{"b":[true,null]},{"a":true},{"a":true}"#),
        ANY_RESULT,
        "cursor.firstBatch[in any order].b[0]: expected null, got true",
    );
    differs(
        &recorded,
        &batch(r#"{"a":true},{"b":[null,true]},{"b":[null,true]}"#),
        ANY_RESULT,
        "cursor.firstBatch[in any order].a: expected true, got no such field",
    );
    differs(
        &recorded,
        &batch(r#"{"a":true},{"b":[null,true]}"#),
        ANY_RESULT,
        r#"cursor.firstBatch[in any order]: expected {"a":true}, got nothing more"#,
    );
}

#[test]
fn the_values_of_distinct_are_a_result() {
    let recorded = r#"{"ok":1,"values":[true,false]}"#;
    let answered = r#"{"values":[false,true],"ok":1}"#;
    same(recorded, answered, ANY_RESULT);
    differs(recorded, answered, EXACT, "values[0]: expected true, got false");
}

#[test]
fn inner_arrays_can_be_multisets_while_the_result_is_a_list() {
    let recorded = batch(r#"{"a":[[true,false],null]},{"a":[]}"#);
    same(&recorded, &batch(r#"{"a":[null,[false,true]]},{"a":[]}"#), ANY_ARRAYS);
    differs(
        &recorded,
        &batch(r#"{"a":[]},{"a":[[true,false],null]}"#),
        ANY_ARRAYS,
        "cursor.firstBatch[0].a[in any order]: expected null and [false,true], got nothing more",
    );
    differs(
        &recorded,
        &batch(r#"{"a":[null,[false,false]]},{"a":[]}"#),
        ANY_ARRAYS,
        "cursor.firstBatch[0].a[in any order][in any order]: expected true, got false",
    );
}

#[test]
fn wildcards_stand_for_values_of_their_type() {
    let id = r#"{"$oid":"0102030405060708090a0b0c"}"#;
    let date = r#"{"$date":{"$numberLong":"1"}}"#;
    let timestamp = r#"{"$timestamp":{"t":1,"i":1}}"#;
    for (kind, value) in [("objectId", id), ("date", date), ("timestamp", timestamp)] {
        let recorded = format!(r#"{{"$$type":"{kind}"}}"#);
        same(&with(&recorded), &with(value), EXACT);
        for other in [id, date, timestamp, "null", r#"{"$numberLong":"1"}"#] {
            if other != value {
                values_differ(&recorded, other);
            }
        }
        // In an answer it is a document as any other.
        values_differ(value, &recorded);
    }
    for value in [id, "null", "[[]]", r#"{"$$any":true}"#] {
        same(&with(r#"{"$$any":true}"#), &with(value), EXACT);
    }
    values_differ(r#"{"$$any":true,"a":null}"#, "null");
    differs(
        &with(r#"{"$$any":true}"#),
        &batch("{}"),
        EXACT,
        r#"cursor.firstBatch[0].v: expected {"$$any":true}, got no such field"#,
    );
}

#[test]
fn wildcards_in_a_multiset_take_what_is_left() {
    // The first wildcard could take the id that the second needs.
    let recorded = batch(r#"{"v":{"$$any":true}},{"v":{"$$type":"date"}},{"v":null}"#);
    let date = r#"{"v":{"$date":{"$numberLong":"1"}}}"#;
    let other_date = r#"{"v":{"$date":{"$numberLong":"2"}}}"#;
    same(&recorded, &batch(&format!(r#"{date},{{"v":null}},{{"v":true}}"#)), ANY_RESULT);
    same(&recorded, &batch(&format!(r#"{{"v":true}},{{"v":null}},{date}"#)), ANY_RESULT);
    same(&recorded, &batch(&format!(r#"{{"v":null}},{date},{other_date}"#)), ANY_RESULT);
    let answered = batch(r#"{"v":null},{"v":null},{"v":true}"#);
    assert!(difference(&recorded, &answered, ANY_RESULT).is_some());
}

#[test]
fn counts_compare_by_value() {
    let recorded = r#"{"ok":1,"n":2,"nModified":1}"#;
    same(recorded, r#"{"n":2,"nModified":1,"ok":{"$numberDouble":"1.0"}}"#, EXACT);
    let answered = r#"{"n":{"$numberLong":"2"},"ok":1,"nModified":{"$numberDouble":"1"}}"#;
    same(recorded, answered, EXACT);
    for (answered, told) in [
        (
            r#"{"n":3,"nModified":1,"ok":1}"#,
            r#"n: expected {"$numberInt":"2"}, got {"$numberInt":"3"}"#,
        ),
        (r#"{"n":"2","nModified":1,"ok":1}"#, r#"n: expected {"$numberInt":"2"}, got "2""#),
        (
            r#"{"n":2.5,"nModified":1,"ok":1}"#,
            r#"n: expected {"$numberInt":"2"}, got {"$numberDouble":"2.5"}"#,
        ),
        (r#"{"n":2,"ok":1}"#, r#"nModified: expected {"$numberInt":"1"}, got no such field"#),
        (
            r#"{"n":2,"nModified":1,"ok":1,"upserted":[]}"#,
            "upserted: expected no such field, got []",
        ),
        (r#"{"n":2,"nModified":1,"ok":1,"ok":1}"#, "ok: expected one such field, got two"),
        (r#"{"n":2,"nModified":1}"#, r#"ok: expected {"$numberInt":"1"}, got no such field"#),
    ] {
        differs(recorded, answered, EXACT, told);
    }
}

#[test]
fn a_failure_is_its_code() {
    let recorded = r#"{"ok":0,"code":9,"codeName":"FailedToParse","errmsg":"no"}"#;
    same(recorded, r#"{"ok":0.0,"errmsg":"otherwise","code":9,"codeName":"X","more":[]}"#, EXACT);
    differs(
        recorded,
        r#"{"ok":0,"code":2,"errmsg":"bad"}"#,
        EXACT,
        r#"code: expected {"$numberInt":"9"}, got failure with code 2 (bad)"#,
    );
    differs(
        recorded,
        r#"{"ok":1,"n":9}"#,
        EXACT,
        "ok: expected failure with code 9 (no), got success",
    );
    differs(
        r#"{"ok":1,"n":9}"#,
        recorded,
        EXACT,
        "ok: expected success, got failure with code 9 (no)",
    );
    assert!(difference(recorded, r#"{"ok":0}"#, EXACT).is_some());
}

#[test]
fn a_write_error_is_its_place_and_its_code() {
    let recorded = r#"{"ok":1,"n":1,"writeErrors":[{"index":1,"code":11000,"errmsg":"no"}]}"#;
    let answered = |errors: &str| format!(r#"{{"ok":1,"n":1,"writeErrors":[{errors}]}}"#);
    same(recorded, &answered(r#"{"index":1,"code":11000,"keyPattern":{},"errmsg":"yes"}"#), EXACT);
    for (errors, told) in [
        (
            r#"{"index":0,"code":11000}"#,
            r#"[0].index: expected {"$numberInt":"1"}, got {"$numberInt":"0"}"#,
        ),
        (
            r#"{"index":1,"code":66}"#,
            r#"[0].code: expected {"$numberInt":"11000"}, got {"$numberInt":"66"}"#,
        ),
        (r#"{"index":1}"#, r#"[0].code: expected {"$numberInt":"11000"}, got no such field"#),
        (r#"{"index":1,"code":11000},{}"#, "[1]: expected no such element, got {}"),
        (
            r"null",
            r#"[0]: expected {"index":{"$numberInt":"1"},"code":{"$numberInt":"11000"},"errmsg":"no"}, got null"#,
        ),
    ] {
        differs(recorded, &answered(errors), EXACT, &format!("writeErrors{told}"));
    }
    assert!(difference(recorded, r#"{"ok":1,"n":1}"#, EXACT).is_some());
}

#[test]
fn the_last_error_has_no_order_and_its_other_fields_are_exact() {
    let recorded = r#"{"ok":1,"value":null,"lastErrorObject":{"n":1,"updatedExisting":false,"upserted":{"$numberInt":"1"}}}"#;
    let answered =
        |fields: &str| format!(r#"{{"lastErrorObject":{{{fields}}},"value":null,"ok":1}}"#);
    let fields = r#""updatedExisting":false,"upserted":{"$numberInt":"1"},"n":{"$numberLong":"1"}"#;
    same(recorded, &answered(fields), EXACT);
    differs(
        recorded,
        &answered(&fields.replace("Int\"", "Long\"")),
        EXACT,
        r#"lastErrorObject.upserted: expected {"$numberInt":"1"}, got {"$numberLong":"1"}"#,
    );
    differs(
        recorded,
        &answered(&fields.replace("false", "true")),
        EXACT,
        "lastErrorObject.updatedExisting: expected false, got true",
    );
    differs(
        recorded,
        r#"{"ok":1,"lastErrorObject":{"n":1,"updatedExisting":false,"upserted":{"$numberInt":"1"}}}"#,
        EXACT,
        "value: expected null, got no such field",
    );
}

#[test]
fn what_was_upserted_is_exact_but_for_its_place() {
    let recorded = r#"{"ok":1,"upserted":[{"index":0,"_id":{"$numberInt":"1"}}]}"#;
    let answered = |upserted: &str| format!(r#"{{"ok":1,"upserted":[{upserted}]}}"#);
    same(recorded, &answered(r#"{"index":{"$numberLong":"0"},"_id":{"$numberInt":"1"}}"#), EXACT);
    differs(
        recorded,
        &answered(r#"{"index":0,"_id":{"$numberLong":"1"}}"#),
        EXACT,
        r#"upserted[0]._id: expected {"$numberInt":"1"}, got {"$numberLong":"1"}"#,
    );
    differs(
        recorded,
        &answered(r#"{"_id":{"$numberInt":"1"},"index":0}"#),
        EXACT,
        "upserted[0]: expected the fields index, _id, got the fields _id, index",
    );
}

#[test]
fn what_no_recording_has_is_not_compared() {
    let answered = r#"{"ok":1,"cursor":{"id":{"$numberLong":"0"},"ns":"test.c","firstBatch":[]},"$clusterTime":{}}"#;
    same(&batch(""), answered, EXACT);
    let answered = r#"{"ok":1,"cursor":{"id":{"$numberLong":"0"},"nextBatch":[]}}"#;
    differs(&batch(""), answered, EXACT, "cursor.firstBatch: expected [], got no such field");
    same(
        r#"{"ok":1,"nIndexesWas":2}"#,
        r#"{"ns":"test.c","msg":"","nIndexesWas":2,"ok":1}"#,
        EXACT,
    );
}

#[test]
fn damaged_bytes_are_a_difference() {
    let mut bytes = reply(&with(r#""text""#)).into_bytes();
    let text = bytes.windows(4).position(|window| window == b"text").unwrap();
    bytes[text] = 0xff;
    let answered = RawDocumentBuf::from_bytes(bytes).unwrap();
    let difference = compare(&reply(&with(r#""text""#)), &answered, EXACT).unwrap_err();
    assert!(difference.got.starts_with("damaged BSON"), "{difference}");
}
