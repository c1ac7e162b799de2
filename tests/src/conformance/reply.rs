//! Whether a command was answered as a real server answers it.

use bson::raw::{RawArray, RawBsonRef, RawDocument};

use super::difference::{self, Difference};
use super::value::{Order, Side, show};

/// What of the order in a reply counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The order of the result: of a cursor's documents, of `distinct`'s values.
    pub result: Order,
    /// The order of the arrays inside the result.
    pub inner_arrays: Order,
}

/// Fields whose integers compare by value.
const COUNTS: [&str; 8] =
    ["ok", "n", "nModified", "code", "index", "numIndexesBefore", "numIndexesAfter", "nIndexesWas"];

/// What a server says besides and no recording has: prose, names and the state of a cluster.
const BESIDES: [&str; 5] = ["note", "msg", "ns", "operationTime", "$clusterTime"];

/// Looks for the first difference that counts between a recorded reply and the one answered.
///
/// # Errors
///
/// The difference.
pub fn compare(
    recorded: &RawDocument,
    answered: &RawDocument,
    rules: Rules,
) -> Result<(), Difference> {
    let comparison = Comparison {
        rules,
        recorded: Side::recorded(rules.inner_arrays),
        answered: Side::answered(rules.inner_arrays),
    };
    let recorded = fields(recorded)?;
    let answered = fields(answered)?;
    let fails = field(&recorded, "ok").and_then(number) == Some(0);
    let failed = field(&answered, "ok").and_then(number) == Some(0);
    match (fails, failed) {
        (false, false) => comparison.envelope(&recorded, &answered),
        (true, true) => comparison
            .field("code", &recorded, &answered)
            .map_err(|difference| Difference { got: failure(&answered), ..difference }),
        (true, false) => Err(Difference::new(failure(&recorded), "success").in_field("ok")),
        (false, true) => Err(Difference::new("success", failure(&answered)).in_field("ok")),
    }
}

type Fields<'a> = Vec<(&'a str, RawBsonRef<'a>)>;

#[derive(Clone, Copy)]
struct Comparison {
    rules: Rules,
    recorded: Side,
    answered: Side,
}

impl Comparison {
    /// The fields of the envelope have no order.
    fn envelope(self, recorded: &Fields<'_>, answered: &Fields<'_>) -> Result<(), Difference> {
        for (name, _) in recorded {
            self.field(name, recorded, answered)?;
        }
        for (index, (name, value)) in answered.iter().enumerate() {
            if field(recorded, name).is_none() && !BESIDES.contains(name) {
                return Err(Difference::new("no such field", show(*value)).in_field(name));
            }
            if field(&answered[..index], name).is_some() {
                return Err(Difference::new("one such field", "two").in_field(name));
            }
        }
        Ok(())
    }

    fn field(
        self,
        name: &str,
        recorded: &Fields<'_>,
        answered: &Fields<'_>,
    ) -> Result<(), Difference> {
        let result = match (field(recorded, name), field(answered, name)) {
            (Some(recorded), Some(answered)) => self.value(name, recorded, answered),
            (Some(recorded), None) => Err(Difference::new(show(recorded), "no such field")),
            (None, Some(answered)) => Err(Difference::new("no such field", show(answered))),
            (None, None) => Ok(()),
        };
        result.map_err(|difference| difference.in_field(name))
    }

    fn value(
        self,
        name: &str,
        recorded: RawBsonRef<'_>,
        answered: RawBsonRef<'_>,
    ) -> Result<(), Difference> {
        use RawBsonRef::{Array, Document};
        match (name, recorded, answered) {
            (name, _, _) if COUNTS.contains(&name) => compare_counts(recorded, answered),
            ("firstBatch" | "values", Array(recorded), Array(answered)) => {
                let recorded = self.recorded.array(recorded, self.rules.result);
                let answered = self.answered.array(answered, self.rules.result);
                difference::compare(&recorded?, &answered?)
            }
            ("cursor", Document(recorded), Document(answered)) => {
                let mut answered = fields(answered)?;
                answered.retain(|(name, _)| *name != "id");
                self.envelope(&fields(recorded)?, &answered)
            }
            ("lastErrorObject", Document(recorded), Document(answered)) => {
                self.envelope(&fields(recorded)?, &fields(answered)?)
            }
            ("writeErrors", Array(recorded), Array(answered)) => {
                compare_each(recorded, answered, |recorded, answered| {
                    self.field("index", recorded, answered)?;
                    self.field("code", recorded, answered)
                })
            }
            ("upserted", Array(recorded), Array(answered)) => {
                compare_each(recorded, answered, |recorded, answered| {
                    self.envelope(recorded, answered)?;
                    same_order(recorded, answered)
                })
            }
            _ => {
                let recorded = self.recorded.value(recorded)?;
                let answered = self.answered.value(answered)?;
                difference::compare(&recorded, &answered)
            }
        }
    }
}

fn compare_counts(recorded: RawBsonRef<'_>, answered: RawBsonRef<'_>) -> Result<(), Difference> {
    if number(recorded).is_some() && number(recorded) == number(answered) {
        return Ok(());
    }
    Err(Difference::new(show(recorded), show(answered)))
}

/// Compares arrays of documents that belong to the envelope.
fn compare_each(
    recorded: &RawArray,
    answered: &RawArray,
    compare: impl Fn(&Fields<'_>, &Fields<'_>) -> Result<(), Difference>,
) -> Result<(), Difference> {
    let (mut recorded, mut answered) = (recorded.into_iter(), answered.into_iter());
    for index in 0.. {
        let result = match (recorded.next().transpose()?, answered.next().transpose()?) {
            (None, None) => break,
            (Some(RawBsonRef::Document(recorded)), Some(RawBsonRef::Document(answered))) => {
                compare(&fields(recorded)?, &fields(answered)?)
            }
            (recorded, answered) => {
                let show = |value: Option<_>| value.map_or("no such element".to_owned(), show);
                Err(Difference::new(show(recorded), show(answered)))
            }
        };
        result.map_err(|difference| difference.in_element(index))?;
    }
    Ok(())
}

fn fields(document: &RawDocument) -> Result<Fields<'_>, Difference> {
    let fields: bson::error::Result<_> = document
        .into_iter()
        .map(|field| field.map(|(name, value)| (name.as_str(), value)))
        .collect();
    Ok(fields?)
}

fn field<'a>(fields: &[(&'a str, RawBsonRef<'a>)], name: &str) -> Option<RawBsonRef<'a>> {
    fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// Of two documents that have the same fields.
fn same_order(recorded: &Fields<'_>, answered: &Fields<'_>) -> Result<(), Difference> {
    let names = |fields: &Fields<'_>| {
        let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
        format!("the fields {}", names.join(", "))
    };
    if names(recorded) == names(answered) {
        return Ok(());
    }
    Err(Difference::new(names(recorded), names(answered)))
}

/// The value of an integer, whatever its type.
fn number(value: RawBsonRef<'_>) -> Option<i64> {
    match value {
        RawBsonRef::Int32(value) => Some(value.into()),
        RawBsonRef::Int64(value) => Some(value),
        // A whole double is written without a point.
        RawBsonRef::Double(value) => value.to_string().parse().ok(),
        _ => None,
    }
}

fn failure(reply: &Fields<'_>) -> String {
    let code = field(reply, "code").and_then(number).map_or("none".to_owned(), |c| c.to_string());
    let message = field(reply, "errmsg").and_then(RawBsonRef::as_str).unwrap_or("no message");
    format!("failure with code {code} ({message})")
}

#[cfg(test)]
mod tests;
