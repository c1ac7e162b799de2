//! The address of a replica set, which may have a password in it.

use std::fmt;
use std::path::Path;

use crate::failure::Failure;

/// An address as MongoDB's drivers take it. It is shown without all that may be secret.
#[derive(Clone)]
pub(crate) struct ReplicaSetAddress {
    uri: String,
}

impl ReplicaSetAddress {
    /// `None` if it is no address but a path. What is neither is not repeated in the failure, for the same reason.
    pub(crate) fn parse(named: &Path) -> Result<Option<Self>, Failure> {
        let lossy = named.to_string_lossy();
        let Some((scheme, _)) = lossy.split_once("://") else { return Ok(None) };
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        match (scheme, named.to_str()) {
            ("mongodb" | "mongodb+srv", Some(uri)) => Ok(Some(Self { uri: uri.to_owned() })),
            _ if !scheme.chars().all(is_scheme) => Ok(None),
            _ => Err(Failure::usage(
                "a store is a path, or an address that begins with mongodb:// or mongodb+srv://",
            )),
        }
    }

    /// All of it: for the driver, and for the environment of programs.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }
}

impl fmt::Display for ReplicaSetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lockstore_mongo::without_secrets(&self.uri))
    }
}

impl fmt::Debug for ReplicaSetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_address_is_no_secret() {
        let address = ReplicaSetAddress::parse(Path::new("mongodb://u:secret@a,b/?x=secret"));
        let address = address.unwrap().unwrap();
        assert_eq!(
            (address.to_string(), format!("{address:?}")),
            ("mongodb://a,b".into(), "mongodb://a,b".into())
        );
    }

    #[test]
    fn a_path_is_no_address_and_another_scheme_is_not_repeated() {
        for path in ["locks.redb", "/srv/mongodb:/x", "./odd name://x", "mongodb:/x"] {
            assert!(ReplicaSetAddress::parse(Path::new(path)).unwrap().is_none(), "{path}");
        }
        for uri in ["MongoDB://u:secret@a", "redis://u:secret@a"] {
            let failure = ReplicaSetAddress::parse(Path::new(uri)).unwrap_err().to_string();
            assert!(!failure.contains("secret"), "{failure}");
        }
    }
}
