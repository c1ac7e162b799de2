//! Key patterns: the fields of an index and their directions.

use std::fmt::Write as _;

use bson::RawDocument;

use super::encode;
use crate::number::Number;
use crate::path::Path;
use crate::{Document, Error, ErrorCode, Result, Value};

/// The fields of an index and their directions, parsed: `{a: 1, "b.c": -1}`.
#[derive(Clone, Debug)]
pub struct KeyPattern {
    fields: Box<[KeyField]>,
    sparse: bool,
}

/// One field of an index.
#[derive(Clone, Debug)]
pub struct KeyField {
    path: Path,
    direction: Direction,
    /// The direction as it was written, for the index's name.
    written: String,
}

/// In which order the values of a field stand in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The least first.
    Ascending,
    /// The greatest first.
    Descending,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn reverse(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    /// What the bytes of a value are combined with, exclusively, in a key.
    pub(super) fn mask(self) -> u8 {
        match self {
            Self::Ascending => 0,
            Self::Descending => !0,
        }
    }

    /// Turns `bytes` over if values descend.
    pub(crate) fn turn(self, bytes: &mut [u8]) {
        if self == Self::Descending {
            for byte in bytes {
                *byte = !*byte;
            }
        }
    }
}

impl KeyField {
    /// Its dotted path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// In which order its values stand.
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Appends the bytes of `value` to `key` as they stand in this field of a key.
    pub fn encode(&self, value: Value<'_>, key: &mut Vec<u8>) {
        let start = key.len();
        encode(value, key);
        self.direction.turn(&mut key[start..]);
    }
}

impl KeyPattern {
    /// How many fields an index has at most.
    pub const FIELDS_MAX: usize = 32;

    /// How long a key pattern is at most, in bytes of BSON.
    pub const BYTES_MAX: usize = 2048;

    /// Parses a key pattern.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::CANNOT_CREATE_INDEX`] for what is no key pattern and for kinds of index that are not
    /// supported (`"text"`, `"2dsphere"`, `"hashed"`, `$**`), 13103 for more than [`Self::FIELDS_MAX`] fields.
    pub fn parse(pattern: &RawDocument) -> Result<Self> {
        let bytes = pattern.as_bytes().len();
        if bytes > Self::BYTES_MAX {
            return Err(refused(format!(
                "the key pattern is {bytes} bytes long; at most {} are allowed",
                Self::BYTES_MAX
            )));
        }
        let fields = Document::from(pattern).iter().map(|(name, value)| parse_field(name, value));
        let fields = fields.collect::<Result<Box<[_]>>>()?;
        if fields.is_empty() {
            return Err(refused("a key pattern names at least one field"));
        }
        if fields.len() > Self::FIELDS_MAX {
            return Err(Error::location(
                13103,
                format!(
                    "the key pattern has {} fields; at most {} are allowed",
                    fields.len(),
                    Self::FIELDS_MAX
                ),
            ));
        }
        Ok(Self { fields, sparse: false })
    }

    /// The same for a sparse index: it has no keys for what has none of its fields.
    #[must_use]
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Whether it is that of a sparse index.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }

    /// The fields, in order. There is at least one.
    pub fn fields(&self) -> &[KeyField] {
        &self.fields
    }

    /// Whether it is `{_id: 1}` or `{_id: -1}`.
    pub fn is_id(&self) -> bool {
        matches!(&*self.fields, [field] if field.path.as_str() == "_id")
    }

    /// The name that an index without a name gets: `a_1_b.c_-1`.
    pub fn default_name(&self) -> String {
        let mut name = String::new();
        for KeyField { path, written, .. } in &self.fields {
            let separator = if name.is_empty() { "" } else { "_" };
            let _ = write!(name, "{separator}{path}_{written}");
        }
        name
    }
}

fn parse_field(name: &str, value: Value<'_>) -> Result<KeyField> {
    let direction = parse_direction(name, value)?;
    if name == "$**" || name.ends_with(".$**") {
        return Err(refused(format!("wildcard indexes, as '{name}' names one, are not supported")));
    }
    let path = Path::new(name);
    for (index, part) in path.parts().enumerate() {
        let reference = index > 0 && matches!(part, "$db" | "$id" | "$ref");
        if part.is_empty() {
            return Err(refused(format!(
                "the path '{name}' in the key pattern has an empty part; each must name a field"
            )));
        }
        if part.starts_with('$') && !reference {
            return Err(refused(format!(
                "the path '{name}' in the key pattern has the part '{part}'; none may begin with '$'"
            )));
        }
    }
    if name == "_fts" {
        return Err(refused("the field name '_fts' is kept for text indexes"));
    }
    let written = match Number::of(value).map(|number| (number, number.as_exact_i64())) {
        Some((_, Some(whole))) => whole.to_string(),
        Some((number, None)) => number.to_double().to_string(),
        None => String::new(),
    };
    Ok(KeyField { path, direction, written })
}

fn parse_direction(name: &str, value: Value<'_>) -> Result<Direction> {
    let allowed = "a number above 0 for ascending order, or below 0 for descending";
    if let Value::String(kind) = value {
        return Err(refused(match kind {
            "2d" | "2dsphere" | "2dsphere_bucket" | "text" | "hashed" | "wildcard"
            | "columnstore" => {
                format!(
                    "'{kind}' indexes, as for field '{name}', are not supported; allowed is {allowed}"
                )
            }
            _ => format!("'{kind}' at field '{name}' is no kind of index; allowed is {allowed}"),
        }));
    }
    let Some(number) = Number::of(value) else {
        return Err(refused(format!(
            "the key pattern has a value of type {} at field '{name}'; allowed is {allowed}",
            value.type_name()
        )));
    };
    let number = number.to_double();
    if number > 0.0 {
        Ok(Direction::Ascending)
    } else if number < 0.0 {
        Ok(Direction::Descending)
    } else {
        Err(refused(format!(
            "the key pattern has {number} at field '{name}'; allowed is {allowed}"
        )))
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::CANNOT_CREATE_INDEX, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bson::{Bson, RawDocumentBuf, bson, doc};

    fn parse(pattern: &bson::Document) -> Result<KeyPattern> {
        KeyPattern::parse(&RawDocumentBuf::try_from(pattern).unwrap())
    }

    #[track_caller]
    fn check_named(pattern: &bson::Document, name: &str) {
        assert_eq!(parse(pattern).unwrap().default_name(), name, "{pattern}");
    }

    #[track_caller]
    fn check_refused(pattern: &bson::Document, code: i32) {
        let error = parse(pattern).expect_err(&pattern.to_string());
        assert_eq!(error.code().value(), code, "{pattern}: {error}");
    }

    #[test]
    fn names_are_made_of_fields_and_directions() {
        check_named(&doc! { "a": 1 }, "a_1");
        check_named(&doc! { "a": 1.0, "b.c": -1_i64 }, "a_1_b.c_-1");
        check_named(&doc! { "a": 0.5 }, "a_0.5");
        check_named(&doc! { "a.$id": 1 }, "a.$id_1");
        check_named(&doc! { "_id": 1 }, "_id_1");
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for value in [bson!(0), bson!(f64::NAN), bson!(null), bson!(true), bson!("up"), bson!({})] {
            check_refused(&doc! { "a": 1, "b": value }, 67);
        }
        for name in ["", "a..b", ".a", "a.", "$a", "a.$b", "$id", "$**", "a.$**", "_fts"] {
            check_refused(&doc! { name: 1 }, 67);
        }
        for kind in ["text", "hashed", "2dsphere", "2d"] {
            check_refused(&doc! { "a": kind }, 67);
        }
        check_refused(&doc! {}, 67);
        check_refused(&doc! { "a".repeat(2048): 1 }, 67);
    }

    #[test]
    fn there_are_at_most_32_fields() {
        let pattern = |fields: usize| -> bson::Document {
            (0..fields).map(|field| (format!("f{field}"), Bson::Int32(1))).collect()
        };
        assert!(parse(&pattern(32)).is_ok());
        check_refused(&pattern(33), 13103);
    }
}
