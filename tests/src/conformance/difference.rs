//! Where two values differ.

use std::fmt;

use super::value::Value;

/// The first place where an answer is not what was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where, as in `cursor.firstBatch[3].a.b`; empty for the whole.
    pub path: String,
    /// What was recorded there.
    pub expected: String,
    /// What was answered.
    pub got: String,
}

impl Difference {
    /// A difference right here.
    pub fn new(expected: impl fmt::Display, got: impl fmt::Display) -> Self {
        Self { path: String::new(), expected: expected.to_string(), got: got.to_string() }
    }

    /// The same, seen from the document that holds it in the field `name`.
    #[must_use]
    pub fn in_field(self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{name}{dot}{}", self.path), ..self }
    }

    /// The same, seen from the array that holds it at `index`.
    #[must_use]
    pub fn in_element(self, index: usize) -> Self {
        self.in_field(&format!("[{index}]"))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, expected, got } = self;
        let place = if path.is_empty() { "reply" } else { path };
        write!(f, "{place}: expected {expected}, got {got}")
    }
}

impl From<bson::error::Error> for Difference {
    /// An answer that cannot be read is an answer too.
    fn from(error: bson::error::Error) -> Self {
        Self::new("BSON", format!("damaged BSON ({error})"))
    }
}

/// Looks for the first difference between what was recorded and what was answered.
///
/// # Errors
///
/// The difference.
pub fn compare(expected: &Value, got: &Value) -> Result<(), Difference> {
    match (expected, got) {
        (Value::Any, _) => Ok(()),
        (Value::OfType(kind), Value::Scalar(Some(found), _)) if kind == found => Ok(()),
        (Value::Document(expected), Value::Document(got)) => compare_fields(expected, got),
        (Value::List(expected), Value::List(got)) => compare_lists(expected, got),
        (Value::Bag(expected), Value::Bag(got)) => compare_bags(expected, got),
        _ if expected == got => Ok(()),
        _ => Err(Difference::new(expected, got)),
    }
}

fn compare_fields(expected: &[(String, Value)], got: &[(String, Value)]) -> Result<(), Difference> {
    for (index, (name, value)) in expected.iter().enumerate() {
        match got.get(index) {
            Some((got_name, got)) if got_name == name => {
                compare(value, got).map_err(|difference| difference.in_field(name))?;
            }
            Some((got_name, _)) if got.iter().any(|(other, _)| other == name) => {
                let (expected, got) = (format!("field {index}"), format!("{got_name:?} there"));
                return Err(Difference::new(expected, got).in_field(name));
            }
            _ => return Err(Difference::new(value, "no such field").in_field(name)),
        }
    }
    match got.get(expected.len()) {
        Some((name, value)) => Err(Difference::new("no such field", value).in_field(name)),
        None => Ok(()),
    }
}

fn compare_lists(expected: &[Value], got: &[Value]) -> Result<(), Difference> {
    for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
        compare(expected, got).map_err(|difference| difference.in_element(index))?;
    }
    let length = expected.len().min(got.len());
    match (expected.get(length), got.get(length)) {
        (Some(value), _) => Err(Difference::new(value, "no such element").in_element(length)),
        (_, Some(value)) => Err(Difference::new("no such element", value).in_element(length)),
        (None, None) => Ok(()),
    }
}

/// Bags are equal when their elements can be paired off. Equal elements are taken out in one pass over both, which are
/// sorted; a wildcard can go with several others, so that the rest is a matching of two sets.
fn compare_bags(expected: &[Value], got: &[Value]) -> Result<(), Difference> {
    let (expected, got) = without_common(expected, got);
    let partners = partners(&expected, &got);
    let lonely: Vec<_> =
        expected.iter().zip(&partners).filter(|(_, got)| got.is_none()).map(|(v, _)| *v).collect();
    let surplus: Vec<_> = (0..got.len())
        .filter(|index| !partners.contains(&Some(*index)))
        .map(|index| got[index])
        .collect();
    match (&*lonely, &*surplus) {
        ([], []) => Ok(()),
        // Only one of each is left: the place where they differ says more than both of them.
        ([expected], [got]) => Err(compare(expected, got)
            .expect_err("values that are equal are partners")
            .in_field("[in any order]")),
        _ => Err(Difference::new(listed(&lonely), listed(&surplus)).in_field("[in any order]")),
    }
}

fn without_common<'a>(expected: &'a [Value], got: &'a [Value]) -> (Vec<&'a Value>, Vec<&'a Value>) {
    let (mut expected, mut got) = (expected.iter().peekable(), got.iter().peekable());
    let (mut lonely, mut surplus) = (Vec::new(), Vec::new());
    loop {
        match (expected.peek(), got.peek()) {
            (Some(left), Some(right)) if left == right => {
                expected.next();
                got.next();
            }
            (Some(left), Some(right)) if left < right => lonely.extend(expected.next()),
            (_, Some(_)) => surplus.extend(got.next()),
            (Some(_), None) => lonely.extend(expected.next()),
            (None, None) => return (lonely, surplus),
        }
    }
}

/// For each expected value the index of the one it is paired with, such that as many as possible are.
fn partners(expected: &[&Value], got: &[&Value]) -> Vec<Option<usize>> {
    let mut partner_of_got = vec![None; got.len()];
    for index in 0..expected.len() {
        pair(index, expected, got, &mut vec![false; got.len()], &mut partner_of_got);
    }
    let mut partners = vec![None; expected.len()];
    for (index, partner) in partner_of_got.into_iter().enumerate() {
        if let Some(partner) = partner {
            partners[partner] = Some(index);
        }
    }
    partners
}

/// Finds a partner for the expected value at `index`, if need be by giving those who have one another.
fn pair(
    index: usize,
    expected: &[&Value],
    got: &[&Value],
    asked: &mut [bool],
    partner_of_got: &mut [Option<usize>],
) -> bool {
    for candidate in 0..got.len() {
        if asked[candidate] || compare(expected[index], got[candidate]).is_err() {
            continue;
        }
        asked[candidate] = true;
        let is_free = match partner_of_got[candidate] {
            None => true,
            Some(other) => pair(other, expected, got, asked, partner_of_got),
        };
        if is_free {
            partner_of_got[candidate] = Some(index);
            return true;
        }
    }
    false
}

fn listed(values: &[&Value]) -> String {
    if values.is_empty() {
        return "nothing more".to_owned();
    }
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
