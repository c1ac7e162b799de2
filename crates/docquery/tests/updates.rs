//! Applying an update to raw bytes equals applying it to the parsed document: operators one by one, on a tree, as simply
//! as can be.

#![allow(clippy::unwrap_used, reason = "these are tests, and so are the functions that they share")]

use bson::{Bson, Document, RawBson, RawDocumentBuf, doc};
use docquery::{Environment, Filter, Update, limits};
use proptest::prelude::*;

/// One operator on one path.
#[derive(Clone, Debug)]
enum Operation {
    Set(Bson),
    Unset,
    Add(i32),
    Multiply(i32),
    Push(Vec<Bson>),
    AddToSet(Vec<Bson>),
    PopFirst,
    PopLast,
    PullAll(Vec<Bson>),
}

impl Operation {
    /// The operator's name and operand.
    fn in_bson(&self) -> (&'static str, Bson) {
        match self {
            Self::Set(value) => ("$set", value.clone()),
            Self::Unset => ("$unset", true.into()),
            Self::Add(number) => ("$inc", (*number).into()),
            Self::Multiply(number) => ("$mul", (*number).into()),
            Self::Push(values) => ("$push", doc! {"$each": values.clone()}.into()),
            Self::AddToSet(values) => ("$addToSet", doc! {"$each": values.clone()}.into()),
            Self::PopFirst => ("$pop", (-1).into()),
            Self::PopLast => ("$pop", 1.into()),
            Self::PullAll(values) => ("$pullAll", values.clone().into()),
        }
    }

    /// Whether a field that is not there is created.
    fn creates(&self) -> bool {
        !matches!(self, Self::Unset | Self::PopFirst | Self::PopLast | Self::PullAll(_))
    }

    /// The value in place of `before`, which is `None` where there is none; or the code of the error.
    fn value(&self, before: Option<&Bson>) -> Result<Bson, i32> {
        Ok(match self {
            Self::Set(value) => value.clone(),
            Self::Unset => Bson::Null,
            Self::Add(operand) => number(before, *operand, i64::checked_add)?,
            Self::Multiply(operand) => number(before, *operand, i64::checked_mul)?,
            Self::Push(values) => {
                let mut items = array(before, 2)?;
                items.extend(values.iter().cloned());
                Bson::Array(items)
            }
            Self::AddToSet(values) => {
                let mut items = array(before, 2)?;
                for value in values {
                    if !items.contains(value) {
                        items.push(value.clone());
                    }
                }
                Bson::Array(items)
            }
            Self::PopFirst => Bson::Array(array(before, 14)?.into_iter().skip(1).collect()),
            Self::PopLast => {
                let mut items = array(before, 14)?;
                items.pop();
                Bson::Array(items)
            }
            Self::PullAll(values) => {
                let items = array(before, 2)?.into_iter();
                Bson::Array(items.filter(|item| !values.contains(item)).collect())
            }
        })
    }
}

fn array(value: Option<&Bson>, code: i32) -> Result<Vec<Bson>, i32> {
    match value {
        None => Ok(Vec::new()),
        Some(Bson::Array(items)) => Ok(items.clone()),
        Some(_) => Err(code),
    }
}

fn number(
    value: Option<&Bson>,
    operand: i32,
    calculate: fn(i64, i64) -> Option<i64>,
) -> Result<Bson, i32> {
    let wide = i64::from(operand);
    match value {
        None => Ok(Bson::Int32(i32::try_from(calculate(0, wide).unwrap()).unwrap())),
        Some(Bson::Int32(number)) => {
            let result = calculate(i64::from(*number), wide).unwrap();
            Ok(i32::try_from(result).map_or(Bson::Int64(result), Bson::Int32))
        }
        Some(Bson::Int64(number)) => calculate(*number, wide).map(Bson::Int64).ok_or(2),
        Some(_) => Err(14),
    }
}

/// Applies `operation` at `path` below `value`. Whether anything changed.
fn apply(value: &mut Bson, path: &[&str], operation: &Operation) -> Result<bool, i32> {
    let (name, rest) = path.split_first().expect("a path has parts");
    let place = name.parse::<usize>().ok();
    let child = match (&mut *value, place) {
        (Bson::Document(document), _) => document.get_mut(*name),
        (Bson::Array(items), Some(place)) => items.get_mut(place),
        _ => {
            let fails = operation.creates()
                || matches!(
                    operation,
                    Operation::PopFirst | Operation::PopLast | Operation::PullAll(_)
                );
            return if fails { Err(28) } else { Ok(false) };
        }
    };
    if let Some(child) = child {
        if !rest.is_empty() {
            return apply(child, rest, operation);
        }
        let after = operation.value(Some(child))?;
        if let (Operation::Unset, Bson::Document(document)) = (operation, &mut *value) {
            document.remove(*name);
            return Ok(true);
        }
        let child = match value {
            Bson::Document(document) => document.get_mut(*name).unwrap(),
            Bson::Array(items) => &mut items[place.unwrap()],
            _ => unreachable!("it has a child"),
        };
        let changed = *child != after || matches!(operation, Operation::Unset);
        *child = after;
        return Ok(changed);
    }
    if !operation.creates() {
        return Ok(false);
    }
    let parents = |value, name: &&str| Bson::Document(doc! {*name: value});
    let created = rest.iter().rev().fold(operation.value(None)?, parents);
    match value {
        Bson::Document(document) => {
            document.insert(*name, created);
        }
        Bson::Array(items) => {
            items.resize(place.unwrap(), Bson::Null);
            items.push(created);
        }
        _ => unreachable!("it may have a child"),
    }
    Ok(true)
}

/// The document after all operations; `None` if nothing changed.
fn model(document: &Document, operations: &[(String, Operation)]) -> Result<Option<Document>, i32> {
    let mut ordered: Vec<(Vec<&str>, &Operation)> =
        operations.iter().map(|(path, operation)| (path.split('.').collect(), operation)).collect();
    for (index, (path, _)) in ordered.iter().enumerate() {
        if ordered[..index]
            .iter()
            .any(|(other, _)| path.starts_with(other) || other.starts_with(path))
        {
            return Err(40);
        }
    }
    // The names used here are numbers of one digit, which come first, and letters.
    ordered.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut root, mut changed) = (Bson::Document(document.clone()), false);
    for (path, operation) in ordered {
        changed |= apply(&mut root, &path, operation)?;
    }
    Ok(changed.then(|| root.as_document().unwrap().clone()))
}

/// The same by docquery.
fn docquery(
    document: &Document,
    operations: &[(String, Operation)],
) -> Result<Option<Document>, i32> {
    let mut update = Document::new();
    for (path, operation) in operations {
        let (operator, operand) = operation.in_bson();
        let fields = update.entry(operator.to_owned()).or_insert_with(|| Document::new().into());
        fields.as_document_mut().unwrap().insert(path, operand);
    }
    let environment = Environment::new(0);
    let raw = |document: &Document| RawDocumentBuf::try_from(document).unwrap();
    let filter = Filter::parse(&raw(&Document::new()), &environment).unwrap();
    let update = raw(&doc! {"u": update});
    let update = update.get("u").unwrap().unwrap();
    let result = Update::parse(update, &[], &environment)
        .and_then(|update| update.apply(&raw(document), &filter));
    match result {
        Ok(changed) => Ok(changed.map(|bytes| Document::try_from(&*bytes).unwrap())),
        Err(error) => Err(error.code().value()),
    }
}

fn scalars() -> impl Strategy<Value = Bson> {
    prop_oneof![
        (-3..3).prop_map(Bson::Int32),
        Just(Bson::Int32(i32::MAX)),
        Just(Bson::Int64(i64::MAX)),
        Just(Bson::Null),
        "[ab]".prop_map(Bson::String),
    ]
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["0", "1", "3", "a", "b", "c"]).prop_map(str::to_owned)
}

fn documents(values: impl Strategy<Value = Bson>) -> impl Strategy<Value = Document> {
    prop::collection::vec((names(), values), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn values() -> impl Strategy<Value = Bson> {
    scalars().prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            documents(inner.clone()).prop_map(Bson::Document),
            prop::collection::vec(inner, 0..4).prop_map(Bson::Array),
        ]
    })
}

fn operations() -> impl Strategy<Value = (String, Operation)> {
    let path = prop::collection::vec(names(), 1..4).prop_map(|parts| parts.join("."));
    let several = || prop::collection::vec(scalars(), 0..3);
    let operation = prop_oneof![
        values().prop_map(Operation::Set),
        Just(Operation::Unset),
        (-2..3).prop_map(Operation::Add),
        (-2..3).prop_map(Operation::Multiply),
        several().prop_map(Operation::Push),
        several().prop_map(Operation::AddToSet),
        Just(Operation::PopFirst),
        Just(Operation::PopLast),
        several().prop_map(Operation::PullAll),
    ];
    (path, operation)
}

/// Names that mean something to an update, and some that do not.
fn any_names() -> impl Strategy<Value = String> {
    let words = [
        "",
        "a",
        "b",
        "0",
        "_id",
        "$",
        "$[]",
        "$[e]",
        "$each",
        "$slice",
        "$sort",
        "$position",
        "$type",
        "$gt",
        "$in",
        "$eq",
        "and",
        "xor",
        "$ref",
        "a.b",
        "a.$",
        "a.$[].b",
        "a.$[e]",
        "a.0",
        "b..a",
        "e",
        "e.a",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn any_values() -> impl Strategy<Value = Bson> {
    let leaves = prop_oneof![
        scalars(),
        any_names().prop_map(Bson::String),
        any::<f64>().prop_map(Bson::Double),
        Just(Bson::Timestamp(bson::Timestamp { time: 0, increment: 0 })),
    ];
    leaves.prop_recursive(4, 24, 4, |inner| {
        let field = (any_names(), inner.clone());
        prop_oneof![
            prop::collection::vec(field, 0..4)
                .prop_map(|fields| Bson::Document(fields.into_iter().collect())),
            prop::collection::vec(inner, 0..4).prop_map(Bson::Array),
        ]
    })
}

fn any_updates() -> impl Strategy<Value = Bson> {
    let operators = [
        "$addToSet",
        "$bit",
        "$currentDate",
        "$inc",
        "$max",
        "$min",
        "$mul",
        "$pop",
        "$pull",
        "$pullAll",
        "$push",
        "$rename",
        "$set",
        "$setOnInsert",
        "$unset",
        "$x",
        "a",
    ];
    let fields = prop::collection::vec((any_names(), any_values()), 0..3)
        .prop_map(|fields| Bson::Document(fields.into_iter().collect()));
    let operand = prop_oneof![9 => fields, 1 => any_values()];
    let update = (prop::sample::select(operators.to_vec()), operand);
    let operators = prop::collection::vec(update, 0..3).prop_map(|fields| {
        Bson::Document(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    });
    let stage =
        (prop::sample::select(vec!["$set", "$unset", "$project", "$replaceWith"]), any_values());
    let pipeline = prop::collection::vec(stage, 0..3).prop_map(|stages| {
        Bson::Array(stages.into_iter().map(|(name, value)| doc! {name: value}.into()).collect())
    });
    prop_oneof![8 => operators, 1 => pipeline]
}

fn sound(document: &RawDocumentBuf) -> bool {
    limits::check_bson(document, limits::DEPTH_MAX + 1).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn raw_bytes_change_as_the_parsed_document_does(
        document in documents(values()),
        operations in prop::collection::vec(operations(), 1..4),
    ) {
        // An update cannot have two operands for one operator and path.
        let mut seen = std::collections::HashSet::new();
        let distinct = |(path, operation): &&(String, Operation)| {
            seen.insert((path.clone(), operation.in_bson().0))
        };
        let operations: Vec<_> = operations.iter().filter(distinct).cloned().collect();
        prop_assert_eq!(docquery(&document, &operations), model(&document, &operations));
    }

    #[test]
    fn any_update_ends_in_a_document_or_an_error(
        document in any_values(),
        update in any_updates(),
        query in any_values(),
        array_filter in proptest::option::of(any_values()),
    ) {
        let raw = |value: &Bson| RawDocumentBuf::try_from(value.as_document()?).ok();
        let environment = Environment::new(0);
        let query = raw(&query).unwrap_or_default();
        let Ok(filter) = Filter::parse(&query, &environment) else { return Ok(()) };
        let array_filter = array_filter.as_ref().and_then(raw);
        let array_filters: Vec<_> = array_filter.iter().map(|filter| &**filter).collect();
        let update = RawBson::try_from(update).unwrap();
        let Ok(update) = Update::parse(update.as_raw_bson_ref(), &array_filters, &environment) else {
            return Ok(());
        };
        let document = raw(&document).unwrap_or_default();
        if let Ok(Some(changed)) = update.apply(&document, &filter) {
            prop_assert!(sound(&changed), "{:?}", changed);
        }
        if let Ok(inserted) = update.upsert(&filter) {
            prop_assert!(sound(&inserted), "{:?}", inserted);
        }
    }
}
