//! How much work an evaluation can be, told from how a filter or an update is written.
//!
//! Whoever must not be held up evaluates only what has a bound, and leaves the rest to somebody who may take their
//! time. So the answer may be "unbounded" for something harmless, but never the other way round.

use bson::RawDocument;

use crate::regex::Regex;
use crate::{Array, Document, Value};

/// How many steps an evaluation takes at most, by the document: a step is about a byte looked at, or copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// So many steps for each byte of the document.
    PerByte(u64),
    /// A search by a regular expression that may backtrack, an expression that repeats something, or one whose value
    /// may be much larger than the document.
    Unbounded,
}

/// Where a value stands: what it may mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Filter,
    Expression,
}

impl Cost {
    /// How many steps it takes for `document`; as many as there can be where nothing bounds them.
    pub fn of(self, document: &RawDocument) -> u64 {
        match self {
            Self::PerByte(steps) => steps.saturating_mul(document.as_bytes().len() as u64),
            Self::Unbounded => u64::MAX,
        }
    }

    /// Both, one after the other.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::PerByte(one), Self::PerByte(other)) => Self::PerByte(one.saturating_add(other)),
            _ => Self::Unbounded,
        }
    }

    /// Both, where the second works on what the first has made, which may be larger the more it costs.
    fn then(self, other: Self) -> Self {
        match (self, other) {
            (Self::PerByte(one), Self::PerByte(other)) => Self::PerByte(one.saturating_mul(other)),
            _ => Self::Unbounded,
        }
    }

    /// Of a filter, as it is written.
    pub(crate) fn of_filter(filter: Document<'_>) -> Self {
        of_fields(filter, Part::Filter, 1)
    }

    /// Of an update by operators, as it is written.
    pub(crate) fn of_operators(update: Document<'_>, array_filters: &[&RawDocument]) -> Self {
        let operators = update.into_iter().map(|(operator, fields)| of_operator(operator, fields));
        let filters = array_filters.iter().map(|filter| Self::of_filter((*filter).into()));
        sum(operators.chain(filters)).and(COPY)
    }

    /// Of an update by a pipeline, as it is written.
    pub(crate) fn of_pipeline(stages: Array<'_>) -> Self {
        stages.into_iter().map(of_stage).fold(COPY, Self::then)
    }
}

fn sum(costs: impl Iterator<Item = Cost>) -> Cost {
    costs.fold(Cost::PerByte(0), Cost::and)
}

fn of_operator(operator: &str, fields: Value<'_>) -> Cost {
    let Value::Document(fields) = fields else { return Cost::Unbounded };
    sum(fields.into_iter().map(|(_, operand)| match operator {
        "$set" | "$setOnInsert" | "$unset" | "$inc" | "$mul" | "$min" | "$max" | "$bit"
        | "$rename" | "$currentDate" | "$pop" => Cost::PerByte(1),
        // It may sort.
        "$push" => Cost::PerByte(SORT),
        // Each item of one is compared with each of the other.
        "$addToSet" | "$pullAll" => Cost::PerByte(items(operand)),
        "$pull" => of_value(operand, Part::Filter, 1),
        _ => Cost::Unbounded,
    }))
}

/// How many items are compared: those of an array, and of `{$each: [..]}`.
fn items(operand: Value<'_>) -> u64 {
    match operand {
        Value::Array(array) => array.into_iter().count() as u64,
        Value::Document(document) => {
            1 + document.into_iter().map(|(_, value)| items(value)).sum::<u64>()
        }
        _ => 1,
    }
}

fn of_stage(stage: Value<'_>) -> Cost {
    let Value::Document(stage) = stage else { return Cost::Unbounded };
    sum(stage.into_iter().map(|(name, specification)| match name {
        "$set" | "$addFields" | "$project" | "$unset" | "$replaceRoot" | "$replaceWith" => {
            of_value(specification, Part::Expression, 1)
        }
        _ => Cost::Unbounded,
    }))
    .and(COPY)
}

/// Of a value at a depth: what an expression takes from the document goes through as many hands as it is deep.
fn of_value(value: Value<'_>, part: Part, depth: u64) -> Cost {
    match value {
        Value::Document(document) => of_fields(document, part, depth).and(Cost::PerByte(depth)),
        Value::Array(array) => {
            let items = array.into_iter().map(|item| of_value(item, part, depth + 1));
            sum(items).and(Cost::PerByte(depth))
        }
        Value::Regex { pattern, options } => of_regex(pattern, options),
        Value::String(text) if part == Part::Expression => match text.strip_prefix("$$") {
            Some(variable) if !is_of_document(variable) => Cost::Unbounded,
            _ => Cost::PerByte(depth),
        },
        _ => Cost::PerByte(depth),
    }
}

fn of_fields(document: Document<'_>, part: Part, depth: u64) -> Cost {
    sum(document.into_iter().map(|(name, value)| match (part, name) {
        (Part::Filter, "$expr") => of_value(value, Part::Expression, depth + 1),
        (Part::Filter, "$in" | "$nin") => of_list(value),
        (Part::Filter, "$regex") => match value {
            Value::String(pattern) => of_regex(pattern, options(document)),
            regex => of_value(regex, part, depth),
        },
        (Part::Filter, _) if name.starts_with('$') && !IN_FILTERS.contains(&name) => {
            Cost::Unbounded
        }
        (Part::Expression, _) if name.starts_with('$') && !IN_EXPRESSIONS.contains(&name) => {
            Cost::Unbounded
        }
        _ => of_value(value, part, depth + 1),
    }))
}

/// A list that a filter searches is sorted; but for the regular expressions in it.
fn of_list(list: Value<'_>) -> Cost {
    let Value::Array(list) = list else { return Cost::PerByte(1) };
    let regexes = list.into_iter().filter(|item| matches!(item, Value::Regex { .. }));
    sum(regexes.map(|regex| of_value(regex, Part::Filter, 1))).and(Cost::PerByte(SORT))
}

fn options(document: Document<'_>) -> &str {
    let options = document.into_iter().find(|(name, _)| *name == "$options");
    options.and_then(|(_, value)| value.as_str()).unwrap_or_default()
}

fn of_regex(pattern: &str, options: &str) -> Cost {
    if Regex::never_backtracks(pattern, options) {
        Cost::PerByte(1 + pattern.len() as u64)
    } else {
        Cost::Unbounded
    }
}

/// Whether a variable is a part of the document, or small. What others stand for is not known here.
fn is_of_document(variable: &str) -> bool {
    let name = variable.split('.').next().unwrap_or_default();
    matches!(name, "ROOT" | "CURRENT" | "NOW" | "REMOVE")
}

/// What it takes to copy a document.
const COPY: Cost = Cost::PerByte(1);

/// How many times a sort, or a search in a sorted list, looks at each of the values.
const SORT: u64 = 32;

/// What a filter may have, where it looks at each value of a document a few times at most.
const IN_FILTERS: &[&str] = &[
    "$all",
    "$and",
    "$bitsAllClear",
    "$bitsAllSet",
    "$bitsAnyClear",
    "$bitsAnySet",
    "$comment",
    "$elemMatch",
    "$eq",
    "$exists",
    "$gt",
    "$gte",
    "$lt",
    "$lte",
    "$mod",
    "$ne",
    "$nor",
    "$not",
    "$options",
    "$or",
    "$size",
    "$type",
];

/// What an expression may have, where it looks at each of its arguments a few times at most, and its value is not
/// larger than they are together.
const IN_EXPRESSIONS: &[&str] = &[
    "$abs",
    "$add",
    "$and",
    "$arrayElemAt",
    "$ceil",
    "$cmp",
    "$concat",
    "$concatArrays",
    "$cond",
    "$convert",
    "$dateAdd",
    "$dateDiff",
    "$dateSubtract",
    "$dateTrunc",
    "$divide",
    "$eq",
    "$first",
    "$floor",
    "$getField",
    "$gt",
    "$gte",
    "$ifNull",
    "$in",
    "$isArray",
    "$isNumber",
    "$last",
    "$literal",
    "$lt",
    "$lte",
    "$max",
    "$mergeObjects",
    "$min",
    "$mod",
    "$multiply",
    "$ne",
    "$not",
    "$or",
    "$round",
    "$size",
    "$strLenBytes",
    "$subtract",
    "$sum",
    "$switch",
    "$toBool",
    "$toDate",
    "$toDecimal",
    "$toDouble",
    "$toInt",
    "$toLong",
    "$toLower",
    "$toObjectId",
    "$toString",
    "$toUpper",
    "$trunc",
    "$type",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, Filter, Update};
    use bson::{RawBsonRef, RawDocumentBuf, rawdoc};

    fn of_filter(filter: &RawDocument) -> Cost {
        Filter::parse(filter, &Environment::new(0)).unwrap().cost()
    }

    fn of_update(update: RawBsonRef<'_>, filters: &[&RawDocument]) -> Cost {
        let environment = Environment::new(0);
        let all = Filter::parse(&rawdoc! {}, &environment).unwrap();
        Update::parse(update, filters, &environment).unwrap().cost(&all)
    }

    fn of_stages(stages: &[RawDocumentBuf]) -> Cost {
        let stages: bson::RawArrayBuf = stages.iter().cloned().collect();
        of_update(RawBsonRef::Array(&stages), &[])
    }

    #[track_caller]
    fn check_small(cost: Cost) {
        assert!(matches!(cost, Cost::PerByte(1..200)), "{cost:?}");
    }

    #[test]
    fn what_queues_ask_is_bounded() {
        assert_eq!(of_filter(&rawdoc! {}), Cost::PerByte(0));
        check_small(of_filter(&rawdoc! {
            "state": { "$in": ["READY", "WAITING"] },
            "$or": [{ "lock": null }, { "lock.until": { "$lt": 7 } }],
            "name": { "$regex": "^job-" },
            "$expr": { "$lt": ["$tries", "$limits.tries"] },
        }));
        check_small(of_update(
            RawBsonRef::Document(
                &rawdoc! { "$set": { "lock": { "by": "me" } }, "$inc": { "n": 1 } },
            ),
            &[],
        ));
        check_small(of_update(RawBsonRef::Document(&rawdoc! { "a": { "$b": 1 } }), &[]));
        check_small(of_stages(&[rawdoc! { "$set": {
            "lock": { "$cond": { "if": { "$eq": ["$lock", null] }, "then": "me", "else": "$lock" } },
            "at": "$$NOW",
        } }]));
    }

    #[test]
    fn what_may_backtrack_or_repeat_is_not() {
        let regex = || rawdoc! { "$regex": "(a+)+$" };
        for filter in [
            rawdoc! { "a": regex() },
            rawdoc! { "a": { "$not": regex() } },
            rawdoc! { "a": { "$elemMatch": { "b": regex() } } },
            rawdoc! { "a": { "$in": [bson::RawBson::RegularExpression(bson::Regex {
                pattern: "a|b".try_into().unwrap(), options: "".try_into().unwrap(),
            })] } },
            rawdoc! { "$or": [{ "a": 1 }, { "b": regex() }] },
            rawdoc! { "$expr": { "$map": { "input": "$a", "in": "$$this" } } },
            rawdoc! { "$expr": { "$eq": [1, { "$regexMatch": { "input": "$a", "regex": "b" } }] } },
        ] {
            assert_eq!(of_filter(&filter), Cost::Unbounded, "{filter:?}");
        }
        let pull = rawdoc! { "$pull": { "a": { "b": regex() } } };
        assert_eq!(of_update(RawBsonRef::Document(&pull), &[]), Cost::Unbounded);
        let set = rawdoc! { "$set": { "a.$[x]": 1 } };
        let filters: &[&RawDocument] = &[&rawdoc! { "x": regex() }];
        assert_eq!(of_update(RawBsonRef::Document(&set), filters), Cost::Unbounded);
        let stages = [rawdoc! { "$set": { "a": { "$range": [0, "$n"] } } }];
        assert_eq!(of_stages(&stages), Cost::Unbounded);
    }

    #[test]
    fn stages_that_double_a_document_are_dear() {
        let doubled = || rawdoc! { "$replaceWith": { "a": "$$ROOT", "b": "$$ROOT" } };
        let stages: Vec<_> = (0..40).map(|_| doubled()).collect();
        assert!(of_stages(&stages).of(&rawdoc! {}) > 1 << 40);
    }

    #[test]
    fn a_constant_of_the_command_may_be_anything() {
        let environment = Environment::new(0).with_let(&rawdoc! { "list": [1, 2, 3] }).unwrap();
        let filter = rawdoc! { "$expr": { "$in": ["$a", "$$list"] } };
        assert_eq!(Filter::parse(&filter, &environment).unwrap().cost(), Cost::Unbounded);
    }
}
