//! The `lockstore` program that the package brings along: `python -m lockstore`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use lockstore_cli::Program;
use lockstore_server::ConnectOptions;
use pyo3::prelude::*;

/// Runs the `lockstore` program with these arguments, of which the first is its name, and returns its exit code. It takes the
/// process as its own.
#[pyfunction]
pub(crate) fn main(py: Python<'_>, arguments: Vec<OsString>) -> PyResult<u8> {
    let program = match python(py)? {
        Some(python) => Program::with_arguments(python, ARGUMENTS),
        None => Program::default(),
    };
    Ok(py.detach(|| lockstore_cli::run(&program, arguments).into()))
}

/// Has servers started by this Python, unless the environment names a program or this is no Python that could: a program that has one
/// inside, say.
pub(crate) fn started_by_python(
    py: Python<'_>,
    options: ConnectOptions,
) -> PyResult<ConnectOptions> {
    if std::env::var_os(VARIABLE).is_some_and(|named| !named.is_empty()) {
        return Ok(options);
    }
    Ok(match python(py)? {
        Some(python) => options.program(python).program_arguments(ARGUMENTS),
        None => options,
    })
}

/// `sys.executable`, if it is a Python.
fn python(py: Python<'_>) -> PyResult<Option<PathBuf>> {
    let executable = py.import("sys")?.getattr("executable")?;
    let executable: Option<PathBuf> = executable.extract()?;
    let is_python = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("python") || name.starts_with("pypy")
    };
    Ok(executable.filter(|path| is_python(path)))
}

/// What makes a Python `lockstore`.
const ARGUMENTS: [&str; 2] = ["-m", "lockstore"];

/// Names the program that serves stores.
const VARIABLE: &str = "LOCKSTORE_PROGRAM";
