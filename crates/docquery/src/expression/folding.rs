//! What folding does with the constants among other arguments.
//!
//! The server computes them together before it looks at a document, and puts them behind the others where it may. It
//! shows: in errors that come early, in errors that do not come because another argument is null, and in which of
//! several equal values is given.

use super::evaluate_alone;
use super::node::Node;
use crate::Result;

/// What the order and the grouping of an operator's arguments mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// Both count.
    None,
    /// Constants that stand side by side may be taken together.
    Associative,
    /// All constants may be taken together, behind the others.
    Commutative,
}

/// Folds the constants of an operator that has other arguments too. Its arguments are folded already.
pub(super) fn fold_by_law(call: &mut Node) -> Result<()> {
    let Node::Call { name, law, evaluate, arguments } = call else {
        return Ok(());
    };
    if *law == Law::None {
        return Ok(());
    }
    // What is left to look at, the next one last.
    let mut rest: Vec<Node> = std::mem::take(arguments).into_iter().rev().flatten().collect();
    let (mut folded, mut constants) = (Vec::new(), Vec::new());
    let together = |constants: Vec<Node>| -> Result<Vec<Node>> {
        if constants.len() < 2 {
            return Ok(constants);
        }
        let arguments = constants.into_iter().map(Some).collect();
        let call = Node::Call { name: *name, law: *law, evaluate: *evaluate, arguments };
        Ok(vec![evaluate_alone(&call)?])
    };
    while let Some(argument) = rest.pop() {
        match argument {
            Node::Constant(_) => constants.push(argument),
            // The same operator inside: its arguments are as good as those around it. A single one may be an array that is
            // taken for its items.
            Node::Call { name: inner, arguments, .. } if inner == *name && arguments.len() > 1 => {
                rest.extend(arguments.into_iter().rev().flatten());
            }
            argument => {
                if *law == Law::Associative {
                    folded.append(&mut together(std::mem::take(&mut constants))?);
                }
                folded.push(argument);
            }
        }
    }
    folded.append(&mut together(constants)?);
    *arguments = folded.into_iter().map(Some).collect();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, check_error};
    use bson::bson;

    #[test]
    fn constants_are_computed_before_any_document() {
        check_error(bson!({"$concat": ["$missing", 1, 2]}), 16702);
        check(bson!({"$concat": ["$missing", 1]}), bson!(null));
        check_error(bson!({"$concat": ["$missing", {"$concat": ["$missing", 1]}, 2]}), 16702);
        check_error(bson!({"$concatArrays": ["$missing", [1], 2]}), 28664);
    }

    #[test]
    fn constants_of_commutative_operators_come_last() {
        check(bson!({"$setUnion": [1, "$missing"]}), bson!(null));
        check_error(bson!({"$setUnion": [[1], "$missing", 1]}), 17043);
        check(bson!({"$max": [1.0, {"$add": ["$$ROOT.missing", 1]}]}), 1.0);
        check(bson!({"$sum": [1, {"$sum": ["$missing", 2]}]}), 3);
        check(bson!({"$sum": [1, {"$sum": ["$missing"]}]}), 1);
    }
}
