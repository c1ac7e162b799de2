//! Programs that do not come with Rust, pinned and installed on first use; and those that do, but
//! may be missing.

use std::env;
use std::path::{Path, PathBuf};

use crate::step::{Failure, Outcome, Step, probe};

/// A program published as a crate. Both versions build with the oldest Rust that we support.
#[derive(Debug)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// cargo-deny: duplicates, licences, sources and advisories of the dependencies.
pub(crate) const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// cargo-fuzz: builds and runs fuzz targets. (0.13.2 needs Rust 1.91.)
pub(crate) const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.1" };

impl Tool {
    /// The program: from the PATH where it has our version, else from `target/tools`, where it is
    /// installed if need be.
    pub(crate) fn ready(&self) -> Outcome<PathBuf> {
        let folder = target_folder().join("tools");
        let ours = folder.join("bin").join(self.name);
        if self.is_at(Path::new(self.name)) {
            return Ok(self.name.into());
        }
        if !self.is_at(&ours) {
            self.install(&folder)?;
        }
        Ok(ours)
    }

    fn is_at(&self, program: &Path) -> bool {
        let printed = probe(program, &["--version"]).unwrap_or_default();
        printed.split_whitespace().last() == Some(self.version)
    }

    /// Without optimizations: that halves the time to build, and each runs in under a second.
    fn install(&self, folder: &Path) -> Outcome {
        let Self { name, version } = self;
        Step::cargo(format!("install {name}"), "install --debug --locked")
            .args(["--version", &format!("={version}"), "--root"])
            .args([folder.as_os_str(), name.as_ref()])
            .run()
    }
}

/// Refuses to go on without a component of the Rust toolchain, and says how to get it.
pub(crate) fn component(name: &str, subcommand: &str) -> Outcome {
    match probe("cargo", &[subcommand, "--version"]) {
        Some(_) => Ok(()),
        None => Err(Failure::new(format!(
            "{name} is missing from this Rust toolchain: `rustup component add {name}` installs it"
        ))),
    }
}

/// Where everything is built.
pub(crate) fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from)
}
