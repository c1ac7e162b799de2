//! What is written can be read again: every type, every name, every nesting.

use lockstore::bson::oid::ObjectId;
use lockstore::bson::raw::{CStr, RawArrayBuf};
use lockstore::bson::spec::BinarySubtype;
use lockstore::bson::{
    Binary, Bson, DateTime, RawBson, RawDocumentBuf, RawJavaScriptCodeWithScope, Regex, Timestamp,
    rawdoc,
};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A value of any type of BSON.
fn any_value() -> impl Strategy<Value = RawBson> {
    let scalar = prop_oneof![
        Just(RawBson::Null),
        Just(RawBson::Undefined),
        Just(RawBson::MinKey),
        Just(RawBson::MaxKey),
        any::<bool>().prop_map(RawBson::Boolean),
        any::<i32>().prop_map(RawBson::Int32),
        prop_oneof![any::<i64>(), -9_i64..9].prop_map(RawBson::Int64),
        // One NaN is like another as text.
        any::<f64>().prop_map(|n| RawBson::Double(if n.is_nan() { f64::NAN } else { n })),
        prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0)]
            .prop_map(RawBson::Double),
        "\\PC*|[\0-\u{9f}\u{2028}\u{202e}]{0,4}".prop_map(RawBson::String),
        any::<[u8; 12]>().prop_map(|id| RawBson::ObjectId(ObjectId::from_bytes(id))),
        prop_oneof![any::<i64>(), 0_i64..253_402_300_800_000]
            .prop_map(|millis| RawBson::DateTime(DateTime::from_millis(millis))),
        any::<(u32, u32)>()
            .prop_map(|(time, increment)| RawBson::Timestamp(Timestamp { time, increment })),
        (any::<u8>(), vec(any::<u8>(), 0..9)).prop_map(|(subtype, bytes)| {
            RawBson::Binary(Binary { subtype: BinarySubtype::from(subtype), bytes })
        }),
        ("[^\0]{0,9}", "i?m?s?x?").prop_map(|(pattern, options)| {
            RawBson::RegularExpression(Regex {
                pattern: pattern.try_into().unwrap(),
                options: options.try_into().unwrap(),
            })
        }),
        ".{0,9}".prop_map(RawBson::JavaScriptCode),
        ".{0,9}".prop_map(RawBson::Symbol),
        "-?[0-9]{1,34}(E-?[0-9]{1,3})?|NaN|-?Infinity"
            .prop_map(|number| RawBson::Decimal128(number.parse().unwrap())),
        (".{0,9}", any::<[u8; 12]>()).prop_map(|(namespace, id)| db_pointer(&namespace, id)),
    ];
    scalar.prop_recursive(4, 32, 5, |inner| {
        let document = vec((any_name(), inner.clone()), 0..5).prop_map(document_of).boxed();
        prop_oneof![
            vec(inner, 0..5).prop_map(|items| {
                let mut array = RawArrayBuf::new();
                for item in items {
                    array.push(item);
                }
                RawBson::Array(array)
            }),
            document.clone().prop_map(RawBson::Document),
            (".{0,9}", document).prop_map(|(code, scope)| {
                RawBson::JavaScriptCodeWithScope(RawJavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

/// A name that stands for no type when it comes first. Names may occur twice.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-c]", "[^\0$][^\0]{0,6}", Just(String::new()), Just("$set".to_owned())]
}

fn document_of(fields: Vec<(String, RawBson)>) -> RawDocumentBuf {
    let mut document = RawDocumentBuf::new();
    for (name, value) in fields {
        document.append(<&CStr>::try_from(name.as_str()).unwrap(), value);
    }
    document
}

/// bson gives no other way to make one.
fn db_pointer(namespace: &str, id: [u8; 12]) -> RawBson {
    let id = ObjectId::from_bytes(id).to_hex();
    let json = serde_json::json!({ "$dbPointer": { "$ref": namespace, "$id": { "$oid": id } } });
    RawBson::try_from(serde_json::from_value::<Bson>(json).unwrap()).unwrap()
}

proptest! {
    #[test]
    fn nothing_is_lost_in_the_canonical_form(fields in vec((any_name(), any_value()), 0..6)) {
        let document = document_of(fields);
        let text = text(&document, Form::lines(true)).unwrap();
        prop_assert_eq!(text.matches('\n').count(), 1);
        prop_assert_eq!(&document_of_line(text.as_bytes()).unwrap(), &document);
        prop_assert_eq!(&parse_document(&text).unwrap(), &document);
    }

    #[test]
    fn the_relaxed_form_stays_as_it_is(fields in vec((any_name(), any_value()), 0..6)) {
        let relaxed = text(&document_of(fields), Form::RELAXED).unwrap();
        let read = document_of_line(relaxed.as_bytes()).unwrap();
        prop_assert_eq!(text(&read, Form::RELAXED).unwrap(), relaxed);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC*|[\\[\\]{}:,'\"$a-e0-9. -]*") {
        let _ = parse_document(&text);
        let _ = parse_id(&text);
        let _ = document_of_line(text.as_bytes());
    }
}

#[test]
fn the_relaxed_form_is_as_the_specification_has_it() {
    let document = rawdoc! {
        "i": -5, "l": 5_000_000_000_i64, "d": 1.0, "inf": f64::INFINITY,
        "at": DateTime::from_millis(1_714_564_800_500), "old": DateTime::from_millis(-1),
        "b": Binary { subtype: BinarySubtype::Generic, bytes: b"\xff".to_vec() },
    };
    let expected = r#"{"i":-5,"l":5000000000,"d":1.0,"inf":{"$numberDouble":"Infinity"},"at":{"$date":"2024-05-01T12:00:00.5Z"},"old":{"$date":{"$numberLong":"-1"}},"b":{"$binary":{"base64":"/w==","subType":"00"}}}"#;
    assert_eq!(text(&document, Form::RELAXED).unwrap().trim_end(), expected);
}

#[test]
fn what_a_terminal_would_obey_is_escaped() {
    let document = rawdoc! { "a\u{9b}": "\u{1b}[2J\u{202e}\u{7f} ü 🔒" };
    let written = text(&document, Form::RELAXED).unwrap();
    assert_eq!(written, "{\"a\\u009b\":\"\\u001b[2J\\u202e\\u007f ü 🔒\"}\n");
    assert_eq!(document_of_line(written.as_bytes()).unwrap(), document);
}

#[test]
fn arguments_may_be_written_as_people_write_them() {
    let document = parse_document("{state: 'new', $or: [{n: {$gt: 1,},},], /* or */ x: 0x10}");
    let expected = rawdoc! { "state": "new", "$or": [{ "n": { "$gt": 1 } }], "x": 16 };
    assert_eq!(document.unwrap(), expected);
}

#[test]
fn an_id_is_what_it_looks_like() {
    let hex = "65f0c0ffee65f0c0ffee65f0";
    assert_eq!(parse_id(hex).unwrap(), RawBson::ObjectId(ObjectId::parse_str(hex).unwrap()));
    assert_eq!(parse_id("17").unwrap(), RawBson::Int32(17));
    assert_eq!(parse_id("-1.5").unwrap(), RawBson::Double(-1.5));
    assert_eq!(parse_id("\"17\"").unwrap(), RawBson::String("17".to_owned()));
    assert_eq!(parse_id("{a: 1}").unwrap(), RawBson::Document(rawdoc! { "a": 1 }));
    for text in ["order-17", "", "0x10", "NaN", "Infinity", "1 2", "17a"] {
        assert_eq!(parse_id(text).unwrap(), RawBson::String(text.to_owned()));
    }
    assert!(parse_id("{\"$oid\": \"65f0\"}").is_err());
    assert!(parse_id("\"17").is_err());
}

#[test]
fn what_is_no_document_is_refused_and_the_place_is_named() {
    let check = |text: &str, words: &str| {
        let error = parse_document(text).unwrap_err();
        assert!(error.contains(words), "{words:?} in {error:?}");
    };
    check("{state: 'new' price: 3}", "expected comma, at column 15: \"price: 3}\"");
    check("{a: 1,\n b 2}", "at line 2, column 4: \"2}\"");
    check("{a: 1", "it ends too early");
    check("", "it ends too early");
    check("{a: 1} {", "trailing characters");
    check("[1]", "not an array");
    check("{a: {$date: 'soon'}}", "\"soon\" is no date");
    check("{a: {$date: true}}", "is no date");
    check("{a: {$oid: 'xyz'}}", "24-character");
    check("{a: {$numberInt: '1', b: 1}}", "\"b\" may not stand beside $numberInt");
    check("{a: {$code: 'x', b: 1}}", "\"b\" may not stand beside $code");
    check("{a: {$scope: {}}}", "$scope has no $code beside it");
    check("{a: {$scope: 1, $code: 'x'}}", "a document such as");
    check("{'a\\0': 1}", "holds a zero character");
    let deep = "[".repeat(100_000);
    check(&format!("{{a: {deep}"), "nested deeper than 200 levels");
    check(&format!("{{a: {{$date: {deep}"), "nested deeper than 200 levels");
    let line = format!("{{\"a\": {{\"$code\": \"\", \"$scope\": {deep}");
    let misread = document_of_line(line.as_bytes()).unwrap_err();
    assert!(misread.reason.contains("nested deeper than 200 levels"), "{misread:?}");
}

#[test]
fn a_line_that_is_no_document_is_told_of_with_its_column() {
    let check = |line: &[u8], column: usize, reason: &str| {
        let misread = document_of_line(line).unwrap_err();
        assert_eq!((misread.column, &*misread.reason), (column, reason));
    };
    check(b"{\"a\": 1,}", 9, "trailing comma");
    check(b"{\"a\": 1} x", 10, "trailing characters");
    check(b"{\"a\": \"\xff\"}", 8, "invalid unicode code point");
    check(b"7", 0, "a document such as {\"a\": 1} was expected, not a number");
}
