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

/// Scheme and hosts. Options may have secrets too, and a user is nobody's business.
impl fmt::Display for ReplicaSetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.uri.split_once("://").unwrap_or_default();
        // A password may have anything in it, if it was not escaped as it should be.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
        let hosts = rest.split(['/', '?']).next().unwrap_or_default();
        let hosts = if hosts.split(',').all(is_host) { hosts } else { "..." };
        write!(f, "{scheme}://{hosts}")
    }
}

impl fmt::Debug for ReplicaSetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A name and perhaps a port. (After a user there would be a password, which may be one of digits only; but then comes an `@`.)
fn is_host(host: &str) -> bool {
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
    name.chars().all(is_name) && port.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(uri: &str) -> String {
        ReplicaSetAddress::parse(Path::new(uri)).unwrap().unwrap().to_string()
    }

    #[test]
    fn what_is_shown_of_an_address_is_no_secret() {
        assert_eq!(
            shown("mongodb://a:27017,b,[::1]:3/db?replicaSet=rs0"),
            "mongodb://a:27017,b,[::1]:3"
        );
        assert_eq!(shown("mongodb+srv://u:secret@a.example.org"), "mongodb+srv://a.example.org");
        for uri in [
            "mongodb://user:secret@a,b/?tlsCertificateKeyFilePassword=secret",
            "mongodb://user:sec/ret@a,b/",
            "mongodb://user:secret@secret@a,b",
            "mongodb://user:secret",
            "mongodb://us/er:secret?@a,b",
            "mongodb://user%40secret:secret/",
        ] {
            let shown = shown(uri);
            assert!(!shown.contains("sec") && !shown.contains("ret"), "{shown}");
            assert!(!format!("{:?}", ReplicaSetAddress::parse(Path::new(uri))).contains("secret"));
        }
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
