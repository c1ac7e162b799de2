//! From a document to a tree. What is refused, and with which code, is as in the server's `MatchExpressionParser`.

use super::argument::{parse_count, parse_flag, parse_mod, parse_sample_rate};
use super::bits::{BitTest, Quantifier};
use super::in_list::InList;
use super::object::ObjectPredicate;
use super::optimize::optimize;
use super::predicate::{Comparison, Predicate, Test};
use super::regex_argument::{new_regex, parse_regex, parse_regex_document};
use super::types::TypeSet;
use crate::expression::Scope;
use crate::{Array, Document, Error, ErrorCode, Expression, OwnedValue, Result, Value};

/// How many levels of operators and documents a filter may have: as many as a message of a client has.
const LEVELS_MAX: usize = 200;

/// Parses a filter.
pub(super) fn parse(filter: Document<'_>, scope: &Scope<'_>) -> Result<Predicate> {
    Place { scope, in_elem_match: false, level: 0 }.filter(filter)
}

/// Where in a filter the parser is.
#[derive(Clone, Copy)]
struct Place<'s> {
    scope: &'s Scope<'s>,
    /// Inside `$elemMatch` a document is an item of an array: what asks the whole document is refused there.
    in_elem_match: bool,
    level: usize,
}

impl Place<'_> {
    fn deeper(self) -> Result<Self> {
        if self.level == LEVELS_MAX {
            return Err(Error::new(
                ErrorCode::OVERFLOW,
                format!("the filter is nested deeper than {LEVELS_MAX} levels"),
            ));
        }
        Ok(Self { level: self.level + 1, ..self })
    }

    /// `{path: condition, ..., $operator: argument, ...}`
    fn filter(self, filter: Document<'_>) -> Result<Predicate> {
        let place = self.deeper()?;
        let mut parts = Vec::new();
        for (name, value) in filter {
            if name.starts_with('$') {
                parts.extend(place.pathless(name, value)?);
                continue;
            }
            match value {
                Value::Document(condition) if has_operators(condition, DbRefs::Complete) => {
                    place.condition(name, condition, &mut parts)?;
                }
                Value::Regex { pattern, options } => {
                    parts.push(Predicate::field(name, parse_regex(pattern, options)?));
                }
                value => parts.push(compare(name, Comparison::Equal, value)?),
            }
        }
        Ok(Predicate::And(parts))
    }

    /// `{$operator: argument}` that names no path. Nothing for a comment.
    fn pathless(self, operator: &str, argument: Value<'_>) -> Result<Option<Predicate>> {
        Ok(Some(match operator {
            "$and" => Predicate::And(self.filters(operator, argument)?),
            "$or" => Predicate::Or(self.filters(operator, argument)?),
            "$nor" => Predicate::Nor(self.filters(operator, argument)?),
            "$comment" => return Ok(None),
            "$expr" if self.in_elem_match => {
                return Err(Error::bad_value(
                    "$expr can only stand at the top level, not in $elemMatch",
                ));
            }
            "$expr" => Predicate::Expression(Expression::parse(argument, self.scope)?),
            "$alwaysTrue" => parse_flag(operator, argument).map(|()| Predicate::Always(true))?,
            "$alwaysFalse" => parse_flag(operator, argument).map(|()| Predicate::Always(false))?,
            "$sampleRate" => parse_sample_rate(argument, self.scope)?,
            "$ref" | "$id" | "$db" if self.in_elem_match => {
                compare(operator, Comparison::Equal, argument)?
            }
            _ => {
                return Err(Error::bad_value(format!(
                    "unknown top level operator: {operator}; a field whose name begins with '$' is asked with $getField in $expr"
                )));
            }
        }))
    }

    /// The filters that `$and`, `$or` and `$nor` list.
    fn filters(self, operator: &str, argument: Value<'_>) -> Result<Vec<Predicate>> {
        let Value::Array(list) = argument else {
            return Err(Error::bad_value(format!(
                "{operator} takes an array of filters, not {}",
                argument.type_name()
            )));
        };
        if list.is_empty() {
            return Err(Error::bad_value(format!("the array of {operator} must not be empty")));
        }
        let filters = list.iter().map(|item| match item {
            Value::Document(filter) => self.filter(filter),
            item => Err(Error::bad_value(format!(
                "what {operator} lists must be filters, not {}",
                item.type_name()
            ))),
        });
        filters.collect()
    }

    /// `{path: {$operator: argument, ...}}`
    fn condition(
        self,
        path: &str,
        condition: Document<'_>,
        parts: &mut Vec<Predicate>,
    ) -> Result<()> {
        let place = self.deeper()?;
        for (operator, argument) in condition {
            parts.extend(place.operator(path, operator, argument, condition)?);
        }
        Ok(())
    }

    /// One operator of `condition`. Nothing for `$options`, which belongs to `$regex`.
    fn operator(
        self,
        path: &str,
        operator: &str,
        argument: Value<'_>,
        condition: Document<'_>,
    ) -> Result<Option<Predicate>> {
        let bits =
            |quantifier, set| BitTest::parse(operator, quantifier, set, argument).map(Test::Bits);
        let test = match operator {
            "$eq" => return compare(path, Comparison::Equal, argument).map(Some),
            "$lt" => return compare(path, Comparison::Less, argument).map(Some),
            "$lte" => return compare(path, Comparison::LessOrEqual, argument).map(Some),
            "$gt" => return compare(path, Comparison::Greater, argument).map(Some),
            "$gte" => return compare(path, Comparison::GreaterOrEqual, argument).map(Some),
            "$ne" => return parse_ne(path, argument).map(Some),
            "$not" => return self.not(path, argument).map(Some),
            "$all" => return self.all(path, argument).map(Some),
            "$nin" => {
                return Ok(Some(Predicate::field(path, parse_in(operator, argument)?).not()));
            }
            "$exists" => {
                let exists = Predicate::field(path, Test::Exists);
                return Ok(Some(if argument.is_truthy() { exists } else { exists.not() }));
            }
            "$options" if condition.get("$regex").is_missing() => {
                return Err(Error::bad_value("$options needs a $regex beside it"));
            }
            "$options" => return Ok(None),
            "$in" => parse_in(operator, argument)?,
            "$size" => Test::Size(parse_count(operator, argument)?),
            "$type" => Test::Type(TypeSet::parse(argument)?),
            "$mod" => parse_mod(argument)?,
            "$regex" => parse_regex_document(condition)?,
            "$elemMatch" => self.elem_match(argument)?,
            "$bitsAllSet" => bits(Quantifier::All, true)?,
            "$bitsAllClear" => bits(Quantifier::All, false)?,
            "$bitsAnySet" => bits(Quantifier::Any, true)?,
            "$bitsAnyClear" => bits(Quantifier::Any, false)?,
            _ => {
                return Err(Error::bad_value(format!(
                    "unknown operator '{operator}' in the condition of '{path}'"
                )));
            }
        };
        Ok(Some(Predicate::field(path, test)))
    }

    fn not(self, path: &str, argument: Value<'_>) -> Result<Predicate> {
        match argument {
            Value::Regex { pattern, options } => {
                Ok(Predicate::field(path, parse_regex(pattern, options)?).not())
            }
            Value::Document(condition) if condition.is_empty() => {
                Err(Error::bad_value("$not takes operators; its document is empty"))
            }
            Value::Document(condition) => {
                let mut parts = Vec::new();
                self.condition(path, condition, &mut parts)?;
                Ok(Predicate::And(parts).not())
            }
            argument => Err(Error::bad_value(format!(
                "$not takes a regular expression or a document of operators, not {}",
                argument.type_name()
            ))),
        }
    }

    fn all(self, path: &str, argument: Value<'_>) -> Result<Predicate> {
        let list = needs_array("$all", argument)?;
        let Some(first) = list.iter().next() else { return Ok(Predicate::Always(false)) };
        let part = |item| {
            if is_elem_match(first) {
                self.all_elem_match(path, item)
            } else {
                all_value(path, item)
            }
        };
        Ok(Predicate::And(list.iter().map(part).collect::<Result<_>>()?))
    }

    fn all_elem_match(self, path: &str, item: Value<'_>) -> Result<Predicate> {
        let first = item.as_document().and_then(Document::first);
        let Some(("$elemMatch", argument)) = first else { return Err(inconsistent_all()) };
        Ok(Predicate::field(path, self.deeper()?.elem_match(argument)?))
    }

    fn elem_match(self, argument: Value<'_>) -> Result<Test> {
        let Value::Document(condition) = argument else {
            return Err(Error::bad_value(format!(
                "$elemMatch takes a document, not {}",
                argument.type_name()
            )));
        };
        let inner = Self { in_elem_match: true, ..self };
        let of_operators = has_operators(condition, DbRefs::Partial)
            && condition.first().is_some_and(|(name, _)| !PATHLESS.contains(&name));
        if of_operators {
            let mut tests = Vec::new();
            inner.condition("", condition, &mut tests)?;
            return Ok(Test::ElementValue(tests));
        }
        let predicate = optimize(inner.filter(condition)?);
        Ok(Test::ElementObject(Box::new(ObjectPredicate::new(predicate))))
    }
}

/// The operators that name no path: with one of them in front, the argument of `$elemMatch` is a filter.
const PATHLESS: [&str; 14] = [
    "$and",
    "$or",
    "$nor",
    "$expr",
    "$where",
    "$text",
    "$comment",
    "$jsonSchema",
    "$alwaysTrue",
    "$alwaysFalse",
    "$sampleRate",
    "$ref",
    "$id",
    "$db",
];

/// What makes a document a `DBRef`, which is a value though its fields begin with `$`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DbRefs {
    /// `$ref` and `$id`.
    Complete,
    /// `$ref`, `$id` or `$db`.
    Partial,
}

/// Whether a document is made of operators.
fn has_operators(document: Document<'_>, db_refs: DbRefs) -> bool {
    let Some((first, _)) = document.first() else { return false };
    if !first.starts_with('$') {
        return false;
    }
    let has = |name| !document.get(name).is_missing();
    !match db_refs {
        DbRefs::Complete => has("$ref") && has("$id"),
        DbRefs::Partial => has("$ref") || has("$id") || has("$db"),
    }
}

pub(super) fn compare(path: &str, comparison: Comparison, operand: Value<'_>) -> Result<Predicate> {
    match operand {
        Value::Regex { .. } if comparison != Comparison::Equal => Err(Error::bad_value(format!(
            "'{path}' cannot be less or greater than a regular expression"
        ))),
        Value::Undefined => {
            Err(Error::bad_value(format!("'{path}' cannot be compared with undefined")))
        }
        operand => Ok(Predicate::field(path, Test::Compare(comparison, operand.into()))),
    }
}

fn parse_ne(path: &str, operand: Value<'_>) -> Result<Predicate> {
    if let Value::Regex { .. } = operand {
        return Err(Error::bad_value(
            "$ne takes no regular expression; {$not: /.../} asks what does not match",
        ));
    }
    Ok(compare(path, Comparison::Equal, operand)?.not())
}

fn needs_array<'a>(operator: &str, argument: Value<'a>) -> Result<Array<'a>> {
    argument.as_array().ok_or_else(|| {
        Error::bad_value(format!("{operator} takes an array, not {}", argument.type_name()))
    })
}

fn parse_in(operator: &str, argument: Value<'_>) -> Result<Test> {
    let mut values = Vec::new();
    let mut regexes = Vec::new();
    for item in needs_array(operator, argument)? {
        match item {
            Value::Document(document) if has_operators(document, DbRefs::Complete) => {
                return Err(Error::bad_value(format!("{operator} lists values, no operators")));
            }
            Value::Undefined => {
                return Err(Error::bad_value(format!("{operator} must not list undefined")));
            }
            Value::Regex { pattern, options } => regexes.push(new_regex(pattern, options)?),
            item => values.push(OwnedValue::from(item)),
        }
    }
    Ok(Test::In(InList::new(values, regexes)))
}

fn is_elem_match(item: Value<'_>) -> bool {
    matches!(item.as_document().and_then(Document::first), Some(("$elemMatch", _)))
}

fn inconsistent_all() -> Error {
    Error::bad_value("$all lists either values or $elemMatch, not both")
}

fn all_value(path: &str, item: Value<'_>) -> Result<Predicate> {
    match item {
        Value::Regex { pattern, options } => {
            Ok(Predicate::field(path, parse_regex(pattern, options)?))
        }
        Value::Document(document)
            if document.first().is_some_and(|(name, _)| is_path_operator(name)) =>
        {
            Err(if is_elem_match(item) {
                inconsistent_all()
            } else {
                Error::bad_value("$all lists values, no operators")
            })
        }
        item => compare(path, Comparison::Equal, item),
    }
}

/// Whether `name` is an operator that belongs to a path.
fn is_path_operator(name: &str) -> bool {
    PATH_OPERATORS.contains(&name)
}

const PATH_OPERATORS: [&str; 26] = [
    "$eq",
    "$lt",
    "$lte",
    "$gt",
    "$gte",
    "$ne",
    "$in",
    "$nin",
    "$all",
    "$size",
    "$exists",
    "$type",
    "$mod",
    "$regex",
    "$options",
    "$elemMatch",
    "$bitsAllSet",
    "$bitsAllClear",
    "$bitsAnySet",
    "$bitsAnyClear",
    "$near",
    "$nearSphere",
    "$geoNear",
    "$geoWithin",
    "$within",
    "$geoIntersects",
];
