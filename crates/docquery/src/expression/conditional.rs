//! `$cond`, `$ifNull`, `$switch`: what is not chosen is not evaluated.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Key, NamedErrors, Operator, Table};
use super::scope::Scope;
use crate::{Array, Error, Result, Value};

pub(super) const OPERATORS: Table = &[
    ("$cond", Operator::Parsed(Cond::parse)),
    ("$ifNull", Operator::Parsed(IfNull::parse)),
    ("$switch", Operator::Parsed(Switch::parse)),
];

/// `{$cond: [condition, then, otherwise]}`, or with names.
#[derive(Debug)]
struct Cond {
    condition: Node,
    then: Node,
    otherwise: Node,
}

impl Cond {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let list = match call.arguments {
            Value::Document(_) => {
                call.named(&COND_KEYS, COND_ERRORS, scope)?.into_iter().flatten().collect()
            }
            _ => call.list(scope)?,
        };
        let [condition, then, otherwise] = <[Node; 3]>::try_from(list)
            .map_err(|list| call.wrong_count("exactly 3", list.len(), 16020))?;
        Ok(Node::special(Self { condition, then, otherwise }))
    }
}

const COND_KEYS: [Key; 3] =
    [Key::required("if", 17080), Key::required("then", 17081), Key::required("else", 17082)];
const COND_ERRORS: NamedErrors = NamedErrors { not_an_object: 17083, unknown_key: 17083 };

impl Special for Cond {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let chosen = self.condition.evaluate(context)?.is_truthy();
        if chosen { self.then.evaluate(context) } else { self.otherwise.evaluate(context) }
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.condition.fold()?;
        self.then.fold()?;
        self.otherwise.fold()?;
        let Some(condition) = self.condition.constant() else { return Ok(None) };
        let chosen = if condition.is_truthy() { &mut self.then } else { &mut self.otherwise };
        Ok(Some(chosen.take()))
    }
}

/// `{$ifNull: [value, ..., replacement]}`: the first that is a value, or the last.
#[derive(Debug)]
struct IfNull {
    operands: Vec<Node>,
}

impl IfNull {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let operands = call.list(scope)?;
        if operands.len() < 2 {
            return Err(call.wrong_count("at least 2", operands.len(), 1_257_300));
        }
        Ok(Node::special(Self { operands }))
    }
}

impl Special for IfNull {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        let mut value = Value::Missing;
        for operand in &self.operands {
            value = operand.evaluate(context)?;
            if !value.is_nullish() {
                break;
            }
        }
        Ok(value)
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        self.operands.iter_mut().try_for_each(Node::fold)?;
        // What comes before the last and is never a value does not count.
        let last = self.operands.len() - 1;
        let mut place = 0;
        self.operands.retain(|node| {
            place += 1;
            place > last || !node.constant().is_some_and(|value| value.is_nullish())
        });
        // The first that is always a value is where it ends.
        Ok(self.operands[0].constant().is_some().then(|| self.operands[0].take()))
    }
}

/// `{$switch: {branches: [{case: condition, then: value}, ...], default: value}}`
#[derive(Debug)]
struct Switch {
    branches: Vec<Branch>,
    default: Option<Node>,
}

#[derive(Debug)]
struct Branch {
    case: Node,
    then: Node,
}

impl Switch {
    fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
        let (mut branches, mut default) = (Vec::new(), None);
        for (name, value) in call.object(40060)? {
            match name {
                "branches" => {
                    for branch in branch_list(value)? {
                        branches.push(Branch::parse(branch, scope)?);
                    }
                }
                "default" => default = Some(Node::parse(value, scope)?),
                _ => {
                    return Err(Error::location(
                        40067,
                        format!("$switch has no argument '{name}'; it takes branches, default"),
                    ));
                }
            }
        }
        if branches.is_empty() {
            return Err(Error::location(40068, "$switch needs at least one branch"));
        }
        Ok(Node::special(Self { branches, default }))
    }
}

impl Branch {
    fn parse(branch: Value<'_>, scope: &Scope<'_>) -> Result<Self> {
        let call = Call { name: "a branch of $switch", arguments: branch };
        let [case, then] = call.raw_keys(
            [Key::required("case", 40064), Key::required("then", 40065)],
            NamedErrors { not_an_object: 40062, unknown_key: 40063 },
        )?;
        Ok(Self { case: Node::parse(case, scope)?, then: Node::parse(then, scope)? })
    }
}

fn branch_list(branches: Value<'_>) -> Result<Array<'_>> {
    branches.as_array().ok_or_else(|| {
        Error::location(
            40061,
            format!("'branches' of $switch is an array, not {}", branches.type_name()),
        )
    })
}

impl Special for Switch {
    fn evaluate<'a>(&'a self, context: Context<'_, 'a>) -> Result<Value<'a>> {
        for branch in &self.branches {
            if branch.case.evaluate(context)?.is_truthy() {
                return branch.then.evaluate(context);
            }
        }
        match &self.default {
            Some(default) => default.evaluate(context),
            None => Err(Error::location(
                40066,
                "no branch of $switch matches its input, and there is no 'default'",
            )),
        }
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        if let Some(default) = &mut self.default {
            default.fold()?;
        }
        // Branches that never match go; one that always matches is the default, and ends the list.
        let mut kept = Vec::new();
        for mut branch in std::mem::take(&mut self.branches) {
            branch.case.fold()?;
            match branch.case.constant().map(|case| case.is_truthy()) {
                Some(false) => {}
                Some(true) => {
                    branch.then.fold()?;
                    self.default = Some(branch.then);
                    break;
                }
                None => {
                    branch.then.fold()?;
                    kept.push(branch);
                }
            }
        }
        self.branches = kept;
        if !self.branches.is_empty() {
            return Ok(None);
        }
        match self.default.take() {
            Some(default) => Ok(Some(default)),
            None => Err(Error::location(
                40069,
                "no case of this $switch can ever be true, and there is no 'default'",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson, doc};

    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn one_of_two() {
        check(bson!({"$cond": [1, "a", "b"]}), "a");
        check(bson!({"$cond": {"else": "b", "if": null, "then": "a"}}), "b");
        let document = doc! {"zero": 0};
        let fails = bson!({"$divide": [1, "$zero"]});
        check_on(&document, bson!({"$cond": ["$zero", fails, "b"]}), "b");
        check_error(bson!({"$cond": [1, 2]}), 16020);
        check_error(bson!({"$cond": 1}), 16020);
        check_error(bson!({"$cond": {"then": 1, "else": 1}}), 17080);
        check_error(bson!({"$cond": {"if": 1, "else": 1}}), 17081);
        check_error(bson!({"$cond": {"if": 1, "then": 1}}), 17082);
        check_error(bson!({"$cond": {"if": 1, "then": 1, "other": 1}}), 17083);
    }

    #[test]
    fn the_first_that_is_a_value() {
        check(bson!({"$ifNull": [null, 1, 2]}), 1);
        check(bson!({"$ifNull": [null, Bson::Undefined, "$nope"]}), bson!(null));
        let document = doc! {"a": null, "b": 0, "zero": 0};
        check_on(&document, bson!({"$ifNull": ["$a", "$nope", "$b"]}), 0);
        check_on(&document, bson!({"$ifNull": ["$b", {"$divide": [1, "$zero"]}]}), 0);
        check_error(bson!({"$ifNull": [1]}), 1_257_300);
        check_error(bson!({"$ifNull": null}), 1_257_300);
    }

    #[test]
    fn one_of_many() {
        let branches = bson!([{"case": "$a", "then": 1}, {"case": "$b", "then": 2}]);
        let switch = bson!({"$switch": {"branches": branches.clone(), "default": 3}});
        check_on(&doc! {"a": 1, "b": 1}, switch.clone(), 1);
        check_on(&doc! {"b": 1}, switch.clone(), 2);
        check_on(&doc! {}, switch, 3);
        check_error(bson!({"$switch": {"branches": branches}}), 40066);
        check(bson!({"$switch": {"branches": [{"case": true, "then": 5}]}}), 5);
        check_error(bson!({"$switch": {"branches": [{"case": false, "then": 5}]}}), 40069);
    }

    #[test]
    fn a_switch_is_written_right() {
        check_error(bson!({"$switch": 1}), 40060);
        check_error(bson!({"$switch": {"branches": 1}}), 40061);
        check_error(bson!({"$switch": {"branches": [1]}}), 40062);
        check_error(bson!({"$switch": {"branches": [{"other": 1}]}}), 40063);
        check_error(bson!({"$switch": {"branches": [{"then": 1}]}}), 40064);
        check_error(bson!({"$switch": {"branches": [{"case": 1}]}}), 40065);
        check_error(bson!({"$switch": {"other": 1}}), 40067);
        check_error(bson!({"$switch": {"branches": []}}), 40068);
    }
}
