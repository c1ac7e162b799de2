//! Evaluating what users wrote, on the writer's thread.

use std::panic::{AssertUnwindSafe, catch_unwind};

use docquery::{Error, ErrorCode};

use crate::error::DocumentError;
use crate::writer::panic_text;

/// Runs something that only looks: a filter, an update, the keys of a document. If it panics, that is a mistake of
/// ours in evaluating it, which fails the one who asked for it and stops nobody's locks: nothing was changed yet.
pub(crate) fn contained<T>(
    evaluate: impl FnOnce() -> Result<T, DocumentError>,
) -> Result<T, DocumentError> {
    catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|panic| {
        let message = format!("the evaluation failed: {}; please report it", panic_text(&*panic));
        Err(Error::new(ErrorCode::INTERNAL_ERROR, message).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_of_the_one_who_asked() {
        let error = contained::<()>(|| panic!("at {}", "once")).unwrap_err();
        assert_eq!(error.to_string(), "the evaluation failed: at once; please report it");
        contained(|| Ok(())).unwrap();
    }
}
