//! Applying a projection to a document.

use super::tree::{Branch, Node};
use crate::expression::Context;
use crate::{Arena, Document, Expression, Filter, Result, Value};

/// What becomes of the fields that a projection does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They are left out: an inclusion.
    Dropped,
    /// They stay: an exclusion, or `$set`.
    Kept,
}

/// One application of a projection to one document.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Application<'a> {
    /// Where computed values go.
    pub(crate) arena: &'a Arena,
    /// The document as it came.
    pub(crate) root: Document<'a>,
    /// What becomes of the fields that are not named.
    pub(crate) rest: Rest,
}

impl<'a> Application<'a> {
    /// The document that `tree` makes of the root.
    pub(crate) fn run(self, tree: &'a Branch) -> Result<Document<'a>> {
        self.document(tree, self.root)
    }

    /// What `branch` makes of `document`. First fields are kept and left out, which gives those that stay their
    /// order; then values are computed, in the order in which the projection names them.
    fn document(self, branch: &'a Branch, document: Document<'a>) -> Result<Document<'a>> {
        let mut fields: Vec<(&'a str, Value<'a>)> = Vec::new();
        let mut computed: Vec<Option<usize>> =
            vec![None; if branch.computes() { branch.iter().len() } else { 0 }];
        for (name, value) in document.slots() {
            let Some(place) = branch.find(name) else {
                if self.rest == Rest::Kept {
                    fields.push((name, value));
                }
                continue;
            };
            match branch.node(place) {
                Node::Keep => fields.push((name, value)),
                // Its place stays, for a value that a later stage may give it.
                Node::Drop if self.rest == Rest::Kept => fields.push((name, Value::Missing)),
                Node::Branch(inner) if inner.computes() => {
                    computed[place] = Some(fields.len());
                    fields.push((name, value));
                }
                Node::Branch(inner) => fields.push((name, self.value(inner, value)?)),
                Node::Compute(_) | Node::FirstMatch(_) if self.rest == Rest::Kept => {
                    computed[place] = Some(fields.len());
                    fields.push((name, value));
                }
                Node::Drop | Node::Compute(_) | Node::FirstMatch(_) => {}
            }
        }
        if branch.computes() {
            self.compute(branch, &computed, &mut fields)?;
        }
        self.arena.fields(&fields)
    }

    /// Computes values: in place where `computed` says that the field is there, else behind the others.
    fn compute(
        self,
        branch: &'a Branch,
        computed: &[Option<usize>],
        fields: &mut Vec<(&'a str, Value<'a>)>,
    ) -> Result<()> {
        for ((name, node), place) in branch.iter().zip(computed) {
            let value = match node {
                Node::Compute(expression) => self.evaluate(expression)?,
                Node::FirstMatch(filter) => self.first_match(name, filter)?,
                Node::Branch(inner) if inner.computes() => {
                    let before = place.map_or(Value::Missing, |place| fields[place].1);
                    self.value(inner, before)?
                }
                Node::Branch(_) | Node::Keep | Node::Drop => continue,
            };
            match place {
                Some(place) => fields[*place].1 = value,
                None => fields.push((name, value)),
            }
        }
        Ok(())
    }

    /// What `branch` makes of a value: of each document in an array; what is no document gives way to the computed
    /// fields, if there are any.
    fn value(self, branch: &'a Branch, value: Value<'a>) -> Result<Value<'a>> {
        match value {
            Value::Document(document) => self.document(branch, document).map(Value::Document),
            Value::Array(array) => {
                let mut items = Vec::new();
                for item in array {
                    let item = self.value(branch, item)?;
                    if !item.is_missing() {
                        items.push(item);
                    }
                }
                self.arena.array(&items)
            }
            _ if branch.computes() => self.document(branch, Document::EMPTY).map(Value::Document),
            _ if self.rest == Rest::Kept => Ok(value),
            _ => Ok(Value::Missing),
        }
    }

    fn evaluate(self, expression: &'a Expression) -> Result<Value<'a>> {
        expression.evaluate(Context::new(self.arena, Value::Document(self.root)))
    }

    /// The first item of the array `name` that `filter` matches, in an array of its own.
    fn first_match(self, name: &str, filter: &Filter) -> Result<Value<'a>> {
        let matched = filter.find(self.root)?;
        let Some(position) = matched.and_then(|matched| matched.projected) else {
            return Ok(Value::Missing);
        };
        match self.root.get(name) {
            Value::Array(array) => self.arena.array(&[array.get(position)]),
            _ => Ok(Value::Missing),
        }
    }
}
