//! The parts of an index that a condition on a field can be true in.
//!
//! A condition is true only for documents with a key inside its bounds; the bounds may hold keys of other documents too, unless they are exact, so
//! what is found is always matched again.

use std::borrow::Cow;

use super::encode::{string_start, tag};
use super::interval::{Cut, Interval, encoded};
use super::pattern::Direction;
use crate::number::Number;
use crate::raw::Kind;
use crate::{Value, order};

/// A comparison with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

/// Intervals of the values of one field, in ascending order, apart from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    intervals: Vec<Interval>,
    exact: bool,
    missing: bool,
}

impl Bounds {
    /// Those of a condition that nothing is known of.
    pub fn all() -> Self {
        Self { intervals: vec![Interval::all()], exact: false, missing: true }
    }

    /// Those of a condition that is never true.
    pub fn none() -> Self {
        Self { intervals: Vec::new(), exact: true, missing: false }
    }

    /// What is equal to `value`: where that is null, what is missing too. An array is found by its
    /// first item, or as an item itself.
    pub fn equal(value: Value<'_>) -> Self {
        match value {
            Value::Null | Value::Missing | Value::Undefined => Self {
                intervals: vec![Interval {
                    low: Cut::before(vec![tag(Value::Undefined)]),
                    high: Cut::behind(vec![tag(Value::Null)]),
                }],
                exact: false,
                missing: true,
            },
            Value::Array(array) => {
                let first = array.iter().next().unwrap_or(Value::Undefined);
                let mut bounds = Self::exact(Interval::point(value));
                bounds.exact = false;
                bounds.union(Self::exact(Interval::point(first)))
            }
            _ => Self::exact(Interval::point(value)),
        }
    }

    /// What stands in the `comparison` to `value`, among values of its type.
    pub fn compared(comparison: Comparison, value: Value<'_>) -> Self {
        match value {
            Value::Null | Value::Missing | Value::Undefined => Self::equal(Value::Null),
            // Arrays are compared as a whole, and have the keys of their items. The ends of the order are compared with all types.
            Value::Array(_) | Value::MinKey | Value::MaxKey => Self::all(),
            _ if Number::of(value).is_some_and(Number::is_nan) => match comparison {
                Comparison::Lte | Comparison::Gte => Self::equal(value),
                Comparison::Lt | Comparison::Gt => Self::none(),
            },
            _ => {
                let Interval { low: bottom, high: top } = Interval::rank(order::rank(value));
                let bottom = if value.is_number() {
                    Cut::behind(encoded(Value::Double(f64::NAN)))
                } else {
                    bottom
                };
                let Interval { low: before, high: behind } = Interval::point(value);
                let (low, high) = match comparison {
                    Comparison::Lt => (bottom, before),
                    Comparison::Lte => (bottom, behind),
                    Comparison::Gt => (behind, top),
                    Comparison::Gte => (before, top),
                };
                Self::exact(Interval { low, high })
            }
        }
    }

    /// What stands in the `comparison` to `value` in the order of all types, as expressions compare, in a field that has
    /// met no array. What is missing is less than all, but has the key of a null, so it may lie inside where it does not compare so.
    pub fn ordered(comparison: Comparison, value: Value<'_>) -> Self {
        let equal = Self::equal(value);
        let (Some(first), Some(last)) = (equal.intervals.first(), equal.intervals.last()) else {
            return Self::all();
        };
        let Interval { low: bottom, high: top } = Interval::all();
        let (low, high) = match comparison {
            Comparison::Lt if !equal.missing => (bottom, first.low.clone()),
            Comparison::Lt | Comparison::Lte => (bottom, last.high.clone()),
            Comparison::Gt if !equal.missing => (last.high.clone(), top),
            Comparison::Gt | Comparison::Gte => (first.low.clone(), top),
        };
        let mut bounds = Self::exact(Interval { low, high }).inexact();
        bounds.missing = bounds.contains(&encoded(Value::Null));
        bounds
    }

    /// What a regular expression matches: strings, and the expression itself.
    pub fn matching(pattern: &str, options: &str) -> Self {
        let mut start = vec![tag(Value::String(""))];
        string_start(literal_start(pattern, options).as_bytes(), &mut start);
        let strings = Self::exact(Interval::beginning_with(start));
        let mut bounds =
            strings.union(Self::exact(Interval::point(Value::Regex { pattern, options })));
        bounds.exact = false;
        bounds
    }

    /// What is there, or what is not.
    pub fn existing(exists: bool) -> Self {
        if exists { Self { missing: false, ..Self::all() } } else { Self::equal(Value::Null) }
    }

    /// What is of the type `kind`.
    pub fn of_kind(kind: Kind) -> Self {
        let rank = match kind {
            // An array has the keys of its items.
            Kind::Array => return Self::existing(true),
            Kind::MinKey => 0,
            Kind::Undefined => 1,
            Kind::Null => 2,
            Kind::Int32 | Kind::Int64 | Kind::Double | Kind::Decimal => 3,
            Kind::String | Kind::Symbol => 4,
            Kind::Document => 5,
            Kind::Binary => 7,
            Kind::ObjectId => 8,
            Kind::Bool => 9,
            Kind::DateTime => 10,
            Kind::Timestamp => 11,
            Kind::Regex => 12,
            Kind::DbPointer => 13,
            Kind::JavaScript => 14,
            Kind::JavaScriptWithScope => 15,
            Kind::MaxKey => 16,
        };
        Self { intervals: vec![Interval::rank(rank)], exact: false, missing: false }
    }

    /// Numbers of any type.
    pub fn numbers() -> Self {
        Self::of_kind(Kind::Double)
    }

    /// Where the condition is not true that these bounds are of. For a null in a field that meets arrays see
    /// [`Bounds::not_null`].
    #[must_use]
    pub fn complement(self) -> Self {
        if !self.exact {
            return Self::all();
        }
        let mut low = Cut::before(Vec::new());
        let mut intervals = Vec::with_capacity(self.intervals.len() + 1);
        for interval in self.intervals {
            intervals.push(Interval { low, high: interval.low });
            low = interval.high;
        }
        intervals.push(Interval { low, high: Cut::behind(Vec::new()) });
        intervals.retain(|interval| !interval.is_empty());
        Self { intervals, exact: true, missing: !self.missing }
    }

    /// What is neither null nor missing, in a field that has met no array: with arrays, documents have keys that
    /// are null which match all the same.
    pub fn not_null() -> Self {
        let null = tag(Value::Null);
        Self {
            intervals: vec![
                Interval { low: Cut::before(Vec::new()), high: Cut::before(vec![null]) },
                Interval { low: Cut::behind(vec![null]), high: Cut::behind(Vec::new()) },
            ],
            exact: false,
            missing: false,
        }
    }

    /// What lies in these or in `other`.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        let mut all = [self.intervals, other.intervals].concat();
        all.sort_by(|a, b| a.low.cmp(&b.low));
        Self {
            intervals: joined(all),
            exact: self.exact && other.exact,
            missing: self.missing || other.missing,
        }
    }

    /// What lies in any of `bounds`.
    pub fn any(bounds: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Self::none();
        for bounds in bounds {
            any.exact &= bounds.exact;
            any.missing |= bounds.missing;
            any.intervals.extend(bounds.intervals);
        }
        any.intervals.sort_by(|a, b| a.low.cmp(&b.low));
        any.intervals = joined(any.intervals);
        any
    }

    /// What lies in both. It is allowed only where both conditions must be true of one key: in a field that has met no array, or of
    /// one item of an array.
    #[must_use]
    pub fn intersection(self, other: &Self) -> Self {
        let mut intervals = Vec::new();
        let (mut ours, mut theirs) =
            (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            let interval = Interval {
                low: a.low.clone().max(b.low.clone()),
                high: a.high.clone().min(b.high.clone()),
            };
            if a.high < b.high {
                ours.next();
            } else {
                theirs.next();
            }
            if !interval.is_empty() {
                intervals.push(interval);
            }
        }
        Self { intervals, exact: self.exact && other.exact, missing: self.missing && other.missing }
    }

    /// The same, where keys inside may be of documents for which the condition is not true.
    #[must_use]
    pub fn inexact(self) -> Self {
        Self { exact: false, ..self }
    }

    /// The same for a path that names a place in an array. Where an array stands at the place its items are no keys, but itself;
    /// and what is missing in a document of the array is not looked for when the array has the place.
    #[must_use]
    pub fn of_place(self) -> Self {
        if self.missing {
            return Self::all();
        }
        let arrays =
            Self { intervals: vec![Interval::rank(ARRAY_RANK)], exact: false, missing: false };
        self.union(arrays)
    }

    /// The intervals, in ascending order, apart from each other.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The intervals as they stand in an index where values are in `direction`.
    pub fn in_direction(&self, direction: Direction) -> Cow<'_, [Interval]> {
        match direction {
            Direction::Ascending => Cow::Borrowed(&self.intervals),
            Direction::Descending => {
                self.intervals.iter().rev().map(|interval| interval.clone().turned()).collect()
            }
        }
    }

    /// Whether every key inside is one of a document for which the condition is true.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Whether the condition can be true where the field is missing.
    pub fn holds_missing(&self) -> bool {
        self.missing
    }

    /// Whether all values lie inside.
    pub fn is_all(&self) -> bool {
        matches!(&*self.intervals, [interval] if interval.is_all())
    }

    /// Whether they hold nothing but single values.
    pub fn is_points(&self) -> bool {
        self.intervals.iter().all(|interval| interval.as_point().is_some())
    }

    /// Whether all that lies inside lies in `other` too.
    pub fn is_within(&self, other: &Self) -> bool {
        self.intervals.iter().all(|ours| {
            other.intervals.iter().any(|theirs| theirs.low <= ours.low && ours.high <= theirs.high)
        })
    }

    /// Whether they hold nothing but one value.
    pub fn is_point(&self) -> bool {
        matches!(&*self.intervals, [interval] if interval.as_point().is_some())
    }

    /// Whether `value`, encoded, lies inside.
    pub fn contains(&self, value: &[u8]) -> bool {
        let place = self.intervals.partition_point(|interval| interval.high.is_below(value));
        self.intervals.get(place).is_some_and(|interval| interval.contains(value))
    }

    fn exact(interval: Interval) -> Self {
        let empty = interval.is_empty();
        Self {
            intervals: if empty { Vec::new() } else { vec![interval] },
            exact: true,
            missing: false,
        }
    }
}

const ARRAY_RANK: u8 = 6;

/// Joins those of the intervals, sorted by their beginnings, that touch each other.
fn joined(sorted: Vec<Interval>) -> Vec<Interval> {
    let mut joined: Vec<Interval> = Vec::with_capacity(sorted.len());
    for interval in sorted {
        match joined.last_mut() {
            Some(last) if interval.low <= last.high => {
                if interval.high > last.high {
                    last.high = interval.high;
                }
            }
            _ => joined.push(interval),
        }
    }
    joined
}

/// What every string begins with that `pattern` matches: letters behind a `^`, up to the first that means something
/// else.
fn literal_start(pattern: &str, options: &str) -> String {
    let mut start = String::new();
    let anchored = pattern.strip_prefix('^').or_else(|| pattern.strip_prefix("\\A"));
    let (Some(rest), true) =
        (anchored, options.bytes().all(|option| matches!(option, b's' | b'u')))
    else {
        return start;
    };
    if rest.contains('|') {
        return start;
    }
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            // The letter before need not be there.
            '*' | '?' | '{' => {
                start.pop();
                break;
            }
            '\\' => match letters.next() {
                Some(escaped) if !escaped.is_alphanumeric() => start.push(escaped),
                _ => break,
            },
            '.' | '+' | '[' | ']' | '(' | ')' | '^' | '$' | '}' | '#' | '\0' => break,
            _ => start.push(letter),
        }
    }
    start
}
