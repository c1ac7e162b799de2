//! The keys of side grants, which no user can name.

use lockcore::Key;

use crate::documents::{CollectionId, RecordId};
use crate::error::ArgumentError;

/// Where a document is. No record of a collection is used twice while something refers to it.
pub(crate) type DocumentAt = (CollectionId, RecordId);

/// The key under which a document's side grant stands: `"\0document/<collection>/<record>"`.
pub(crate) fn side_key((collection, record): DocumentAt) -> Key {
    Key::new(&format!("{PREFIX}{collection}/{record}")).expect("it is short, and not empty")
}

/// Whose side grant stands under a key; `None` for a key of a user's.
pub(crate) fn document_of(key: &str) -> Option<DocumentAt> {
    let (collection, record) = key.strip_prefix(PREFIX)?.split_once('/')?;
    Some((CollectionId::new(collection.parse().ok()?), RecordId::new(record.parse().ok()?)))
}

/// Whether a key is the store's own.
pub(crate) fn is_side_key(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Parses a user's key: any but those that the store keeps for itself.
pub(crate) fn user_key(key: &str) -> Result<Key, ArgumentError> {
    check_user_key(key)?;
    Ok(Key::new(key)?)
}

/// Whether [`user_key`] would take it, without taking it.
pub(crate) fn check_user_key(key: &str) -> Result<(), ArgumentError> {
    if is_side_key(key) {
        return Err(ArgumentError::ReservedKey);
    }
    Ok(Key::check(key)?)
}

/// What the store's own keys begin with: long enough that nobody means anything else by it, for all other strings are keys.
const PREFIX: &str = "\0document/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_side_grant_tells_its_document() {
        for at in [(1, 1), (7, u64::MAX), (u32::MAX, 0)] {
            let at = (CollectionId::new(at.0), RecordId::new(at.1));
            let key = side_key(at);
            assert!(is_side_key(&key));
            assert_eq!(document_of(&key), Some(at));
        }
        for key in ["document/1/2", "\0document/1", "\0document/x/2", "\0", "1/2"] {
            assert_eq!(document_of(key), None, "{key:?}");
        }
    }

    #[test]
    fn a_user_cannot_name_a_key_of_the_store() {
        assert_eq!(user_key("\0document/1/2"), Err(ArgumentError::ReservedKey));
        assert_eq!(check_user_key("\0document/"), Err(ArgumentError::ReservedKey));
        for key in ["\0", "\0documents", "a\0document/1"] {
            assert_eq!(user_key(key).unwrap().as_str(), key);
        }
        assert!(matches!(user_key(""), Err(ArgumentError::Name(_))));
    }
}
