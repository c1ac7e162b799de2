//! Where a store is, and how it is reached.

use std::fmt;
use std::path::{self, Path, PathBuf};
use std::time::Duration;

use lockstore::Store;
use lockstore_mongo::{ReplicaSetOptions, is_replica_set, without_secrets};
use lockstore_server::ConnectOptions;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{Class, Error};
use crate::options::Options;
use crate::program::started_by_python;

/// Where a store is, with the options that were given for it.
#[derive(Clone)]
pub(crate) struct Place {
    at: At,
    options: Options,
}

#[derive(Clone)]
enum At {
    /// A file, by its absolute path.
    File(PathBuf),
    /// An address as MongoDB's drivers take it. It may have a password in it, which is shown nowhere.
    ReplicaSet(String),
}

impl Place {
    /// A path, or the address of a replica set. Options that are about the other one are refused.
    pub(crate) fn new(named: &Path, given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let options = Options::of(given)?;
        let at = At::named(named)?;
        let (useless, what) = match &at {
            At::File(_) => (options.of_replica_sets(), "a replica set, and this store is a file"),
            At::ReplicaSet(_) => (options.of_files(), "a file, and this store is a replica set"),
        };
        match useless {
            Some(name) => Err(invalid(format!("{name} is about {what}")).into()),
            None => Ok(Self { at, options }),
        }
    }

    /// What connects to the store, on any thread, and may take as long as that takes.
    pub(crate) fn connecting(
        &self,
        py: Python<'_>,
    ) -> PyResult<impl FnOnce() -> Result<Store, Error> + Send + use<>> {
        let connect = match &self.at {
            At::File(path) => {
                let options = ConnectOptions::new()
                    .idle_exit(self.options.idle_exit.unwrap_or(IDLE_EXIT))
                    .start_timeout(self.options.start_timeout.unwrap_or(START_TIMEOUT));
                Connect::File(path.clone(), started_by_python(py, options)?)
            }
            At::ReplicaSet(address) => {
                Connect::ReplicaSet(address.clone(), self.options.replica_set())
            }
        };
        Ok(move || match connect {
            Connect::File(path, options) => Ok(options.connect(path)?),
            Connect::ReplicaSet(address, options) => Ok(options.connect(&address)?),
        })
    }

    /// The file, if it is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.at {
            At::File(path) => Some(path),
            At::ReplicaSet(_) => None,
        }
    }

    /// The address for MongoDB's drivers, with all that is in it.
    pub(crate) fn uri(&self) -> Result<String, Error> {
        match &self.at {
            At::File(path) => Ok(lockstore_server::uri(path)?),
            At::ReplicaSet(address) => Ok(address.clone()),
        }
    }

    /// What makes the same place of it in another process.
    pub(crate) fn pickled<'py>(&self, py: Python<'py>) -> PyResult<Pickled<'py>> {
        let named = match &self.at {
            At::File(path) => path.into_pyobject(py)?,
            At::ReplicaSet(address) => address.into_pyobject(py)?.into_any(),
        };
        Ok((named, self.options.given(py)?))
    }
}

/// The path or the address, and the options.
pub(crate) type Pickled<'py> = (Bound<'py, PyAny>, Bound<'py, PyDict>);

enum Connect {
    File(PathBuf, ConnectOptions),
    ReplicaSet(String, ReplicaSetOptions),
}

impl At {
    fn named(named: &Path) -> Result<Self, Error> {
        match named.to_str() {
            Some(address) if is_replica_set(address) => Ok(Self::ReplicaSet(address.to_owned())),
            _ if has_scheme(&named.to_string_lossy()) => Err(invalid(NEITHER)),
            _ => path::absolute(named).map(Self::File).map_err(|error| {
                invalid(format!("{} is no path to a store: {error}", named.display()))
            }),
        }
    }
}

/// As it is shown: a path, or an address without what is secret.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::File(path) => path.display().fmt(f),
            At::ReplicaSet(address) => f.write_str(&without_secrets(address)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A path or an address as `Place` shows it, for `repr` and names of what has one.
#[pyfunction]
pub(crate) fn shown(named: PathBuf) -> String {
    match named.to_str() {
        Some(address) if is_replica_set(address) => without_secrets(address),
        _ => named.to_string_lossy().into_owned(),
    }
}

/// Whether something is written like an address. `Path` makes one slash of two.
fn has_scheme(named: &str) -> bool {
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    let scheme = named.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.chars().all(is_scheme))
        || named.starts_with("mongodb:/")
        || named.starts_with("mongodb+srv:/")
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(Class::InvalidArgument, message)
}

/// What is neither may have a password in it, and is not repeated.
const NEITHER: &str =
    "a store is a path, or a str that begins with mongodb:// or mongodb+srv://, which is no Path";

/// What is usual.
const IDLE_EXIT: Duration = Duration::from_secs(60);

/// What is usual.
const START_TIMEOUT: Duration = Duration::from_secs(10);
