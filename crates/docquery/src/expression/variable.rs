//! Variables: `$$NAME`.

use super::scope::{Scope, Slot};
use crate::{Error, ErrorCode, OwnedValue, Result, Value};

/// Where the value of a variable comes from.
#[derive(Clone, Debug)]
pub(super) enum Variable {
    /// The document: `$$ROOT`, and `$$CURRENT` where nobody binds it.
    Root,
    /// Somebody around binds it.
    Bound(Slot),
    /// It is the same for all documents: `$$NOW`, `$$REMOVE`, those of the command's `let`.
    Constant(OwnedValue),
}

impl Variable {
    /// The variable that `name`, without dollar signs, stands for.
    ///
    /// # Errors
    ///
    /// There is none (17276), or no variable may have this name.
    pub(super) fn named(name: &str, scope: &Scope<'_>) -> Result<Self> {
        check_name(name, u8::is_ascii_alphabetic)?;
        if let Some(slot) = scope.slot(name) {
            return Ok(Self::Bound(slot));
        }
        if let Some(value) = scope.environment().variable(name) {
            return Ok(Self::Constant(value));
        }
        if scope.environment().is_declared(name) {
            return Ok(Self::Bound(Slot::LATER));
        }
        match name {
            "ROOT" | "CURRENT" => Ok(Self::Root),
            "REMOVE" => Ok(Self::Constant(Value::Missing.into())),
            "NOW" => Ok(Self::Constant(Value::DateTime(scope.environment().now_ms()).into())),
            "CLUSTER_TIME" | "JS_SCOPE" | "IS_MR" | "SEARCH_META" | "USER_ROLES" => {
                Err(Error::location(51144, format!("the variable $${name} has no value here")))
            }
            _ => Err(Error::location(
                17276,
                format!(
                    "there is no variable $${name}; variables are bound by $let, $map and the like, or by \
                     the command's 'let', and the system's are $$ROOT, $$CURRENT, $$NOW and $$REMOVE"
                ),
            )),
        }
    }
}

/// Checks the name of a variable that a user binds: it begins with a small letter, or is `CURRENT`.
///
/// # Errors
///
/// [`ErrorCode::FAILED_TO_PARSE`]
pub(crate) fn check_bound_name(name: &str) -> Result<()> {
    if name == "CURRENT" {
        return Ok(());
    }
    check_name(name, u8::is_ascii_lowercase)
}

fn check_name(name: &str, may_begin: fn(&u8) -> bool) -> Result<()> {
    let bytes = name.as_bytes();
    let problem = match bytes {
        [] => "empty variable names are not allowed".to_owned(),
        [first, ..] if first.is_ascii() && !may_begin(first) => {
            format!(
                "'{name}' starts with an invalid character for a variable name; letters are allowed, \
                 and for names of users small letters only"
            )
        }
        [_, rest @ ..] => {
            let allowed =
                |byte: &u8| !byte.is_ascii() || byte.is_ascii_alphanumeric() || *byte == b'_';
            if rest.iter().all(allowed) {
                return Ok(());
            }
            format!(
                "'{name}' contains an invalid character for a variable name; letters, digits and '_' \
                 are allowed"
            )
        }
    };
    Err(Error::new(ErrorCode::FAILED_TO_PARSE, problem))
}

#[cfg(test)]
mod tests {
    use bson::{DateTime, bson, doc};

    use super::*;
    use crate::expression::testing::{check, check_error, check_on};

    #[test]
    fn the_system_has_variables() {
        check_on(&doc! {"a": 1}, "$$ROOT", bson!({"a": 1}));
        check_on(&doc! {"a": 1}, "$$CURRENT.a", 1);
        check("$$NOW", DateTime::from_millis(0));
        check(bson!({"a": "$$REMOVE", "b": 1}), bson!({"b": 1}));
        check_error("$$now", 17276);
        check_error("$$CLUSTER_TIME", 51144);
    }

    #[test]
    fn names_of_users_begin_with_a_small_letter() {
        for name in ["a", "aB_1", "é", "aé", "CURRENT"] {
            assert!(check_bound_name(name).is_ok(), "{name}");
        }
        for name in ["", "A", "ROOT", "_a", "1a", "a.b", "a$", "a b"] {
            let code = check_bound_name(name).unwrap_err().code();
            assert_eq!(code, ErrorCode::FAILED_TO_PARSE, "{name}");
        }
        for path in ["$$", "$$$", "$$.a", "$$a-b", "$$1"] {
            check_error(path, 9);
        }
    }
}
