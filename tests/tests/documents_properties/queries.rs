//! Any documents, filters and sorts: values of every type that meet each other often, under few names.

use bson::{Bson, DateTime, Document, bson, doc};
use proptest::prelude::*;
use proptest::sample::select;

/// A value without parts.
pub(crate) fn any_scalar() -> BoxedStrategy<Bson> {
    prop_oneof![
        5 => (0..4_i32).prop_map(Bson::Int32),
        2 => (0..4_i64).prop_map(Bson::Int64),
        2 => select(vec![0.0, -0.0, 1.0, 1.5, f64::NAN, f64::INFINITY]).prop_map(Bson::Double),
        1 => select(vec!["1", "1.50", "-0", "NaN", "3E+1"])
            .prop_map(|text| Bson::Decimal128(text.parse().expect("a decimal"))),
        2 => Just(Bson::Null),
        2 => select(vec!["", "a", "ab", "b", "\0"]).prop_map(|text| bson!(text)),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => (-1..3_i64).prop_map(|ms| Bson::DateTime(DateTime::from_millis(ms))),
        1 => select(vec![Bson::MinKey, Bson::MaxKey, Bson::Undefined]),
    ]
    .boxed()
}

/// A value: any scalar, array or document.
pub(crate) fn any_value() -> BoxedStrategy<Bson> {
    let scalars = || proptest::collection::vec(any_scalar(), 0..3).prop_map(Bson::Array);
    let item = prop_oneof![4 => any_scalar(), 3 => any_object(), 1 => scalars()];
    prop_oneof![
        4 => any_scalar(),
        2 => any_object(),
        3 => proptest::collection::vec(item, 0..4).prop_map(Bson::Array)
    ]
    .boxed()
}

/// A document without `_id`, whose `n` is no array.
pub(crate) fn any_document() -> BoxedStrategy<Document> {
    let field = || proptest::option::weighted(0.8, any_value());
    let number = proptest::option::weighted(0.8, any_scalar());
    (field(), number, field())
        .prop_map(|(a, n, b)| {
            let fields = [("a", a), ("n", n), ("b", b)];
            fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        })
        .boxed()
}

/// A filter that every server takes.
pub(crate) fn any_filter() -> BoxedStrategy<Document> {
    let paths = ["a", "a", "b", "n", "n", "a.x", "a.y", "a.0", "b.0.x", "b.x", "_id"];
    let leaf =
        (select(paths.to_vec()), any_test()).prop_map(|(path, test)| doc! { path: test }).boxed();
    let parts = || proptest::collection::vec(leaf.clone(), 1..4);
    prop_oneof![
        1 => Just(doc! {}),
        6 => leaf.clone(),
        4 => parts().prop_map(|parts| doc! { "$and": parts }),
        3 => parts().prop_map(|parts| doc! { "$or": parts }),
        1 => parts().prop_map(|parts| doc! { "$nor": parts }),
        2 => (leaf.clone(), parts()).prop_map(|(leaf, parts)| {
            doc! { "$and": [leaf, { "$or": parts }] }
        }),
    ]
    .boxed()
}

/// A sort that leaves no two documents in an open order.
pub(crate) fn any_sort() -> BoxedStrategy<Document> {
    let direction = || any::<bool>().prop_map(|descends| if descends { -1 } else { 1 });
    let fields = proptest::collection::vec((select(vec!["a", "b", "n", "a.x"]), direction()), 0..3);
    // Parallel arrays cannot be sorted by, so `b` does not come with `a`.
    (fields, direction())
        .prop_map(|(fields, last)| {
            let mut sort = Document::new();
            for (path, direction) in fields {
                let parallel = |other: &str| path != "n" && other != "n" && other != path;
                if !sort.keys().any(|other| parallel(other)) {
                    sort.insert(path, direction);
                }
            }
            sort.insert("_id", last);
            sort
        })
        .boxed()
}

fn any_object() -> BoxedStrategy<Bson> {
    let field = prop_oneof![
        2 => any_scalar(),
        1 => proptest::collection::vec(any_scalar(), 0..3).prop_map(Bson::Array)
    ];
    proptest::collection::vec((select(vec!["x", "x", "y"]), field), 0..3)
        .prop_map(|fields| {
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<Document>()
                .into()
        })
        .boxed()
}

/// What a filter asks about one field.
fn any_test() -> BoxedStrategy<Document> {
    let operand = || prop_oneof![4 => any_scalar(), 1 => any_value()];
    let list = || proptest::collection::vec(operand(), 0..3);
    let order = select(vec!["$gt", "$gte", "$lt", "$lte"]);
    let range = proptest::collection::vec((order, operand()), 1..3);
    let types = select(vec!["array", "int", "null", "string", "object", "number", "date"]);
    let simple = prop_oneof![
        4 => operand().prop_map(|value| doc! { "$eq": value }),
        4 => range.prop_map(|tests| {
            tests.into_iter().map(|(operator, value)| (operator.to_owned(), value)).collect()
        }),
        1 => operand().prop_map(|value| doc! { "$ne": value }),
        2 => list().prop_map(|list| doc! { "$in": list }),
        1 => list().prop_map(|list| doc! { "$nin": list }),
        1 => any::<bool>().prop_map(|exists| doc! { "$exists": exists }),
        1 => types.prop_map(|name| doc! { "$type": name }),
        1 => (select(vec!["^a", "^ab", "^", "b$", "^a?", "^a|b", "^\\Qa"]), select(vec!["", "i", "m", "x"]))
            .prop_map(|(pattern, options)| doc! { "$regex": pattern, "$options": options }),
        1 => Just(doc! { "$mod": [2, 1] }),
        1 => Just(doc! { "$size": 1 }),
        1 => list().prop_map(|list| doc! { "$all": list }),
    ];
    let simple = simple.boxed();
    let inner = proptest::collection::vec((select(vec!["x", "y", "0"]), simple.clone()), 1..3);
    prop_oneof![
        6 => simple.clone(),
        1 => simple.clone().prop_map(|test| doc! { "$not": test }),
        1 => simple.prop_map(|test| doc! { "$elemMatch": test }),
        2 => inner.prop_map(|fields| {
            let fields = fields.into_iter().map(|(name, test)| (name.to_owned(), test.into()));
            doc! { "$elemMatch": fields.collect::<Document>() }
        }),
    ]
    .boxed()
}
