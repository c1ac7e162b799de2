//! Encoding and bounds against the order of values, over values of all types.

use std::cmp::Ordering;

use bson::oid::ObjectId;
use bson::spec::BinarySubtype;
use bson::{
    Binary, Bson, DateTime, JavaScriptCodeWithScope, RawDocumentBuf, Regex, Timestamp, doc,
};
use proptest::prelude::*;

use super::*;
use crate::number::Number;
use crate::order::{self, compare};
use crate::{Document, Value};

/// A value, in a document of its own.
fn held(value: &Bson) -> RawDocumentBuf {
    RawDocumentBuf::try_from(&doc! { "": value.clone() }).unwrap()
}

fn value(holder: &RawDocumentBuf) -> Value<'_> {
    Document::from(&**holder).first().unwrap().1
}

fn bytes(value: Value<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes);
    bytes
}

#[track_caller]
fn check_pair(a: &Bson, b: &Bson) {
    let (a_held, b_held) = (held(a), held(b));
    let (a, b) = (value(&a_held), value(&b_held));
    let (a_bytes, b_bytes) = (bytes(a), bytes(b));
    let order = compare(a, b);
    assert_eq!(a_bytes.cmp(&b_bytes), order, "{a:?} {a_bytes:02x?} beside {b:?} {b_bytes:02x?}");
    if order != Ordering::Equal {
        assert!(!a_bytes.starts_with(&b_bytes) && !b_bytes.starts_with(&a_bytes), "{a:?} {b:?}");
    }
    let turned = |bytes: &[u8]| bytes.iter().map(|byte| !byte).collect::<Vec<_>>();
    assert_eq!(turned(&a_bytes).cmp(&turned(&b_bytes)), order.reverse(), "{a:?} beside {b:?}");
}

fn decimal(text: &str) -> Bson {
    Bson::Decimal128(text.parse().unwrap())
}

/// Numbers at the edges of their types and beside each other across types.
fn nasty_numbers() -> Vec<Bson> {
    let mut numbers = vec![Bson::Double(f64::NAN), Bson::Double(-f64::NAN)];
    for text in [
        "NaN",
        "-NaN",
        "Infinity",
        "-Infinity",
        "0",
        "-0",
        "0E+6000",
        "-0E-6000",
        "1",
        "1.0",
        "1.00",
        "10E-1",
        "0.1",
        "-0.1",
        "0.5",
        "1E-6176",
        "-1E-6176",
        "1E-400",
        "-1E-400",
        "1E+400",
        "-1E+400",
        "9.999999999999999999999999999999999E+6144",
        "-9.999999999999999999999999999999999E+6144",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.5",
        "-9007199254740993",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "-9223372036854775809",
        "9223372036854775807.5",
        "4.940656458412465441765687928682213E-324",
        "5E-324",
        "4E-324",
        "2E-324",
        "1.797693134862315708145274237317043E+308",
        "1.797693134862315708145274237317044E+308",
        "1.8E+308",
        "0.3000000000000000",
        "0.30000000000000000000001",
        "123456789012345678901234567890.123",
        "2.225073858507201383090232717332404E-308",
        "1234567890123456789012345678901234E+10",
    ] {
        numbers.push(decimal(text));
    }
    for double in [
        0.0,
        0.1,
        0.3,
        0.5,
        1.0,
        5e-324,
        2.2e-308,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::INFINITY,
        f64::EPSILON,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        9_007_199_254_740_994.0,
        9_223_372_036_854_775_808.0,
        9_223_372_036_854_774_784.0,
        1e300,
        123_456_789_012_345_680_000_000_000_000.0,
    ] {
        numbers.extend([Bson::Double(double), Bson::Double(-double)]);
    }
    for int in [
        0,
        1,
        2,
        (1 << 53) - 1,
        1 << 53,
        (1 << 53) + 1,
        (1 << 53) + 2,
        i64::MAX,
        i64::MAX - 1,
        i64::MAX - 511,
    ] {
        numbers.extend([Bson::Int64(int), Bson::Int64(-int)]);
    }
    numbers.extend([Bson::Int64(i64::MIN), Bson::Int64(i64::MIN + 1)]);
    numbers.extend([0, 1, -1, i32::MAX, i32::MIN].map(Bson::Int32));
    numbers
}

fn any_number() -> impl Strategy<Value = Bson> {
    prop_oneof![
        proptest::sample::select(nasty_numbers()),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        any::<u64>().prop_map(|bits| Bson::Double(f64::from_bits(bits))),
        any::<[u8; 16]>().prop_map(|bytes| Bson::Decimal128(bson::Decimal128::from_bytes(bytes))),
        // Decimals and integers near doubles.
        any::<f64>()
            .prop_map(|double| format!("{double:e}").parse().map_or(Bson::Null, Bson::Decimal128)),
        (any::<i64>(), 0..60_u32).prop_map(|(int, shift)| Bson::Int64(int >> shift)),
        (any::<i64>(), -30..30_i32)
            .prop_map(|(int, exponent)| decimal(&format!("{int}E{exponent}"))),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[\\x00\\x01\\x02ab\u{e9}]{0,4}", "[ab]{0,2}"]
}

fn any_name() -> impl Strategy<Value = String> {
    "[\\x01\\x02ab]{0,2}"
}

fn any_value() -> impl Strategy<Value = Bson> {
    let scalar = prop_oneof![
        4 => any_number(),
        3 => any_text().prop_map(Bson::String),
        1 => any_text().prop_map(Bson::Symbol),
        1 => Just(Bson::Null),
        1 => Just(Bson::Undefined),
        1 => Just(Bson::MinKey),
        1 => Just(Bson::MaxKey),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => any::<i64>().prop_map(|millis| Bson::DateTime(DateTime::from_millis(millis))),
        1 => any::<(u32, u32)>().prop_map(|(time, increment)| Bson::Timestamp(Timestamp { time, increment })),
        1 => any::<[u8; 12]>().prop_map(|id| Bson::ObjectId(ObjectId::from_bytes(id))),
        1 => (0..4_u8, proptest::collection::vec(0..3_u8, 0..3)).prop_map(|(subtype, bytes)| {
            Bson::Binary(Binary { subtype: BinarySubtype::UserDefined(0x80 + subtype), bytes })
        }),
        1 => (any_name(), "[ims]{0,2}").prop_map(|(pattern, options)| {
            Bson::RegularExpression(Regex { pattern: pattern.try_into().unwrap(), options: options.try_into().unwrap() })
        }),
        1 => any_text().prop_map(Bson::JavaScriptCode),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let fields = proptest::collection::vec((any_name(), inner.clone()), 0..4);
        let fields =
            fields.prop_map(|fields| fields.into_iter().collect::<bson::Document>()).boxed();
        prop_oneof![
            proptest::collection::vec(inner, 0..4).prop_map(Bson::Array),
            fields.clone().prop_map(Bson::Document),
            (any_text(), fields).prop_map(|(code, scope)| {
                Bson::JavaScriptCodeWithScope(JavaScriptCodeWithScope { code, scope })
            }),
        ]
    })
}

#[test]
fn nasty_numbers_sort_as_they_compare() {
    let numbers = nasty_numbers();
    for a in &numbers {
        for b in &numbers {
            check_pair(a, b);
        }
    }
}

#[test]
fn an_integer_takes_ten_bytes() {
    assert_eq!(bytes(Value::Int32(7)), [32, 0xC0, 0x1C, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes(Value::Decimal("7.000".parse().unwrap())), bytes(Value::Int64(7)));
}

#[test]
fn damaged_keys_have_no_values() {
    let nested = vec![56; 1 << 20];
    for key in
        [&nested[..], &[], &[0], &[9], &[40, b'a'], &[32, 1, 2], &[64, 0xFF, 0xFF, 0xFF, 0xFF, 0]]
    {
        assert_eq!(first_value(key, Direction::Ascending), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn numbers_sort_as_they_compare(a in any_number(), b in any_number()) {
        check_pair(&a, &b);
    }

    #[test]
    fn values_sort_as_they_compare(a in any_value(), b in any_value()) {
        check_pair(&a, &b);
        check_pair(&a, &a);
    }

    #[test]
    fn a_key_falls_into_its_values(values in proptest::collection::vec((any_value(), any::<bool>()), 1..4)) {
        let fields = values.iter().enumerate().map(|(index, (_, descending))| {
            (format!("f{index}"), Bson::Int32(if *descending { -1 } else { 1 }))
        });
        let pattern = fields.collect::<bson::Document>();
        let pattern = KeyPattern::parse(&RawDocumentBuf::try_from(&pattern).unwrap()).unwrap();
        let (mut key, mut parts) = (Vec::new(), Vec::new());
        for ((value_of, _), field) in values.iter().zip(pattern.fields()) {
            let mut part = bytes(value(&held(value_of)));
            field.direction().turn(&mut part);
            key.extend_from_slice(&part);
            parts.push(part);
        }
        key.extend_from_slice(b"behind");
        prop_assert_eq!(KeyValues::new(&pattern, &key).collect::<Vec<_>>(), parts);
    }

    #[test]
    fn bounds_hold_what_compares_so(a in any_value(), b in any_value()) {
        let (a, b) = (held(&a), held(&b));
        let (a, b) = (value(&a), value(&b));
        let key = bytes(a);
        let nan = |value| Number::of(value).is_some_and(Number::is_nan);
        let comparable = order::rank(a) == order::rank(b) && nan(a) == nan(b);
        let order = compare(a, b);
        let expected = [
            (Bounds::equal(b), order == Ordering::Equal),
            (Bounds::compared(Comparison::Lt, b), comparable && order == Ordering::Less),
            (Bounds::compared(Comparison::Lte, b), comparable && order != Ordering::Greater),
            (Bounds::compared(Comparison::Gt, b), comparable && order == Ordering::Greater),
            (Bounds::compared(Comparison::Gte, b), comparable && order != Ordering::Less),
        ];
        for (bounds, holds) in expected {
            let inside = bounds.contains(&key);
            prop_assert!(inside || !holds, "{:?} beside {:?} in {:?}", a, b, bounds);
            if bounds.is_exact() {
                prop_assert_eq!(inside, holds, "{:?} beside {:?} in {:?}", a, b, bounds);
                prop_assert_eq!(bounds.clone().complement().contains(&key), !holds);
            }
            // Turned over, the same.
            let turned = key.iter().map(|byte| !byte).collect::<Vec<_>>();
            let intervals = bounds.in_direction(Direction::Descending);
            prop_assert_eq!(intervals.iter().any(|interval| interval.contains(&turned)), inside);
        }
    }

    #[test]
    fn bounds_are_sets(points in proptest::collection::vec(0..8_i32, 4), probe in 0..8_i32) {
        let probed = bytes(Value::Int32(probe));
        let a = Bounds::compared(Comparison::Gt, Value::Int32(points[0]))
            .intersection(&Bounds::compared(Comparison::Lte, Value::Int32(points[1])));
        let b = Bounds::any(points[2..].iter().map(|&point| Bounds::equal(Value::Int32(point))));
        let in_a = points[0] < probe && probe <= points[1];
        let in_b = points[2..].contains(&probe);
        prop_assert_eq!(a.contains(&probed), in_a);
        prop_assert_eq!(b.contains(&probed), in_b);
        prop_assert_eq!(a.clone().union(b.clone()).contains(&probed), in_a || in_b);
        prop_assert_eq!(a.intersection(&b.complement()).contains(&probed), in_a && !in_b);
    }
}

#[test]
fn a_regex_is_looked_up_by_what_it_begins_with() {
    let cases = [
        ("^abc", "", "abd", false),
        ("^abc", "", "abcd", true),
        ("^abc*", "", "ab", true),
        ("^abc+", "", "ab", false),
        ("^abc", "i", "ABC", true),
        ("^a|b", "", "b", true),
        ("abc", "", "xabc", true),
        ("^a\\.b", "", "a.b", true),
        ("^a\\.b", "", "axb", false),
        ("^a\\db", "", "a1b", true),
        ("^ab{0}c", "", "ac", true),
        ("^a.c", "s", "b", false),
        ("^a.c", "su", "b", false),
        ("^é?", "", "", true),
        ("\\Aab", "", "b", false),
    ];
    for (pattern, options, text, inside) in cases {
        let bounds = Bounds::matching(pattern, options);
        assert_eq!(
            bounds.contains(&bytes(Value::String(text))),
            inside,
            "/{pattern}/{options} {text}"
        );
        assert!(bounds.contains(&bytes(Value::Regex { pattern, options })));
        assert!(!bounds.contains(&bytes(Value::Int32(1))));
    }
}

#[test]
fn null_is_looked_up_among_what_is_missing() {
    let null = Bounds::equal(Value::Null);
    assert!(null.holds_missing() && null.contains(&bytes(Value::Null)));
    assert!(null.contains(&bytes(Value::Undefined)) && !null.contains(&bytes(Value::Int32(0))));
    assert!(Bounds::existing(true).is_all() && !Bounds::existing(true).holds_missing());
    assert!(!Bounds::not_null().contains(&bytes(Value::Null)));
    assert!(Bounds::not_null().contains(&bytes(Value::Undefined)));
    assert!(null.complement().is_all());
}
