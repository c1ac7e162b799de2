//! `$meta`. Documents carry no metadata here: it is parsed for its errors.

use super::node::Node;
use super::operator::{Call, Operator, Table};
use super::scope::Scope;
use crate::{Error, Result, Value};

pub(super) const OPERATORS: Table = &[("$meta", Operator::Parsed(parse))];

fn parse(call: Call<'_>, _scope: &Scope<'_>) -> Result<Node> {
    let Value::String(kind) = call.arguments else {
        return Err(Error::location(
            17307,
            format!("$meta takes the name of metadata, not {}", call.arguments.type_name()),
        ));
    };
    Err(match kind {
        "textScore" | "geoNearDistance" | "geoNearPoint" | "randVal" | "sortKey" => {
            Error::location(
                40218,
                format!("the query requires {kind} metadata, but it is not available"),
            )
        }
        _ => Error::location(17308, format!("unsupported argument to $meta: {kind}")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::check_error;
    use bson::bson;

    #[test]
    fn there_is_no_metadata() {
        check_error(bson!({"$meta": "textScore"}), 40218);
        check_error(bson!({"$meta": "x"}), 17308);
        check_error(bson!({"$meta": 1}), 17307);
    }
}
