//! Operators: what they are called, and what arguments they take.

use super::arguments::Arguments;
use super::fold::Regrouping;
use super::node::Node;
use super::scope::Scope;
use super::{
    arithmetic, arrays, boolean, comparison, conditional, conversion, date, fields, first_n,
    iteration, metadata, objects, powers, random, regex_search, rounding, sets, sizes, slices,
    sort_array, statistics, strings, substrings, trigonometry, trim, types, variables,
};
use crate::{Document, Error, Result, Value};

/// A table of operators, by name.
pub(crate) type Table = &'static [(&'static str, Operator)];

/// All tables: one for each file of operators.
const TABLES: &[Table] = &[
    arithmetic::OPERATORS,
    arrays::OPERATORS,
    boolean::OPERATORS,
    comparison::OPERATORS,
    conditional::OPERATORS,
    conversion::OPERATORS,
    fields::OPERATORS,
    first_n::OPERATORS,
    iteration::OPERATORS,
    metadata::OPERATORS,
    objects::OPERATORS,
    powers::OPERATORS,
    random::OPERATORS,
    regex_search::OPERATORS,
    rounding::OPERATORS,
    sets::OPERATORS,
    sizes::OPERATORS,
    slices::OPERATORS,
    sort_array::OPERATORS,
    statistics::OPERATORS,
    strings::OPERATORS,
    substrings::OPERATORS,
    trigonometry::OPERATORS,
    trim::OPERATORS,
    types::OPERATORS,
    variables::OPERATORS,
];

/// Computes the value of an operator from its arguments.
pub(crate) type Evaluate = for<'s, 'a> fn(Arguments<'s, 'a>) -> Result<Value<'a>>;

/// How an operator is parsed and evaluated.
#[derive(Clone, Copy)]
pub(crate) enum Operator {
    /// `{$op: [a, b]}`, or `{$op: a}`
    Listed { arity: Arity, evaluate: Evaluate, regrouping: Regrouping },
    /// `{$op: {key: a, other: b}}`; the arguments come in the order of `keys`, whatever order they are written in.
    Named { keys: &'static [Key], errors: NamedErrors, evaluate: Evaluate },
    /// One that parses its arguments itself: what it gives is a [`Node::Special`] or any other node.
    Parsed(fn(Call<'_>, &Scope<'_>) -> Result<Node>),
}

/// How many arguments an operator takes.
#[derive(Clone, Copy)]
pub(crate) enum Arity {
    Exactly(usize),
    Between(usize, usize),
    Any,
}

/// A named argument.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// The code of the error if it is not given.
    pub(crate) missing: Option<i32>,
}

/// The codes of the errors of named arguments.
#[derive(Clone, Copy)]
pub(crate) struct NamedErrors {
    pub(crate) not_an_object: i32,
    pub(crate) unknown_key: i32,
}

/// An operator as it is written.
#[derive(Clone, Copy)]
pub(crate) struct Call<'v> {
    /// The operator's name, with the dollar sign.
    pub(crate) name: &'static str,
    /// What stands behind it.
    pub(crate) arguments: Value<'v>,
}

/// The operator called `name`, dollar sign included.
pub(super) fn named(name: &str) -> Option<(&'static str, Operator)> {
    let tables = TABLES.iter().chain(&date::OPERATORS);
    let mut all = tables.flat_map(|table| table.iter());
    all.find(|(known, _)| *known == name).copied()
}

/// An operator that takes a list of arguments.
pub(crate) const fn listed(arity: Arity, evaluate: Evaluate) -> Operator {
    Operator::Listed { arity, evaluate, regrouping: Regrouping::Never }
}

/// An operator that takes any number of operands, which may be grouped otherwise.
pub(crate) const fn regrouped(regrouping: Regrouping, evaluate: Evaluate) -> Operator {
    Operator::Listed { arity: Arity::Any, evaluate, regrouping }
}

impl Key {
    /// An argument that must be given.
    pub(crate) const fn required(name: &'static str, missing: i32) -> Self {
        Self { name, missing: Some(missing) }
    }

    /// An argument that may be left out.
    pub(crate) const fn optional(name: &'static str) -> Self {
        Self { name, missing: None }
    }
}

impl Operator {
    pub(super) fn parse(
        self,
        name: &'static str,
        arguments: Value<'_>,
        scope: &Scope<'_>,
    ) -> Result<Node> {
        let call = Call { name, arguments };
        match self {
            Self::Listed { arity, evaluate, regrouping } => {
                let arguments = call.list(scope)?;
                arity.check(call, arguments.len())?;
                let arguments = arguments.into_iter().map(Some).collect();
                Ok(Node::Call { name, evaluate, arguments, regrouping })
            }
            Self::Named { keys, errors, evaluate } => {
                let arguments = call.named(keys, errors, scope)?;
                Ok(call.node(evaluate, arguments))
            }
            Self::Parsed(parse) => parse(call, scope),
        }
    }
}

impl<'v> Call<'v> {
    /// The arguments as expressions: the items of an array, or the one that stands there without one.
    pub(crate) fn list(&self, scope: &Scope<'_>) -> Result<Vec<Node>> {
        match self.arguments {
            Value::Array(array) => {
                let scope = scope.deeper()?;
                array.iter().map(|item| Node::parse(item, &scope)).collect()
            }
            single => Ok(vec![Node::parse(single, scope)?]),
        }
    }

    /// The object with named arguments.
    ///
    /// # Errors
    ///
    /// It is none: with the code `otherwise`.
    pub(crate) fn object(&self, otherwise: i32) -> Result<Document<'v>> {
        self.arguments.as_document().ok_or_else(|| {
            Error::location(
                otherwise,
                format!(
                    "{} takes an object with named arguments, not {}",
                    self.name,
                    self.arguments.type_name()
                ),
            )
        })
    }

    /// The named arguments as they are written, in the order of `keys`: each with the code of the error if it is not
    /// given. Of one that is given twice, the last counts; one that is not given is `Missing`.
    pub(crate) fn raw_keys<const N: usize>(
        &self,
        keys: [Key; N],
        errors: NamedErrors,
    ) -> Result<[Value<'v>; N]> {
        let mut values = [Value::Missing; N];
        for (name, value) in self.object(errors.not_an_object)? {
            let Some(place) = keys.iter().position(|key| key.name == name) else {
                return Err(self.unknown_key(name, &keys, errors.unknown_key));
            };
            values[place] = value;
        }
        self.check_given(&keys, values.iter().map(|value| !value.is_missing()))?;
        Ok(values)
    }

    /// The named arguments as expressions, in the order of `keys`. Of one that is given twice, the last counts.
    pub(crate) fn named(
        &self,
        keys: &[Key],
        errors: NamedErrors,
        scope: &Scope<'_>,
    ) -> Result<Vec<Option<Node>>> {
        let mut nodes: Vec<_> = keys.iter().map(|_| None).collect();
        for (name, value) in self.object(errors.not_an_object)? {
            let Some(place) = keys.iter().position(|key| key.name == name) else {
                return Err(self.unknown_key(name, keys, errors.unknown_key));
            };
            nodes[place] = Some(Node::parse(value, scope)?);
        }
        self.check_given(keys, nodes.iter().map(Option::is_some))?;
        Ok(nodes)
    }

    fn check_given(&self, keys: &[Key], given: impl Iterator<Item = bool>) -> Result<()> {
        for (key, given) in keys.iter().zip(given) {
            if let (Some(code), false) = (key.missing, given) {
                return Err(self.missing_key(key.name, code));
            }
        }
        Ok(())
    }

    /// The node that evaluates the operator on `arguments`.
    pub(crate) fn node(
        &self,
        evaluate: Evaluate,
        arguments: impl IntoIterator<Item = Option<Node>>,
    ) -> Node {
        let arguments = arguments.into_iter().collect();
        Node::Call { name: self.name, evaluate, arguments, regrouping: Regrouping::Never }
    }

    /// The error for an argument that must be given and is not.
    pub(crate) fn missing_key(&self, key: &str, code: i32) -> Error {
        Error::location(code, format!("{} needs the argument '{key}'", self.name))
    }

    /// The error for an argument that the operator does not know.
    pub(crate) fn unknown_key(&self, unknown: &str, keys: &[Key], code: i32) -> Error {
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        Error::location(
            code,
            format!("{} has no argument '{unknown}'; it takes {}", self.name, names.join(", ")),
        )
    }

    /// The error for a list of `count` arguments, where the operator takes `wanted`.
    pub(crate) fn wrong_count(&self, wanted: &str, count: usize, code: i32) -> Error {
        Error::location(
            code,
            format!("{} takes {wanted} arguments; {count} were passed in", self.name),
        )
    }
}

impl Arity {
    fn check(self, call: Call<'_>, count: usize) -> Result<()> {
        match self {
            Self::Exactly(wanted) if wanted != count => {
                Err(call.wrong_count(&format!("exactly {wanted}"), count, 16020))
            }
            Self::Between(least, most) if !(least..=most).contains(&count) => {
                Err(call.wrong_count(&format!("{least} to {most}"), count, 28667))
            }
            Self::Exactly(_) | Self::Between(..) | Self::Any => Ok(()),
        }
    }
}
