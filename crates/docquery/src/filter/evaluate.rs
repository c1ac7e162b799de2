//! Whether a document matches.

use super::Matched;
use super::object::{FieldFinder, ObjectPredicate};
use super::predicate::{FieldPredicate, Predicate, Test};
use super::traverse::Traversal;
use crate::expression::Context;
use crate::number::Number;
use crate::{Array, Document, Result, Value};

/// Notes where the positional operator `$` points to: of several places the last counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    pub(super) matched: Matched,
    /// The place of the condition in the filter that has given `matched.projected`.
    order: u32,
}

impl Notes {
    fn note(&mut self, place: Option<usize>, order: u32) {
        if place.is_none() {
            return;
        }
        self.matched.position = place;
        if self.matched.projected.is_none() || order >= self.order {
            self.matched.projected = place;
            self.order = order;
        }
    }
}

impl ObjectPredicate {
    pub(super) fn matches<'a>(
        &'a self,
        document: Document<'a>,
        context: Context<'_, 'a>,
        notes: &mut Notes,
    ) -> Result<bool> {
        self.root().matches(&mut self.fields(document), context, notes)
    }
}

impl Predicate {
    fn matches<'a>(
        &'a self,
        fields: &mut FieldFinder<'a>,
        context: Context<'_, 'a>,
        notes: &mut Notes,
    ) -> Result<bool> {
        match self {
            Self::Field(field) => field.matches(fields, context, notes),
            Self::And(parts) => {
                for part in parts {
                    if !part.matches(fields, context, notes)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            // `$or`, `$nor` and `$not` give no position.
            Self::Or(parts) => {
                any(parts, |part| part.matches(fields, context, &mut Notes::default()))
            }
            Self::Nor(parts) => {
                Ok(!any(parts, |part| part.matches(fields, context, &mut Notes::default()))?)
            }
            Self::Not(part) => Ok(!part.matches(fields, context, &mut Notes::default())?),
            Self::Expression(expression) => {
                let mut context = context;
                context.root = Value::Document(fields.document);
                Ok(expression.evaluate(context)?.is_truthy())
            }
            Self::Always(truth) => Ok(*truth),
        }
    }

    /// Whether `value`, an item of an array, passes the tests.
    fn matches_item<'a>(&'a self, value: Value<'a>, context: Context<'_, 'a>) -> Result<bool> {
        match self {
            Self::Field(field) => field.test.passes(value, context, &mut None),
            Self::And(parts) => Ok(!any(parts, |part| Ok(!part.matches_item(value, context)?))?),
            Self::Or(parts) => any(parts, |part| part.matches_item(value, context)),
            Self::Nor(parts) => Ok(!any(parts, |part| part.matches_item(value, context))?),
            Self::Not(part) => Ok(!part.matches_item(value, context)?),
            // The parser has refused `$expr` here.
            Self::Expression(_) => Ok(false),
            Self::Always(truth) => Ok(*truth),
        }
    }
}

fn any<'a>(
    parts: &'a [Predicate],
    mut holds: impl FnMut(&'a Predicate) -> Result<bool>,
) -> Result<bool> {
    for part in parts {
        if holds(part)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl FieldPredicate {
    fn matches<'a>(
        &'a self,
        fields: &mut FieldFinder<'a>,
        context: Context<'_, 'a>,
        notes: &mut Notes,
    ) -> Result<bool> {
        let value = fields.get(self.head, self.path.part(0));
        if self.path.len() == 1 && !matches!(value, Value::Array(_)) {
            return self.test.passes(value, context, &mut None);
        }
        let visit = |value, outer: Option<usize>| {
            let mut inner = None;
            let passes = self.test.passes(value, context, &mut inner)?;
            if passes {
                notes.note(outer.or(inner), self.order);
            }
            Ok(passes)
        };
        Traversal::new(&self.path, self.test.asks_items(), visit).follow(value, 1, None)
    }
}

impl Test {
    /// Whether `value` passes. `position` is where `$elemMatch` found an item.
    fn passes<'a>(
        &'a self,
        value: Value<'a>,
        context: Context<'_, 'a>,
        position: &mut Option<usize>,
    ) -> Result<bool> {
        Ok(match self {
            Self::Compare(comparison, operand) => comparison.holds(value, operand),
            Self::In(list) => return list.matches(value),
            Self::Regex(regex) => return regex.matches_value(value),
            Self::Mod { divisor, remainder } => leaves(value, *divisor, *remainder),
            Self::Exists => !value.is_missing(),
            Self::Type(types) => types.contains(value),
            Self::Size(size) => {
                value.as_array().is_some_and(|array| has_length(array, *size as usize))
            }
            Self::Bits(bits) => bits.matches(value),
            Self::ElementObject(_) | Self::ElementValue(_) => {
                let Value::Array(array) = value else { return Ok(false) };
                for (index, item) in array.iter().enumerate() {
                    if self.item_passes(item, context)? {
                        *position = Some(index);
                        return Ok(true);
                    }
                }
                false
            }
        })
    }

    /// Whether an item is what `$elemMatch` looks for.
    fn item_passes<'a>(&'a self, item: Value<'a>, context: Context<'_, 'a>) -> Result<bool> {
        match self {
            Self::ElementValue(tests) => {
                Ok(!any(tests, |test| Ok(!test.matches_item(item, context)?))?)
            }
            Self::ElementObject(predicate) => match item {
                Value::Document(document) => {
                    predicate.matches(document, context, &mut Notes::default())
                }
                Value::Array(array) => {
                    predicate.matches(as_document(array, context)?, context, &mut Notes::default())
                }
                _ => Ok(false),
            },
            _ => Ok(false),
        }
    }
}

/// Whether dividing `value` leaves `remainder`, which has the sign of `value`.
fn leaves(value: Value<'_>, divisor: i64, remainder: i64) -> bool {
    let dividend = Number::of(value).and_then(Number::truncate_to_i64);
    dividend.is_some_and(|dividend| dividend.wrapping_rem(divisor) == remainder)
}

fn has_length(array: Array<'_>, length: usize) -> bool {
    array.iter().take(length + 1).count() == length
}

/// An array as the document that it is in BSON: its fields are named by their places.
fn as_document<'a>(array: Array<'a>, context: Context<'_, 'a>) -> Result<Document<'a>> {
    if let Some(bytes) = array.raw_bytes() {
        return Ok(Document::of_bytes(bytes));
    }
    let arena = context.arena;
    let items = array.iter().enumerate();
    let fields: Vec<_> =
        items.map(|(index, item)| (arena.text(&index.to_string()), item)).collect();
    Ok(arena.document(&fields)?.as_document().unwrap_or(Document::EMPTY))
}
