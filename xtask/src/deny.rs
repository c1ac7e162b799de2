//! What the dependencies must be: see `deny.toml`.

use crate::step::{Outcome, Step};
use crate::tool::CARGO_DENY;

/// Duplicates, licences and sources. Needs no network beyond what cargo needs to build.
pub(crate) fn policies() -> Outcome {
    let program = CARGO_DENY.ready()?;
    Step::new("dependencies", program)
        .args(["--all-features", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .run()
}

/// Known vulnerabilities. Fetches the advisory database; not part of the tests, because its answer
/// changes without a change of ours.
pub(crate) fn advisories() -> Outcome {
    let program = CARGO_DENY.ready()?;
    Step::new("advisories", program).args(["check", "advisories"]).run()
}
