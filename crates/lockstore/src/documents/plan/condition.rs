//! A filter in the words of indexes: which bounds it sets for which paths.

use docquery::expression::Implied;
use docquery::filter::{Comparison as Operator, FieldPredicate, Predicate, Test};
use docquery::key::{Bounds, Comparison};
use docquery::path::array_index;
use docquery::raw::Kind;
use docquery::{OwnedValue, Value};

/// What must be true of a document for a filter to match it.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition<'f> {
    /// All of these hold.
    pub(super) leaves: Vec<Leaf<'f>>,
    /// Of each of these one branch holds. Others of the filter's `$or` are not here.
    pub(super) choices: Vec<Vec<Condition<'f>>>,
    /// Whether the leaves are all that the filter asks.
    pub(super) complete: bool,
    /// Whether it is never true.
    pub(super) never: bool,
}

/// What must be true of one path.
#[derive(Clone, Debug)]
pub(super) struct Leaf<'f> {
    pub(super) path: String,
    /// Where the keys are of documents for which it is true.
    bounds: Bounds,
    /// Closer bounds, for a field that has met no array.
    without_arrays: Option<Bounds>,
    pub(super) element: Option<Element>,
    /// What it comes from, if that is asked of the path as it stands.
    test: Option<&'f FieldPredicate>,
}

/// The `$elemMatch` that a leaf stands in: leaves of one are about one item of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    number: usize,
    /// The first part of the path inside the item.
    head: String,
}

impl<'f> Condition<'f> {
    pub(super) fn of(predicate: &'f Predicate) -> Self {
        let mut reader = Reader::default();
        reader.read(predicate);
        reader.condition
    }

    /// This condition, and `other` as well.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            leaves: [&*self.leaves, &*other.leaves].concat(),
            choices: [&*self.choices, &*other.choices].concat(),
            complete: self.complete && other.complete,
            never: self.never || other.never,
        }
    }

    /// Whether it is true of every document.
    pub(super) fn is_always_true(&self) -> bool {
        self.complete && !self.never && self.leaves.is_empty() && self.choices.is_empty()
    }

    /// Whether it sets bounds for `path`.
    pub(super) fn binds(&self, path: &str) -> bool {
        self.leaves.iter().any(|leaf| leaf.path == path)
    }

    /// Whether an index can serve it.
    fn is_useful(&self) -> bool {
        self.never || !self.leaves.is_empty() || !self.choices.is_empty()
    }

    /// Whether every document that it is true for matches `predicate`. It may be so where the answer is no.
    pub(super) fn implies(&self, predicate: &Predicate) -> bool {
        let by_itself = match predicate {
            Predicate::And(parts) => parts.iter().all(|part| self.implies(part)),
            Predicate::Or(parts) => parts.iter().any(|part| self.implies(part)),
            Predicate::Field(field) => self.leaves.iter().any(|leaf| leaf.implies(field)),
            Predicate::Always(truth) => *truth,
            Predicate::Nor(_) | Predicate::Not(_) | Predicate::Expression(_) => false,
        };
        let by_choice =
            |branches: &Vec<Condition<'_>>| branches.iter().all(|branch| branch.implies(predicate));
        by_itself || self.never || self.choices.iter().any(by_choice)
    }
}

impl Leaf<'_> {
    /// Its bounds in an index on its path, whose field has met an array or not.
    pub(super) fn bounds(&self, multikey: bool) -> &Bounds {
        match &self.without_arrays {
            Some(bounds) if !multikey => bounds,
            Some(_) | None => &self.bounds,
        }
    }

    fn implies(&self, field: &FieldPredicate) -> bool {
        if self.path != field.path().as_str() {
            return false;
        }
        if matches!(field.test(), Test::Exists) {
            return !self.bounds.holds_missing();
        }
        if self.test.is_some_and(|test| is_same(test.test(), field.test())) {
            return true;
        }
        bounds_of(field.test())
            .is_some_and(|bounds| bounds.is_exact() && self.bounds.is_within(&bounds))
    }
}

#[derive(Default)]
struct Reader<'f> {
    condition: Condition<'f>,
    elements: usize,
}

impl<'f> Reader<'f> {
    fn read(&mut self, predicate: &'f Predicate) {
        self.condition.complete = true;
        self.part(predicate, None);
    }

    /// Adds a part of the filter, or of the `$elemMatch` `inside`.
    fn part(&mut self, predicate: &'f Predicate, inside: Option<&Inside>) {
        match predicate {
            Predicate::And(parts) => parts.iter().for_each(|part| self.part(part, inside)),
            Predicate::Nor(parts) => parts.iter().for_each(|part| self.negated(part, inside)),
            Predicate::Not(part) => self.negated(part, inside),
            Predicate::Or(parts) => {
                self.condition.complete = false;
                let branches: Vec<_> = parts.iter().map(Condition::of).collect();
                if inside.is_none() && branches.iter().all(Condition::is_useful) {
                    self.condition.choices.push(branches);
                }
            }
            Predicate::Field(field) => self.field(field, inside),
            Predicate::Expression(expression) => {
                self.condition.complete = false;
                if let (Some(implied), None) = (expression.implied(), inside) {
                    self.implied(&implied);
                }
            }
            Predicate::Always(truth) => self.condition.never |= !truth,
        }
    }

    /// Adds what follows from an expression.
    fn implied(&mut self, implied: &Implied<'_>) {
        match implied {
            Implied::All(parts) => parts.iter().for_each(|part| self.implied(part)),
            Implied::Any(parts) => {
                let branches = parts.iter().map(|part| {
                    let mut branch = Reader::default();
                    branch.implied(part);
                    branch.condition
                });
                self.condition.choices.push(branches.collect());
            }
            Implied::Compares { path, comparison, value } => {
                // An expression sees an array as a whole, and an index its items.
                self.condition.leaves.push(Leaf {
                    path: path.clone(),
                    bounds: Bounds::all(),
                    without_arrays: Some(in_order_of_types(*comparison, *value)),
                    element: None,
                    test: None,
                });
            }
        }
    }

    fn negated(&mut self, predicate: &'f Predicate, inside: Option<&Inside>) {
        match predicate {
            Predicate::Not(part) => self.part(part, inside),
            Predicate::Field(field) => match bounds_of_negation(field.test()) {
                Some(negation) => self.leaf(field, negation, None, inside),
                None => self.condition.complete = false,
            },
            Predicate::And(_) | Predicate::Or(_) | Predicate::Nor(_) | Predicate::Expression(_) => {
                self.condition.complete = false;
            }
            Predicate::Always(truth) => self.condition.never |= *truth,
        }
    }

    fn field(&mut self, field: &'f FieldPredicate, inside: Option<&Inside>) {
        if let Test::ElementObject(object) = field.test() {
            self.condition.complete = false;
            self.elements += 1;
            let path = inside.map_or_else(
                || field.path().to_string(),
                |inside| format!("{}.{}", inside.path, field.path()),
            );
            self.part(object.root(), Some(&Inside { path, number: self.elements }));
            return;
        }
        match bounds_of(field.test()) {
            Some(bounds) => {
                let test = if inside.is_none() { Some(field) } else { None };
                self.leaf(field, Negation { bounds, without_arrays: None }, test, inside);
            }
            None => self.condition.complete = false,
        }
    }

    fn leaf(
        &mut self,
        field: &'f FieldPredicate,
        Negation { bounds, without_arrays }: Negation,
        test: Option<&'f FieldPredicate>,
        inside: Option<&Inside>,
    ) {
        let path = field.path();
        let (path, element) = match inside {
            None => (path.to_string(), None),
            // An item that is an array has places, which an index does not know of.
            Some(_) if path.parts().any(|part| array_index(part).is_some()) => {
                self.condition.complete = false;
                return;
            }
            Some(Inside { path: array, number }) => {
                let element = Element { number: *number, head: path.part(0).into() };
                (format!("{array}.{path}"), Some(element))
            }
        };
        self.condition.never |= bounds.intervals().is_empty();
        self.condition.leaves.push(Leaf { path, bounds, without_arrays, element, test });
    }
}

/// The `$elemMatch` that is being read.
struct Inside {
    path: String,
    number: usize,
}

/// The bounds of a test that must fail.
struct Negation {
    bounds: Bounds,
    without_arrays: Option<Bounds>,
}

impl Element {
    /// Whether one key may hold what this leaf and that of `other` ask: both are about one item, and about fields of it
    /// of which only one can have an array on its path.
    pub(super) fn shares_a_key_with(&self, other: &Self) -> bool {
        self.number == other.number && self.head != other.head
    }
}

/// Where the keys are of what passes a test; `None` for tests that no index serves.
fn bounds_of(test: &Test) -> Option<Bounds> {
    Some(match test {
        Test::Compare(operator, operand) => compared(*operator, operand),
        Test::In(list) => Bounds::any(
            (list.values().iter().map(|value| Bounds::equal(value.get()))).chain(
                list.regexes()
                    .iter()
                    .map(|regex| Bounds::matching(regex.pattern(), regex.options())),
            ),
        ),
        Test::Regex(regex) => Bounds::matching(regex.pattern(), regex.options()),
        Test::Mod { .. } => Bounds::numbers(),
        Test::Exists => Bounds::existing(true),
        Test::Type(types) => {
            Bounds::any(KINDS.into_iter().filter(|kind| types.has(*kind)).map(Bounds::of_kind))
        }
        Test::ElementValue(tests) => {
            // All tests are of one item, so of one key.
            let mut bounds = Bounds::existing(true);
            for test in tests {
                if let Some(one) = bounds_of_item(test) {
                    bounds = bounds.intersection(&one);
                }
            }
            bounds
        }
        Test::Size(_) | Test::Bits(_) | Test::ElementObject(_) => return None,
    })
}

/// Where the key of an item is that passes a test.
fn bounds_of_item(predicate: &Predicate) -> Option<Bounds> {
    match predicate {
        Predicate::Field(field) => bounds_of(field.test()),
        Predicate::Not(part) => match &**part {
            Predicate::Field(field) => {
                bounds_of_negation(field.test()).map(|negation| negation.bounds)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Where the keys are of what fails a test; `None` where that may be anything.
fn bounds_of_negation(test: &Test) -> Option<Negation> {
    let is_null = |value: &OwnedValue| value.get().is_nullish();
    match test {
        Test::Exists => Some(Negation { bounds: Bounds::existing(false), without_arrays: None }),
        Test::Compare(Operator::Equal, operand) if is_null(operand) => Some(not_null()),
        Test::In(list) if list.regexes().is_empty() && list.values().iter().any(is_null) => {
            let others = list.values().iter().filter(|value| !is_null(value));
            let mut negation = not_null();
            let others = Bounds::any(others.map(|value| Bounds::equal(value.get()))).complement();
            negation.without_arrays =
                negation.without_arrays.map(|bounds| bounds.intersection(&others));
            Some(negation)
        }
        Test::Compare(..) | Test::In(_) | Test::Type(_) => {
            // Of the items of an array none may pass, but one that fails is in the bounds.
            let bounds = bounds_of(test)?.complement();
            let without_arrays = Some(bounds.clone());
            (!bounds.is_all()).then(|| Negation { bounds: bounds.inexact(), without_arrays })
        }
        Test::Regex(_)
        | Test::Mod { .. }
        | Test::Size(_)
        | Test::Bits(_)
        | Test::ElementObject(_)
        | Test::ElementValue(_) => None,
    }
}

fn not_null() -> Negation {
    Negation { bounds: Bounds::all(), without_arrays: Some(Bounds::not_null()) }
}

fn compared(operator: Operator, operand: &OwnedValue) -> Bounds {
    let operand: Value<'_> = operand.get();
    match operator {
        Operator::Equal => Bounds::equal(operand),
        Operator::Less => Bounds::compared(Comparison::Lt, operand),
        Operator::LessOrEqual => Bounds::compared(Comparison::Lte, operand),
        Operator::Greater => Bounds::compared(Comparison::Gt, operand),
        Operator::GreaterOrEqual => Bounds::compared(Comparison::Gte, operand),
    }
}

/// Where the key is of what compares so with `operand` in an expression.
fn in_order_of_types(operator: Operator, operand: Value<'_>) -> Bounds {
    match operator {
        Operator::Equal => Bounds::equal(operand),
        Operator::Less => Bounds::ordered(Comparison::Lt, operand),
        Operator::LessOrEqual => Bounds::ordered(Comparison::Lte, operand),
        Operator::Greater => Bounds::ordered(Comparison::Gt, operand),
        Operator::GreaterOrEqual => Bounds::ordered(Comparison::Gte, operand),
    }
}

/// Whether two tests pass the same values, as far as it shows.
fn is_same(a: &Test, b: &Test) -> bool {
    match (a, b) {
        (Test::Compare(a, a_operand), Test::Compare(b, b_operand)) => {
            a == b && docquery::order::equal(a_operand.get(), b_operand.get())
        }
        (Test::Type(a), Test::Type(b)) => a == b,
        (Test::Regex(a), Test::Regex(b)) => {
            a.pattern() == b.pattern() && a.options() == b.options()
        }
        _ => false,
    }
}

/// All types, for those that a `$type` lists.
const KINDS: [Kind; 21] = [
    Kind::Double,
    Kind::String,
    Kind::Document,
    Kind::Array,
    Kind::Binary,
    Kind::Undefined,
    Kind::ObjectId,
    Kind::Bool,
    Kind::DateTime,
    Kind::Null,
    Kind::Regex,
    Kind::DbPointer,
    Kind::JavaScript,
    Kind::Symbol,
    Kind::JavaScriptWithScope,
    Kind::Int32,
    Kind::Timestamp,
    Kind::Int64,
    Kind::Decimal,
    Kind::MaxKey,
    Kind::MinKey,
];
