//! `cargo xtask bench`: ours beside the peers, in one run.

use crate::step::{Outcome, Step};

pub(crate) fn run(args: &[&str]) -> Outcome {
    let args = args.iter().filter(|&&arg| arg != "--");
    Step::cargo("bench", "run --release --package lockstore-benches -- locks").args(args).run()
}
