use super::*;

use bson::raw::RawBsonRef;

use crate::conformance::value::show;

/// The bytes of `{v: value}` behind its length: the type, the name, the value, the end.
#[track_caller]
fn element(value: &str) -> Vec<u8> {
    let json: Json = serde_json::from_str(&format!(r#"{{"v":{value}}}"#)).unwrap();
    document(&json).unwrap().as_bytes()[4..].to_vec()
}

#[track_caller]
fn check(value: &str, kind: ElementType, bytes: &[u8]) {
    let expected = [&[kind as u8, b'v', 0], bytes, &[0]].concat();
    assert_eq!(element(value), expected, "{value}");
}

#[track_caller]
fn check_is_document(value: &str) {
    let json: Json = serde_json::from_str(value).unwrap();
    let bytes = document(&json).unwrap();
    let expected =
        [&[ElementType::EmbeddedDocument as u8, b'v', 0], bytes.as_bytes(), &[0]].concat();
    assert_eq!(element(value), expected, "{value}");
    assert_eq!(show(RawBsonRef::Document(&bytes)), value);
}

#[test]
fn every_wrapper_is_its_type() {
    check(r#"{"$numberInt":"-2"}"#, ElementType::Int32, &(-2_i32).to_le_bytes());
    check(r#"{"$numberLong":"-2"}"#, ElementType::Int64, &(-2_i64).to_le_bytes());
    check(r#"{"$numberDouble":"1.0"}"#, ElementType::Double, &1.0_f64.to_le_bytes());
    check(r#"{"$numberDouble":"-0.0"}"#, ElementType::Double, &(-0.0_f64).to_le_bytes());
    check(
        r#"{"$numberDouble":"-Infinity"}"#,
        ElementType::Double,
        &f64::NEG_INFINITY.to_le_bytes(),
    );
    let one_tenth: bson::Decimal128 = "0.10".parse().unwrap();
    check(r#"{"$numberDecimal":"0.10"}"#, ElementType::Decimal128, &one_tenth.bytes());
    check(
        r#"{"$oid":"0102030405060708090a0b0c"}"#,
        ElementType::ObjectId,
        &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
    );
    check(
        r#"{"$date":{"$numberLong":"-9223372036854775808"}}"#,
        ElementType::DateTime,
        &i64::MIN.to_le_bytes(),
    );
    check(
        r#"{"$binary":{"base64":"AQI=","subType":"80"}}"#,
        ElementType::Binary,
        &[2, 0, 0, 0, 0x80, 1, 2],
    );
    check(
        r#"{"$timestamp":{"t":4294967295,"i":1}}"#,
        ElementType::Timestamp,
        &[1, 0, 0, 0, 255, 255, 255, 255],
    );
    check(
        r#"{"$regularExpression":{"pattern":"a","options":"im"}}"#,
        ElementType::RegularExpression,
        b"a\0im\0",
    );
    check(r#"{"$minKey":1}"#, ElementType::MinKey, b"");
    check(r#"{"$maxKey":1}"#, ElementType::MaxKey, b"");
    check(r#"{"$undefined":true}"#, ElementType::Undefined, b"");
    check(r#"{"$symbol":"a"}"#, ElementType::Symbol, b"\x02\0\0\0a\0");
    check(r#"{"$code":"a"}"#, ElementType::JavaScriptCode, b"\x02\0\0\0a\0");
    check(
        r#"{"$code":"a","$scope":{"b":null}}"#,
        ElementType::JavaScriptCodeWithScope,
        b"\x12\0\0\0\x02\0\0\0a\0\x08\0\0\0\x0ab\0\0",
    );
    check(
        r#"{"$dbPointer":{"$ref":"a","$id":{"$oid":"0102030405060708090a0b0c"}}}"#,
        ElementType::DbPointer,
        b"\x02\0\0\0a\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c",
    );
    check("null", ElementType::Null, b"");
    check("true", ElementType::Boolean, &[1]);
    check(r#""\u0000é""#, ElementType::String, "\x04\0\0\0\0é\0".as_bytes());
    check(r"[null]", ElementType::Array, b"\x08\0\0\0\x0a0\0\0");
}

#[test]
fn the_old_binary_subtype_repeats_its_length() {
    check(
        r#"{"$binary":{"base64":"AQI=","subType":"02"}}"#,
        ElementType::Binary,
        &[6, 0, 0, 0, 2, 2, 0, 0, 0, 1, 2],
    );
}

#[test]
fn what_only_looks_like_a_wrapper_is_a_document() {
    for value in [
        r#"{"$regex":"a","$options":"i"}"#,
        r#"{"$regex":{"$regularExpression":{"pattern":"a","options":""}}}"#,
        r#"{"$type":"string"}"#,
        r#"{"$type":{"$numberInt":"2"}}"#,
        r#"{"$ref":"c","$id":{"$numberInt":"1"}}"#,
        r#"{"$date":"2020-01-01T00:00:00Z"}"#,
        r#"{"$date":{"$numberInt":"0"}}"#,
        r#"{"$numberInt":"1","a":null}"#,
        r#"{"$numberInt":"2147483648"}"#,
        r#"{"$numberInt":""}"#,
        r#"{"$numberLong":true}"#,
        r#"{"$oid":"0102"}"#,
        r#"{"$binary":"AQI=","$type":"00"}"#,
        r#"{"$binary":{"base64":"AQI="}}"#,
        r#"{"$minKey":{"$numberInt":"1"}}"#,
        r#"{"$undefined":false}"#,
        r#"{"$code":"a","$scope":null}"#,
        r#"{"$scope":{},"$code":"a"}"#,
        r#"{"$code":"a","$scope":{},"x":null}"#,
        r#"{"$uuid":"73ffd264-44b3-4c69-90e8-e7d1dfc035d4"}"#,
        r#"{"$$type":"date"}"#,
        "{}",
    ] {
        check_is_document(value);
    }
}

#[test]
fn the_order_of_fields_stays_and_so_do_fields_that_occur_twice() {
    check_is_document(r#"{"b":null,"a":true,"b":"x","":false,"10":null,"9":null}"#);
}

#[test]
fn a_bare_integer_is_as_wide_as_it_needs_to_be() {
    check("2147483647", ElementType::Int32, &i32::MAX.to_le_bytes());
    check("2147483648", ElementType::Int64, &2_147_483_648_i64.to_le_bytes());
    check("1.5", ElementType::Double, &1.5_f64.to_le_bytes());
}

#[test]
fn a_zero_in_a_name_is_refused() {
    let json = |text: &str| -> Json { serde_json::from_str(text).unwrap() };
    for text in [
        r#"{"a\u0000b":null}"#,
        r#"{"a":[{"\u0000":null}]}"#,
        r#"{"a":{"$regularExpression":{"pattern":"\u0000","options":""}}}"#,
    ] {
        assert!(matches!(document(&json(text)), Err(ExtendedError::Zero(_))), "{text}");
    }
    assert!(matches!(document(&json("[]")), Err(ExtendedError::NoDocument(_))));
}

#[test]
fn nesting_goes_deeper_than_any_case() {
    let depth = 120;
    let text = format!("{}null{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let json: Json = serde_json::from_str(&text).unwrap();
    let bytes = document(&json).unwrap();
    assert_eq!(show(RawBsonRef::Document(&bytes)), text);
}

#[test]
fn what_is_written_reads_as_it_was() {
    for value in [
        r#"{"$numberDecimal":"-1.000000000000000000000000000000000E+6144"}"#,
        r#"{"$numberDecimal":"NaN"}"#,
        r#"{"$numberDecimal":"-0E+10"}"#,
        r#"{"$numberDouble":"NaN"}"#,
        r#"{"$numberDouble":"5e-324"}"#,
        r#"{"$binary":{"base64":"","subType":"02"}}"#,
        r#"{"$date":{"$numberLong":"9223372036854775807"}}"#,
        r#"{"$code":"\"\\\n","$scope":{"x":{"$minKey":1}}}"#,
        r#"{"$regularExpression":{"pattern":"(?>a)\\Z","options":""}}"#,
        r#""\u0001😀""#,
    ] {
        let json: Json = serde_json::from_str(&format!(r#"{{"v":{value}}}"#)).unwrap();
        let bytes = document(&json).unwrap();
        assert_eq!(show(bytes.get("v").unwrap().unwrap()), value);
    }
}
