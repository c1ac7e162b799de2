//! Tests that are written in Python: programs that users have, unmodified, against the `lockstore` program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::mongod;
use crate::step::{Failure, Outcome, Step, probe};
use crate::tool::target_folder;

/// An unmodified MongoDB driver as the client of a server.
pub(crate) fn driver(program: &Path) -> Outcome {
    let python = environment("pymongo", DRIVERS)?;
    Step::new("an unmodified pymongo", python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", DRIVERS])
        .env("LOCKSTORE", &program.to_string_lossy())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .run()
}

/// The Python package: its wheel is built and installed, and used by the real programs, on files and on a real replica set.
pub(crate) fn package() -> Outcome {
    // The same profile as the tests': what they share is built once.
    let python = with_package("dev")?;
    Step::new("the types of the package", &python)
        .args(["-m", "mypy.stubtest", "--concise", "lockstore"])
        .run()?;
    let tests = Step::new("the Python package", &python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE_TESTS])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    mongod::for_tests(tests).run()
}

/// The Python package, as it is released, beside its peers.
pub(crate) fn bench(args: &[&str]) -> Outcome {
    let python = with_package("release")?;
    Step::new("bench of python", python).args([PACKAGE_BENCH]).args(args).run()
}

/// A Python that has what the package is measured beside, and not the package.
pub(crate) fn peers() -> Outcome<PathBuf> {
    let python = environment("package", PACKAGE_TESTS)?;
    // The bench may have another working directory.
    std::path::absolute(&python)
        .map_err(|error| Failure::new(format!("cannot find {}: {error}", python.display())))
}

/// A Python that has the package, its wheel built with a profile of cargo's, and what its tests need.
fn with_package(profile: &str) -> Outcome<PathBuf> {
    let python = environment("package", PACKAGE_TESTS)?;
    let wheels = target_folder().join("tools/wheels");
    if wheels.exists() {
        // Of several versions pip would take the highest.
        fs::remove_dir_all(&wheels)
            .map_err(|error| Failure::new(format!("cannot empty {}: {error}", wheels.display())))?;
    }
    Step::new("build of the wheel", &python)
        .args(["-m", "maturin", "build", "--quiet", "--profile", profile])
        .args(["--compatibility", "linux", "--compression-method", "stored"])
        .args(["--manifest-path", PACKAGE, "--out"])
        .args([wheels.as_os_str(), "--interpreter".as_ref(), python.as_os_str()])
        .run()?;
    Step::new("install the wheel", &python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"])
        .args(["--no-deps", "--force-reinstall", "--find-links"])
        .args([wheels.as_os_str(), "lockstore".as_ref()])
        .run()?;
    Ok(python)
}

/// The Python of a virtual environment that has what `requirements.txt` in the folder `required_in` names. It is made anew when that
/// changes.
fn environment(name: &str, required_in: &str) -> Outcome<PathBuf> {
    let folder = target_folder().join("tools").join(format!("python-{name}"));
    let requirements = format!("{required_in}/requirements.txt");
    let wanted = fs::read_to_string(&requirements)
        .map_err(|error| Failure::new(format!("cannot read {requirements}: {error}")))?;
    let python = folder.join("bin/python");
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) && python.exists() {
        return Ok(python);
    }
    Step::new(format!("virtual environment for {name}"), "python3")
        .args(["-m", "venv", "--clear"])
        .args([&folder])
        .run()?;
    Step::new(format!("install {name}"), &python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .args([&requirements])
        .run()?;
    fs::write(&installed, wanted)
        .map_err(|error| Failure::new(format!("cannot write {}: {error}", installed.display())))?;
    Ok(python)
}

/// The folder of the packages of such a virtual environment.
pub(crate) fn packages(name: &str, required_in: &str) -> Outcome<PathBuf> {
    let python = environment(name, required_in)?;
    let folder = probe(&python, &["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]);
    let folder = folder.ok_or_else(|| {
        Failure::new(format!("{} does not say where its packages are", python.display()))
    })?;
    Ok(folder.trim_end().into())
}

/// The Python package.
const PACKAGE: &str = "crates/lockstore-py/Cargo.toml";

/// Its bench.
const PACKAGE_BENCH: &str = "crates/lockstore-py/benches/python.py";

/// Its tests.
const PACKAGE_TESTS: &str = "crates/lockstore-py/tests";

/// The tests of the wire protocol.
const DRIVERS: &str = "crates/lockstore-server/tests/pymongo";
