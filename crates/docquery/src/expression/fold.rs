//! Folding: what depends on no document is computed once, when everything is parsed.
//!
//! The server's optimizer does the same, and some of what it does can be seen: a constant part that fails does so even where no
//! document comes to it, and operands that may be grouped in any way are, so that others decide, or fail, first.

use super::context::Context;
use super::node::Node;
use super::variable::Variable;
use crate::{Arena, Document, Result, Value};

/// Whether an operator gives the same for operands that are grouped otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Regrouping {
    /// It does not, or nobody makes use of it.
    Never,
    /// For neighbours: what two or more constants beside each other make is computed, and the operands of an operand with the same
    /// operator stand for it. A single operand, which may be a list of them, is left as it is.
    Neighbours,
    /// For any: constants come behind the others, and what they make together is computed.
    Any,
    /// For any, and one with this truth decides: at the end it does so before the others are evaluated.
    Deciding(bool),
}

impl Node {
    /// Folds it and what is inside, from the inside out.
    pub(crate) fn fold(&mut self) -> Result<()> {
        let folded = match self {
            Self::Constant(_) => None,
            Self::Path(path) => match path.variable {
                Variable::Constant(_) => Some(self.evaluate_alone()?),
                Variable::Root | Variable::Bound(_) => None,
            },
            Self::Document(fields) => {
                fields.iter_mut().try_for_each(|(_, node)| node.fold())?;
                let constant = fields.iter().all(|(_, node)| node.constant().is_some());
                if constant { Some(self.evaluate_alone()?) } else { None }
            }
            Self::Array(items) => {
                items.iter_mut().try_for_each(Self::fold)?;
                let constant = items.iter().all(|node| node.constant().is_some());
                if constant { Some(self.evaluate_alone()?) } else { None }
            }
            Self::Call { .. } => self.fold_call()?,
            Self::Special(special) => special.fold()?,
        };
        if let Some(folded) = folded {
            *self = folded;
        }
        Ok(())
    }

    fn fold_call(&mut self) -> Result<Option<Self>> {
        let Self::Call { arguments, regrouping, .. } = self else { return Ok(None) };
        arguments.iter_mut().flatten().try_for_each(Self::fold)?;
        if arguments.iter().flatten().all(|node| node.constant().is_some()) {
            return Ok(Some(self.evaluate_alone()?));
        }
        if *regrouping != Regrouping::Never && arguments.len() > 1 {
            self.regroup()?;
        }
        Ok(self.decided())
    }

    /// Groups the operands.
    fn regroup(&mut self) -> Result<()> {
        let Self::Call { name, evaluate, arguments, regrouping } = self else { return Ok(()) };
        let mut rest: Vec<_> = std::mem::take(arguments).into_iter().flatten().rev().collect();
        let (mut grouped, mut constants) = (Vec::new(), Vec::new());
        let together = |constants: &mut Vec<Self>| {
            let arguments = constants.drain(..).map(Some).collect();
            let (name, evaluate, regrouping) = (*name, *evaluate, *regrouping);
            Self::Call { name, evaluate, arguments, regrouping }.evaluate_alone()
        };
        while let Some(operand) = rest.pop() {
            match operand {
                Self::Constant(_) => constants.push(operand),
                Self::Call { name: inner, arguments, .. }
                    if inner == *name && arguments.len() > 1 =>
                {
                    rest.extend(arguments.into_iter().flatten().rev());
                }
                operand => {
                    if *regrouping == Regrouping::Neighbours {
                        match constants.len() {
                            0 | 1 => grouped.append(&mut constants),
                            _ => grouped.push(together(&mut constants)?),
                        }
                    }
                    grouped.push(operand);
                }
            }
        }
        match constants.len() {
            0 | 1 => grouped.append(&mut constants),
            _ => grouped.push(together(&mut constants)?),
        }
        *arguments = grouped.into_iter().map(Some).collect();
        Ok(())
    }

    /// The constant that a constant at the end decides for. One that does not decide is taken away.
    fn decided(&mut self) -> Option<Self> {
        let Self::Call { arguments, regrouping: Regrouping::Deciding(deciding), .. } = self else {
            return None;
        };
        let last = arguments.last()?.as_ref()?.constant()?.is_truthy();
        if last == *deciding {
            return Some(Self::constant_of(Value::Bool(last)));
        }
        let mut others = std::mem::take(arguments).into_vec();
        others.pop();
        *arguments = others.into();
        None
    }

    /// Its value where it depends on nothing.
    fn evaluate_alone(&self) -> Result<Self> {
        let arena = Arena::new();
        let value = self.evaluate(Context::new(&arena, Value::Document(Document::EMPTY)))?;
        Ok(Self::constant_of(value))
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson, rawdoc};

    use crate::expression::{Context, Scope};
    use crate::{Arena, Document, Environment, Expression, OwnedValue, Value};

    /// Checks what an expression is on `{zero: 0, text: "x"}`: a value, or the code of an error.
    #[track_caller]
    fn check(expression: Bson, expected: Result<Bson, i32>) {
        let environment = Environment::new(0);
        let written = bson::RawDocumentBuf::try_from(&bson::doc! {"e": expression}).unwrap();
        let parsed =
            Expression::parse(Document::from(&*written).get("e"), &Scope::new(&environment));
        let document = rawdoc! {"zero": 0, "text": "x"};
        let arena = Arena::new();
        let value = parsed.as_ref().map_err(Clone::clone).and_then(|expression| {
            expression
                .evaluate(Context::new(&arena, Value::from(&*document)))
                .map(|value| format!("{:?}", OwnedValue::from(value)))
        });
        let expected = expected.map(|value| {
            let value = bson::RawDocumentBuf::try_from(&bson::doc! {"v": value}).unwrap();
            format!("{:?}", Document::from(&*value).get("v"))
        });
        assert_eq!(value.map_err(|error| error.code().value()), expected);
    }

    #[test]
    fn constants_that_fail_do_so_where_they_are_not_needed() {
        let fails = bson!({"$divide": [1, 0]});
        check(bson!({"$cond": [true, 1, fails.clone()]}), Err(2));
        check(bson!({"$map": {"input": [], "in": fails.clone()}}), Err(2));
        check(bson!({"$let": {"vars": {"a": fails.clone()}, "in": 1}}), Err(2));
        check(
            bson!({"$ifNull": [{"$getField": {"field": "a", "input": {"b": 1}}}, 2]}),
            Ok(2.into()),
        );
    }

    #[test]
    fn a_constant_decides_before_others_fail() {
        let fails = bson!({"$divide": [1, "$zero"]});
        check(bson!({"$and": [fails.clone(), false]}), Ok(false.into()));
        check(bson!({"$and": [fails.clone(), false, "$text"]}), Ok(false.into()));
        check(bson!({"$or": [fails.clone(), "$zero", 1]}), Ok(true.into()));
        check(bson!({"$or": [fails.clone(), {"$or": ["$zero", 1]}, "$text"]}), Ok(true.into()));
        check(bson!({"$and": [fails, true]}), Err(2));
        check(bson!({"$and": ["$text", true]}), Ok(true.into()));
        check(bson!({"$and": ["$zero", true]}), Ok(false.into()));
    }

    #[test]
    fn operands_are_grouped() {
        check(bson!({"$setUnion": [{"$literal": "x"}, "$nope"]}), Ok(Bson::Null));
        check(bson!({"$add": ["$nope", "x"]}), Ok(Bson::Null));
        check(bson!({"$add": ["$nope", "x", 1]}), Err(16554));
        check(bson!({"$add": ["x", "$nope", 1]}), Err(16554));
        check(bson!({"$concat": ["$nope", 1]}), Ok(Bson::Null));
        check(bson!({"$concat": ["$nope", {"$concat": ["$nope", 1]}, 2]}), Err(16702));
        check(bson!({"$concatArrays": ["$nope", [1], 2]}), Err(28664));
        check(bson!({"$concat": ["$nope", "a", 1]}), Err(16702));
        check(bson!({"$concat": ["a", "$text", "b", "c"]}), Ok("axbc".into()));
        check(bson!({"$multiply": [2, "$zero", 3, {"$multiply": [4, "$zero"]}]}), Ok(0.into()));
        check(bson!({"$sum": [{"$sum": [[1, 2]]}, "$zero", 4]}), Ok(7.into()));
    }
}
