//! Simplification, in the steps of the server's optimizer as far as it shows: which of several parts gives the positional
//! `$` its place, and what an upsert takes from the filter, depend on it.

use std::cmp::Ordering;

use super::in_list::InList;
use super::predicate::{Comparison, Predicate, Test};
use crate::OwnedValue;

/// The same predicate, simplified and in order, see [`Predicate`].
pub(super) fn optimize(predicate: Predicate) -> Predicate {
    let mut predicate = simplify(predicate);
    if let Predicate::And(parts) = &mut predicate {
        for (order, part) in (0..).zip(parts) {
            if let Predicate::Field(field) = part {
                field.order = order;
            }
        }
    }
    sort(&mut predicate);
    predicate
}

fn simplify(predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::And(parts) => simplify_and(parts),
        Predicate::Or(parts) => simplify_or(parts),
        Predicate::Nor(parts) => {
            let mut parts: Vec<_> = parts.into_iter().map(simplify).collect();
            match parts.pop() {
                Some(only) if parts.is_empty() => only.not(),
                last => {
                    parts.extend(last);
                    Predicate::Nor(parts)
                }
            }
        }
        Predicate::Not(part) => match simplify(*part) {
            Predicate::Always(truth) => Predicate::Always(!truth),
            part => part.not(),
        },
        Predicate::Field(mut field) => {
            field.test = match field.test {
                Test::In(list) => simplify_in(list),
                Test::ElementValue(tests) => {
                    Test::ElementValue(tests.into_iter().map(simplify).collect())
                }
                test => test,
            };
            Predicate::Field(field)
        }
        Predicate::Expression(_) | Predicate::Always(_) => predicate,
    }
}

/// `$in` of one thing is that thing. `$in` of nothing stays: an upsert still takes what stands beside it.
fn simplify_in(list: InList) -> Test {
    match (list.values(), list.regexes()) {
        ([value], []) => Test::Compare(Comparison::Equal, value.clone()),
        ([], [regex]) => Test::Regex(regex.clone()),
        _ => Test::In(list),
    }
}

fn simplify_and(mut parts: Vec<Predicate>) -> Predicate {
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        // Most filters ask one thing.
        let only = simplify(only);
        return if let Predicate::Always(true) = only { Predicate::And(parts) } else { only };
    }
    let (mut own, mut absorbed) = (Vec::new(), Vec::new());
    for part in parts.into_iter().map(simplify) {
        match part {
            Predicate::And(inner) => absorbed.extend(inner),
            Predicate::Always(true) => {}
            Predicate::Always(false) => return part,
            part => own.push(part),
        }
    }
    own.append(&mut absorbed);
    only_or(own, Predicate::And)
}

fn simplify_or(parts: Vec<Predicate>) -> Predicate {
    let (mut own, mut absorbed) = (Vec::new(), Vec::new());
    for part in parts.into_iter().map(simplify) {
        match part {
            Predicate::Or(inner) => absorbed.extend(inner),
            Predicate::Always(false) => {}
            Predicate::Always(true) => return part,
            part => own.push(part),
        }
    }
    own.append(&mut absorbed);
    if own.is_empty() {
        return Predicate::Always(false);
    }
    only_or(join_equalities(own), Predicate::Or)
}

fn only_or(mut parts: Vec<Predicate>, many: impl FnOnce(Vec<Predicate>) -> Predicate) -> Predicate {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// Makes one `$in` of the equalities and regular expressions of the path that the first of them has.
fn join_equalities(parts: Vec<Predicate>) -> Vec<Predicate> {
    let path = parts.iter().find_map(joinable_path).map(str::to_owned);
    let joinable = |part: &Predicate| path.is_some() && joinable_path(part) == path.as_deref();
    if parts.iter().filter(|part| joinable(part)).count() < 2 {
        return parts;
    }
    let (joined, mut others): (Vec<_>, Vec<_>) = parts.into_iter().partition(joinable);
    let (mut values, mut regexes): (Vec<OwnedValue>, Vec<_>) = (Vec::new(), Vec::new());
    for part in joined {
        let Predicate::Field(field) = part else { continue };
        match field.test {
            Test::Compare(_, value) => values.push(value),
            Test::Regex(regex) => regexes.push(regex),
            _ => {}
        }
    }
    let list = Test::In(InList::new(values, regexes));
    others.push(simplify(Predicate::field(path.as_deref().unwrap_or_default(), list)));
    others
}

/// The path of an equality or a regular expression. An equality with a stored regular expression is none of `$in`'s.
fn joinable_path(part: &Predicate) -> Option<&str> {
    let Predicate::Field(field) = part else { return None };
    let joinable = match &field.test {
        Test::Compare(Comparison::Equal, value) => {
            !matches!(value.get(), crate::Value::Regex { .. })
        }
        Test::Regex(_) => true,
        _ => false,
    };
    joinable.then(|| field.path.as_str())
}

fn sort(predicate: &mut Predicate) {
    match predicate {
        Predicate::And(parts) | Predicate::Or(parts) | Predicate::Nor(parts) => sort_parts(parts),
        Predicate::Not(part) => sort(part),
        Predicate::Field(field) => {
            // The filter of `$elemMatch` has been sorted for itself.
            if let Test::ElementValue(tests) = &mut field.test {
                sort_parts(tests);
            }
        }
        Predicate::Expression(_) | Predicate::Always(_) => {}
    }
}

fn sort_parts(parts: &mut [Predicate]) {
    parts.iter_mut().for_each(sort);
    parts.sort_by(compare);
}

/// By operator, then by path, then by the parts.
fn compare(a: &Predicate, b: &Predicate) -> Ordering {
    let by_parts = || {
        let (a, b) = (parts_of(a), parts_of(b));
        let mut pairs = a.iter().zip(b).map(|(a, b)| compare(a, b));
        let differing = pairs.find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
        differing.then_with(|| a.len().cmp(&b.len()))
    };
    rank(a).cmp(&rank(b)).then_with(|| path_of(a).cmp(path_of(b))).then_with(by_parts)
}

fn path_of(predicate: &Predicate) -> &str {
    if let Predicate::Field(field) = predicate { field.path.as_str() } else { "" }
}

fn parts_of(predicate: &Predicate) -> &[Predicate] {
    match predicate {
        Predicate::Field(field) => match &field.test {
            Test::ElementObject(object) => std::slice::from_ref(object.root()),
            Test::ElementValue(tests) => tests,
            _ => &[],
        },
        predicate => predicate.parts(),
    }
}

/// The place of an operator in the order of the server's `MatchExpression::MatchType`.
fn rank(predicate: &Predicate) -> u8 {
    match predicate {
        Predicate::And(_) => 0,
        Predicate::Or(_) => 1,
        Predicate::Field(field) => match &field.test {
            Test::ElementObject(_) => 2,
            Test::ElementValue(_) => 3,
            Test::Size(_) => 4,
            Test::Compare(Comparison::Equal, _) => 5,
            Test::Compare(Comparison::LessOrEqual, _) => 6,
            Test::Compare(Comparison::Less, _) => 7,
            Test::Compare(Comparison::Greater, _) => 8,
            Test::Compare(Comparison::GreaterOrEqual, _) => 9,
            Test::Regex(_) => 10,
            Test::Mod { .. } => 11,
            Test::Exists => 12,
            Test::In(_) => 13,
            Test::Bits(_) => 14,
            Test::Type(_) => 17,
        },
        Predicate::Not(_) => 15,
        Predicate::Nor(_) => 16,
        Predicate::Expression(_) => 18,
        Predicate::Always(_) => 19,
    }
}
