//! Cases of filters, as data.

use bson::raw::RawDocument;
use bson::{RawDocumentBuf, rawdoc};

use crate::{Environment, ErrorCode, Filter, Result, Value};

fn parse(filter: &RawDocument) -> Result<Filter> {
    Filter::parse(filter, &Environment::new(0))
}

#[track_caller]
fn check(filter: &RawDocument, document: &RawDocument, expected: bool) {
    let found = parse(filter).and_then(|filter| filter.matches(document));
    assert_eq!(found, Ok(expected), "{filter:?} on {document:?}");
}

/// Checks a condition of `a` on documents that have these values as `a`, or none.
macro_rules! check_a {
    ($condition:tt: $($a:tt => $expected:literal),+ $(,)?) => {
        $(check(&rawdoc! { "a": $condition }, &check_a!(@document $a), $expected);)+
    };
    (@document missing) => { rawdoc! { "b": 1 } };
    (@document $a:tt) => { rawdoc! { "a": $a } };
}

#[track_caller]
fn check_refused(filter: &RawDocument, code: i32) {
    let error = parse(filter).expect_err(&format!("{filter:?}"));
    assert_eq!(error.code().value(), code, "{filter:?}: {error}");
}

#[test]
fn null_is_missing_and_undefined() {
    check_a!((bson::RawBson::Null): null => true, missing => true, [null] => true, [] => false, 1 => false);
    check_a!({ "$gte": null }: null => true, missing => true, 1 => false);
    check_a!({ "$gt": null }: null => false, missing => false);
    check_a!({ "$in": [null, 1] }: missing => true, [] => false, 1.0 => true);
    check(&rawdoc! { "a": null }, &rawdoc! { "a": bson::RawBson::Undefined }, true);
    let inside = rawdoc! { "a.b": null };
    for (document, expected) in [
        (rawdoc! { "a": 5 }, true),
        (rawdoc! {}, true),
        (rawdoc! { "a": [{}] }, true),
        (rawdoc! { "a": [] }, false),
        (rawdoc! { "a": [5] }, false),
    ] {
        check(&inside, &document, expected);
    }
}

#[test]
fn arrays_are_asked_by_item_and_as_a_whole() {
    check_a!([1, 2]: [1, 2] => true, [[1, 2]] => true, [1, 2, 3] => false, 1 => false);
    check_a!({ "$gt": 3, "$lt": 6 }: [1, 10] => true, [1, 2] => false);
    check_a!({ "$elemMatch": { "$gt": 3, "$lt": 6 } }: [1, 10] => false, [1, 5] => true, 5 => false);
    check_a!({ "$elemMatch": { "x": 1 } }: [[{ "x": 1 }]] => false, [{ "x": 1 }] => true);
    check_a!({ "$elemMatch": { "0": 1 } }: [[1]] => true, [1] => false);
    check_a!({ "$elemMatch": {} }: [{}] => true, [[]] => true, [1] => false);
    check_a!({ "$ne": 1 }: [1, 2] => false, [2] => true, missing => true);
    check_a!({ "$all": [] }: [] => false);
    check_a!({ "$all": [[1, 2]] }: [1, 2] => true, [[1, 2]] => true);
    check_a!({ "$size": 2.0 }: [1, 2] => true, [[1, 2]] => false, missing => false);
    check_a!({ "$type": "array" }: [] => true, 1 => false);
    check_a!({ "$type": ["number", "null"] }: ["a", 1] => true, null => true, missing => false);
    check(&rawdoc! { "a.x": 1, "a.y": 4 }, &rawdoc! { "a": [{ "x": 1 }, { "y": 4 }] }, true);
}

#[test]
fn numbers_in_paths_are_places_and_names() {
    for (filter, document, expected) in [
        (rawdoc! { "a.0": 1 }, rawdoc! { "a": [1] }, true),
        (rawdoc! { "a.0": 1 }, rawdoc! { "a": { "0": 1 } }, true),
        (rawdoc! { "a.0": 1 }, rawdoc! { "a": [5, { "0": 1 }] }, true),
        (rawdoc! { "a.0": 1 }, rawdoc! { "a": [[1]] }, false),
        (rawdoc! { "a.0": [1] }, rawdoc! { "a": [[1]] }, true),
        (rawdoc! { "a.00": 1 }, rawdoc! { "a": [1] }, false),
        (rawdoc! { "a.0.x": 1 }, rawdoc! { "a": [[{ "x": 1 }]] }, true),
        (rawdoc! { "a.x": 1 }, rawdoc! { "a": [[{ "x": 1 }]] }, false),
        (rawdoc! { "a.0.0": 1 }, rawdoc! { "a": [[1]] }, true),
        (rawdoc! { "a.b": 1 }, rawdoc! { "a.b": 1 }, false),
        (rawdoc! { "a..b": 1 }, rawdoc! { "a": { "": { "b": 1 } } }, true),
        (rawdoc! { "": 1 }, rawdoc! { "": 1 }, true),
    ] {
        check(&filter, &document, expected);
    }
}

#[test]
fn comparisons_stay_in_the_bracket_of_a_type() {
    check_a!({ "$gt": 1 }: 2 => true, "2" => false, true => false);
    check_a!({ "$lt": (bson::RawBson::MaxKey) }: 2 => true, missing => true, (bson::RawBson::MaxKey) => false);
    check_a!({ "$gte": (bson::RawBson::MinKey) }: "x" => true, missing => true);
    check_a!({ "$gte": (f64::NAN) }: (f64::NAN) => true, 1 => false);
    check_a!({ "$lt": 1 }: (f64::NAN) => false);
    check_a!((f64::NAN): (f64::NAN) => true, 0 => false);
    check_a!(0: (-0.0) => true);
    check_a!(9_007_199_254_740_992.0: 9_007_199_254_740_993_i64 => false);
    check_a!({ "b": 2, "c": 1 }: { "b": 2.0, "c": 1 } => true, { "c": 1, "b": 2 } => false);
    check_a!({ "b": 2, "$eq": 1 }: { "b": 2, "$eq": 1 } => true);
}

#[test]
fn remainders_and_bits() {
    check_a!({ "$mod": [4, -1] }: (-5.9) => true, 3 => false, (f64::INFINITY) => false, "3" => false);
    check_a!({ "$mod": [-1, 0] }: (i64::MIN) => true);
    check_a!({ "$bitsAllSet": [0, 2] }: 5 => true, 4 => false, 5.0 => true, 5.5 => false, "5" => false);
    check_a!({ "$bitsAllSet": [200] }: (-1) => true, 1 => false);
    check_a!({ "$bitsAnyClear": 5 }: 4 => true, 5 => false);
    check_a!({ "$bitsAnySet": [] }: 5 => false);
    // Decimals are rounded, and those beyond 64 bits are the least number.
    let decimal = |text: &str| text.parse::<bson::Decimal128>().unwrap();
    check_a!({ "$bitsAllSet": [1] }: (decimal("1.5")) => true, (decimal("2.5")) => true, (decimal("0.5")) => false);
    check_a!({ "$bitsAllSet": [63] }: (decimal("NaN")) => true, (decimal("1E30")) => true, (decimal("-1.5")) => true, (decimal("-0.5")) => false);
    let bytes = |bytes: &[u8]| bson::Binary {
        subtype: bson::spec::BinarySubtype::Generic,
        bytes: bytes.to_vec(),
    };
    check_a!({ "$bitsAllSet": (bytes(&[0, 1])) }: 256 => true, 255 => false, (bytes(&[0, 3])) => true, (bytes(&[1])) => false);
    check_a!({ "$bitsAllClear": (bytes(&[0, 0, 0, 0, 0, 0, 0, 0, 1])) }: 1 => true, (-1) => false);
}

#[test]
fn regular_expressions_match_strings_and_themselves() {
    let regex = |pattern: &str, options: &str| bson::Regex {
        pattern: pattern.try_into().unwrap(),
        options: options.try_into().unwrap(),
    };
    check_a!((regex("^b", "i")): "Bc" => true, "ab" => false, ["a", "b"] => true, (regex("^b", "i")) => true, (regex("^b", "")) => false);
    check_a!({ "$eq": (regex("b", "")) }: "b" => false, (regex("b", "")) => true);
    check_a!({ "$in": [(regex("b", "")), 1] }: "abc" => true, 1 => true, 2 => false);
    check_a!({ "$regex": "b", "$options": "i" }: "ABC" => true);
    check_a!({ "$options": "i", "$regex": (regex("b", "")) }: "ABC" => true);
    check_a!({ "$not": (regex("b", "")) }: "abc" => false, missing => true);
}

#[test]
fn logic() {
    let document = rawdoc! { "a": 1, "b": [1, 2] };
    for (filter, expected) in [
        (rawdoc! { "$or": [{ "a": 2 }, { "b": 2 }] }, true),
        (rawdoc! { "$nor": [{ "a": 2 }, { "b": 3 }] }, true),
        (rawdoc! { "$nor": [{ "a": 2 }, { "b": 2 }] }, false),
        (
            rawdoc! { "$and": [{ "a": 1 }, { "$or": [{ "b": 5 }, { "b": 1 }] }], "$comment": 1 },
            true,
        ),
        (rawdoc! { "a": { "$not": { "$gt": 0, "$lt": 1 } } }, true),
        (rawdoc! { "b": { "$in": [] } }, false),
        (rawdoc! { "b": { "$nin": [] } }, true),
        (rawdoc! { "$alwaysFalse": 1 }, false),
        (rawdoc! { "$alwaysTrue": 1.0 }, true),
        (rawdoc! { "$sampleRate": 0 }, false),
        (rawdoc! {}, true),
    ] {
        check(&filter, &document, expected);
    }
}

#[test]
fn what_is_no_filter_is_refused() {
    for (filter, code) in [
        (rawdoc! { "$foo": 1 }, 2),
        (rawdoc! { "$where": "true" }, 2),
        (rawdoc! { "a": { "$foo": 1 } }, 2),
        (rawdoc! { "a": { "$eq": 1, "b": 2 } }, 2),
        (rawdoc! { "$or": [] }, 2),
        (rawdoc! { "$or": [1] }, 2),
        (rawdoc! { "a": { "$not": {} } }, 2),
        (rawdoc! { "a": { "$not": 1 } }, 2),
        (rawdoc! { "a": { "$in": [{ "$gt": 1 }] } }, 2),
        (rawdoc! { "a": { "$all": [1, { "$elemMatch": {} }] } }, 2),
        (rawdoc! { "a": { "$options": "i" } }, 2),
        (rawdoc! { "a": { "$regex": "(" } }, 51091),
        (rawdoc! { "a": { "$regex": "a", "$options": "g" } }, 51108),
        (rawdoc! { "a": { "$size": -1 } }, 2),
        (rawdoc! { "a": { "$type": [] } }, 9),
        (rawdoc! { "a": { "$type": true } }, 14),
        (rawdoc! { "a": { "$type": 0 } }, 2),
        (rawdoc! { "a": { "$mod": [0, 0] } }, 2),
        (rawdoc! { "a": { "$mod": [1, 0, 0] } }, 2),
        (rawdoc! { "a": { "$bitsAllSet": -1 } }, 9),
        (rawdoc! { "a": { "$bitsAllSet": [-1] } }, 2),
        (rawdoc! { "a": bson::RawBson::Undefined }, 2),
        (rawdoc! { "a": { "$elemMatch": { "$expr": true } } }, 2),
        (rawdoc! { "$alwaysTrue": 2 }, 9),
        (rawdoc! { "$sampleRate": 1.5 }, 2),
        (rawdoc! { "$sampleRate": "1" }, 2),
    ] {
        check_refused(&filter, code);
    }
}

#[test]
fn a_reference_to_a_document_is_a_value() {
    let reference = rawdoc! { "$ref": "c", "$id": 1 };
    check(&rawdoc! { "a": reference.clone() }, &rawdoc! { "a": reference.clone() }, true);
    let document = rawdoc! { "a": [reference] };
    check(&rawdoc! { "a": { "$elemMatch": { "$ref": "c", "$id": 1 } } }, &document, true);
    check(&rawdoc! { "a": { "$elemMatch": { "$ref": "d" } } }, &document, false);
    check_refused(&rawdoc! { "$ref": "c" }, 2);
}

#[track_caller]
fn check_position(filter: &RawDocument, document: &RawDocument, expected: [Option<usize>; 2]) {
    let matched = parse(filter).unwrap().find(document.into()).unwrap().expect("it matches");
    assert_eq!([matched.position, matched.projected], expected, "{filter:?} on {document:?}");
}

#[test]
fn the_position_is_that_of_the_item_that_matched() {
    let document = rawdoc! {
        "a": [1, 2, 3],
        "b": [{ "c": [5, 6] }, { "c": [7] }],
        "n": 1,
    };
    for (filter, update, projection) in [
        (rawdoc! { "a": 2 }, Some(1), Some(1)),
        (rawdoc! { "a": { "$gte": 2 } }, Some(1), Some(1)),
        (rawdoc! { "a": [1, 2, 3] }, None, None),
        (rawdoc! { "a.1": 2 }, None, None),
        (rawdoc! { "a": { "$elemMatch": { "$gt": 2 } } }, Some(2), Some(2)),
        (rawdoc! { "b.c": 7 }, Some(1), Some(1)),
        (rawdoc! { "b.c": 6 }, Some(0), Some(0)),
        (rawdoc! { "b.0.c": 6 }, Some(1), Some(1)),
        (rawdoc! { "b": { "$elemMatch": { "c": 7 } } }, Some(1), Some(1)),
        (rawdoc! { "a": { "$ne": 9 } }, None, None),
        (rawdoc! { "$or": [{ "a": 2 }, { "n": 5 }] }, None, None),
        (rawdoc! { "$or": [{ "a": 2 }, { "a": 9 }] }, Some(1), Some(1)),
        (rawdoc! { "$or": [{ "a": 2 }] }, Some(1), Some(1)),
        (rawdoc! { "a": { "$all": [3, 2] } }, Some(1), Some(1)),
        (rawdoc! { "a": { "$exists": true, "$gte": 2 } }, Some(0), Some(1)),
        (rawdoc! { "b.c": 7, "a": 3 }, Some(1), Some(2)),
        (rawdoc! { "n": 1 }, None, None),
    ] {
        check_position(&filter, &document, [update, projection]);
    }
}

#[track_caller]
fn check_equalities(filter: &RawDocument, expected: &RawDocument) {
    let filter = parse(filter).unwrap();
    let mut writer = crate::Writer::new();
    let mut equalities = filter.equalities();
    equalities.sort_by_key(|(path, _)| *path);
    for (path, value) in equalities {
        writer.field(path.as_str(), value);
    }
    let found = RawDocumentBuf::from_bytes(writer.finish()).unwrap();
    assert_eq!(&*found, expected, "{filter:?}");
}

#[test]
fn an_upsert_takes_what_must_be_equal() {
    check_equalities(
        &rawdoc! {
            "z": 1,
            "b": { "$eq": 2 },
            "$and": [{ "c": { "$in": [3] } }, { "d.e": { "$all": [4] } }],
            "$or": [{ "a": 5 }],
            "f": { "$gt": 6 },
            "g": { "$in": [7, 8] },
            "h": { "$not": { "$eq": 9 } },
        },
        &rawdoc! { "a": 5, "b": 2, "c": 3, "d.e": 4, "z": 1 },
    );
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| {
        (0..levels).fold(rawdoc! { "a": 1 }, |inner, _| rawdoc! { "$nor": [inner] })
    };
    check(&nested(199), &rawdoc! { "a": 1 }, false);
    check_refused(&nested(200), 15);
    let conditions = (0..250).fold(rawdoc! { "$gt": 1 }, |inner, _| rawdoc! { "$not": inner });
    check_refused(&rawdoc! { "a": conditions }, 15);
}

/// A number that is both a place and a name doubles the ways to go at each level.
#[test]
fn numbers_in_paths_do_not_multiply_the_ways() {
    let document = (0..80).fold(rawdoc! { "0": [{}] }, |inner, _| rawdoc! { "0": [inner] });
    let path = ["0"; 120].join(".");
    let filter = RawDocumentBuf::try_from(&bson::doc! { path: 7 }).unwrap();
    check(&filter, &document, false);
}

#[test]
fn values_of_a_filter_that_was_no_document_are_refused() {
    let environment = Environment::new(0);
    let scope = crate::expression::Scope::new(&environment);
    let error = Filter::parse_in(Value::Int32(1), &scope).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TYPE_MISMATCH);
}
