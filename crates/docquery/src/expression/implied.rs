//! What the truth of an expression says of single fields: an index may serve that.

use super::Expression;
use super::field_path::FieldPath;
use super::node::Node;
use super::variable::Variable;
use crate::Value;
use crate::filter::Comparison;

/// What holds for every document for which an expression is true. Of what an expression asks it is only a part.
#[derive(Clone, Debug)]
pub enum Implied<'e> {
    /// The value at a path, as an expression sees it, compares in this way with another in the order of all types. The
    /// other is no array, and not missing.
    Compares {
        /// The dotted path.
        path: String,
        /// How it compares.
        comparison: Comparison,
        /// With what.
        value: Value<'e>,
    },
    /// All of these.
    All(Vec<Self>),
    /// At least one of these.
    Any(Vec<Self>),
}

impl Expression {
    /// What follows where it is true: of comparisons of a field with a constant, also in `$and` and `$or`, as MongoDB's planner
    /// reads it. `None` if nothing does.
    pub fn implied(&self) -> Option<Implied<'_>> {
        implied(&self.0)
    }
}

fn implied(node: &Node) -> Option<Implied<'_>> {
    let Node::Call { name, arguments, .. } = node else { return None };
    let arguments = || arguments.iter().flatten();
    match *name {
        "$and" => {
            let parts: Vec<_> = arguments().filter_map(implied).collect();
            (!parts.is_empty()).then_some(Implied::All(parts))
        }
        "$or" => Some(Implied::Any(arguments().map(implied).collect::<Option<_>>()?)),
        name => {
            let (left, right) = (arguments().next()?, arguments().nth(1)?);
            let comparison = comparison(name)?;
            compares(left, comparison, right).or_else(|| compares(right, comparison.turned(), left))
        }
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        "$eq" => Comparison::Equal,
        "$lt" => Comparison::Less,
        "$lte" => Comparison::LessOrEqual,
        "$gt" => Comparison::Greater,
        "$gte" => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn compares<'e>(
    field: &'e Node,
    comparison: Comparison,
    constant: &'e Node,
) -> Option<Implied<'e>> {
    let Node::Path(path @ FieldPath { variable: Variable::Root, .. }) = field else { return None };
    let path = path.dotted()?;
    match constant.constant()? {
        Value::Missing | Value::Undefined | Value::Array(_) => None,
        value => Some(Implied::Compares { path, comparison, value }),
    }
}

#[cfg(test)]
mod tests {
    use bson::{Bson, bson, doc};

    use super::*;
    use crate::expression::Scope;
    use crate::{Document, Environment};

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "it is written where it is passed")]
    fn check(expression: Bson, expected: Option<&str>) {
        let mut environment = Environment::new(0);
        environment.define("x", Value::Int32(7));
        environment.define("none", Value::Missing);
        let written = bson::RawDocumentBuf::try_from(&doc! { "e": expression.clone() }).unwrap();
        let value = Document::from(&*written).get("e");
        let parsed = Expression::parse(value, &Scope::new(&environment)).unwrap();
        let shown = parsed.implied().map(|implied| show(&implied));
        assert_eq!(shown.as_deref(), expected, "{expression}");
    }

    fn show(implied: &Implied<'_>) -> String {
        let all = |parts: &[Implied<'_>]| parts.iter().map(show).collect::<Vec<_>>();
        match implied {
            Implied::Compares { path, comparison, value } => {
                format!("{path} {comparison:?} {value:?}")
            }
            Implied::All(parts) => format!("({})", all(parts).join(" and ")),
            Implied::Any(parts) => format!("({})", all(parts).join(" or ")),
        }
    }

    #[test]
    fn comparisons_with_constants_and_variables_tell_of_a_field() {
        check(bson!({"$eq": ["$a.b", "$$x"]}), Some("a.b Equal Int32(7)"));
        check(bson!({"$gt": [{"$add": [1, "$$x"]}, "$$ROOT.a"]}), Some("a Less Int32(8)"));
        check(bson!({"$gte": ["$a", null]}), Some("a GreaterOrEqual Null"));
        check(
            bson!({"$and": [{"$lte": ["$a", 3]}, {"$ne": ["$a", 1]}, {"$lt": [2, "$b"]}]}),
            Some("(a LessOrEqual Int32(3) and b Greater Int32(2))"),
        );
        check(
            bson!({"$or": [{"$eq": ["$a", 3]}, {"$and": [{"$eq": ["$b", 1]}, "$c"]}]}),
            Some("(a Equal Int32(3) or (b Equal Int32(1)))"),
        );
    }

    #[test]
    fn nothing_follows_from_others() {
        for expression in [
            bson!({"$eq": ["$a", "$b"]}),
            bson!({"$eq": ["$a", [1]]}),
            bson!({"$eq": ["$a", "$$none"]}),
            bson!({"$eq": ["$$ROOT", 1]}),
            bson!({"$ne": ["$a", 1]}),
            bson!({"$not": [{"$eq": ["$a", 1]}]}),
            bson!({"$or": [{"$eq": ["$a", 3]}, "$c"]}),
            bson!({"$and": ["$a", "$b"]}),
            bson!("$a"),
        ] {
            check(expression, None);
        }
    }
}
