//! MongoDB's Rust driver as the client of a server. It is a workspace of its own: its packages are nothing of ours.

use std::path::Path;

use crate::step::{Outcome, Step};
use crate::tool::target_folder;

pub(crate) fn formatting() -> Outcome {
    Step::cargo("format of drivers/rust/", "fmt --manifest-path drivers/rust/Cargo.toml -- --check")
        .run()
}

/// Builds its tests, and runs them against `program`.
pub(crate) fn test(program: &Path) -> Outcome {
    Step::cargo(
        "an unmodified Rust driver",
        "test --locked --manifest-path drivers/rust/Cargo.toml --target-dir",
    )
    .args([target_folder().join("drivers")])
    .env("LOCKSTORE", &program.to_string_lossy())
    .run()
}
