//! `$rand`.

use super::context::Context;
use super::node::{Node, Special};
use super::operator::{Call, Operator, Table};
use super::scope::Scope;
use crate::{Error, Random, Result, Value};

pub(super) const OPERATORS: Table = &[("$rand", Operator::Parsed(parse))];

/// `$rand`, with the numbers that the environment gives.
#[derive(Debug)]
struct Rand(Random);

fn parse(call: Call<'_>, scope: &Scope<'_>) -> Result<Node> {
    let is_empty = match call.arguments {
        Value::Document(arguments) => arguments.is_empty(),
        Value::Array(arguments) => arguments.is_empty(),
        other => {
            let message = format!("$rand takes an empty object, not {}", other.type_name());
            return Err(Error::location(10065, message));
        }
    };
    if !is_empty {
        return Err(Error::location(3_040_501, "$rand takes no arguments"));
    }
    Ok(Node::special(Rand(scope.environment().random())))
}

impl Special for Rand {
    fn evaluate<'a>(&'a self, _: Context<'_, 'a>) -> Result<Value<'a>> {
        Ok(Value::Double(self.0.next_share()))
    }

    fn fold(&mut self) -> Result<Option<Node>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use bson::{bson, rawdoc};

    use super::super::testing::{check, check_error};
    use super::*;
    use crate::{Arena, Document, Environment, Expression};

    #[test]
    fn each_has_numbers_of_its_own() {
        let environment = Environment::new(0).with_random(&Random::new(7));
        let spec = rawdoc! {"e": {"$eq": [{"$rand": {}}, {"$rand": []}]}};
        let spec = Document::from(&*spec).get("e");
        let expression = Expression::parse(spec, &Scope::new(&environment)).unwrap();
        let arena = Arena::new();
        let equal = expression.evaluate(Context::new(&arena, Value::Missing)).unwrap();
        assert_eq!(equal.as_bool(), Some(false));
    }

    #[test]
    fn it_is_a_share_of_one() {
        let share = bson!({"$let": {"vars": {"r": {"$rand": {}}}, "in": {"$and": [{"$gte": ["$$r", 0]}, {"$lt": ["$$r", 1]}]}}});
        check(share, true);
        check_error(bson!({"$rand": [1]}), 3_040_501);
        check_error(bson!({"$rand": {"a": 1}}), 3_040_501);
        check_error(bson!({"$rand": 1}), 10065);
    }
}
