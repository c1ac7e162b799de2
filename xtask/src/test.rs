//! `cargo xtask test`: everything a change must pass. What fails fastest comes first, and the tests
//! come last, so that the test runner's closing lines end the log.

use std::fs;
use std::path::PathBuf;

use crate::step::{Failure, Outcome, Step};
use crate::tally::Tally;
use crate::{deny, driver, examples, fuzz, mongod, python, tool};

pub(crate) fn run() -> Outcome {
    formatting()?;
    lints()?;
    documentation()?;
    deny::policies()?;
    examples::run_all()?;
    let program = program()?;
    python::driver(&program)?;
    driver::test(&program)?;
    python::package()?;
    tests()
}

fn formatting() -> Outcome {
    tool::component("rustfmt", "fmt")?;
    Step::cargo("format", "fmt --all -- --check").run()?;
    if fuzz::has_targets()? {
        Step::cargo("format of fuzz/", "fmt --manifest-path fuzz/Cargo.toml -- --check").run()?;
    }
    driver::formatting()
}

fn lints() -> Outcome {
    tool::component("clippy", "clippy")?;
    Step::cargo("lints", "clippy --workspace --all-targets --all-features -- -D warnings").run()
}

/// Of the libraries: the program and the library are both called lockstore, and would share pages.
fn documentation() -> Outcome {
    Step::cargo("documentation", "doc --workspace --lib --no-deps --all-features")
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}

/// The `lockstore` program, which tests of other languages and workspaces run.
fn program() -> Outcome<PathBuf> {
    Step::cargo("build of the program", "build --workspace --bin lockstore").run()?;
    fs::canonicalize(tool::target_folder().join("debug/lockstore"))
        .map_err(|error| Failure::new(format!("the program was not built: {error}")))
}

/// Doc tests, then all others. Every test program runs even when one has failed, and when there is no mongod: the tests that
/// need one fail, and say so.
fn tests() -> Outcome {
    let mut tally = Tally::default();
    let mut watched = |step: Step| step.run_watched(|line| tally.see(line));

    let doc_tests = watched(Step::cargo("doc tests", "test --workspace --doc --no-fail-fast"));
    let tests = Step::cargo("tests", "test --workspace --tests --no-fail-fast");
    let tests = watched(mongod::for_tests(tests));
    println!("    {tally}");
    doc_tests.and(tests)
}
