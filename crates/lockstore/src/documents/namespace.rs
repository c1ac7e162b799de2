//! The name of a collection.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use docquery::{Error, ErrorCode};

/// A database and a collection in it: `database.collection`, where the database has no dot in its name and the
/// collection may have some.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Namespace(Arc<str>);

impl Namespace {
    /// Checks the names.
    pub(crate) fn new(database: &str, collection: &str) -> Result<Self, Error> {
        Self::check_database(database)?;
        let namespace = format!("{database}.{collection}");
        let wrong = if collection.is_empty() {
            "the collection has no name".to_owned()
        } else if collection.starts_with('.') || collection.ends_with('.') {
            "the collection's name may not begin or end with a dot".to_owned()
        } else if let Some(letter) = collection.chars().find(|letter| "$\0".contains(*letter)) {
            format!("the collection's name may not have the letter {letter:?}")
        } else if namespace.len() > NAMESPACE_BYTES_MAX {
            format!(
                "it is {} bytes long; at most {NAMESPACE_BYTES_MAX} are allowed",
                namespace.len()
            )
        } else {
            return Ok(Self(namespace.into()));
        };
        Err(invalid(&namespace, &wrong))
    }

    /// Checks the name of a database.
    pub(crate) fn check_database(database: &str) -> Result<(), Error> {
        let wrong = if database.is_empty() {
            "the database has no name".to_owned()
        } else if let Some(letter) = database.chars().find(|letter| "/\\. \"$\0".contains(*letter))
        {
            format!("the database's name may not have the letter {letter:?}")
        } else if database.len() > DATABASE_BYTES_MAX {
            format!(
                "the database's name is {} bytes long; at most {DATABASE_BYTES_MAX} are allowed",
                database.len()
            )
        } else {
            return Ok(());
        };
        Err(invalid(database, &wrong))
    }

    pub(crate) fn database(&self) -> &str {
        self.0.split_once('.').expect(DOTTED).0
    }

    pub(crate) fn collection(&self) -> &str {
        self.0.split_once('.').expect(DOTTED).1
    }

    /// Both names, with a dot between them.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How the names of collections begin that a pipeline fills before they take over another's name. They are gone at the next
/// opening.
pub(crate) const TEMPORARY: &str = "tmp.agg_out.";

fn invalid(namespace: &str, wrong: &str) -> Error {
    let message = format!("Invalid namespace specified '{namespace}': {wrong}");
    Error::new(ErrorCode::INVALID_NAMESPACE, message)
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The longest name of a database, in bytes of UTF-8.
const DATABASE_BYTES_MAX: usize = 63;

/// The longest name of a collection, with its database and the dot, in bytes of UTF-8.
const NAMESPACE_BYTES_MAX: usize = 255;

const DOTTED: &str = "a namespace is made with a dot";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart_at_its_first_dot() {
        let namespace = Namespace::new("shop", "orders.2024").unwrap();
        assert_eq!((namespace.database(), namespace.collection()), ("shop", "orders.2024"));
        assert_eq!(namespace.to_string(), "shop.orders.2024");
    }

    #[test]
    fn a_name_that_no_collection_may_have_is_refused() {
        let long = "x".repeat(256);
        for (database, collection) in [
            ("", "c"),
            ("a.b", "c"),
            ("a b", "c"),
            ("a$b", "c"),
            (&long[..64], "c"),
            ("d", ""),
            ("d", ".c"),
            ("d", "c."),
            ("d", "a$b"),
            ("d", "a\0b"),
            ("d", &long),
        ] {
            let error = Namespace::new(database, collection).unwrap_err();
            assert_eq!(error.code(), ErrorCode::INVALID_NAMESPACE, "{database:?} {collection:?}");
        }
    }
}
