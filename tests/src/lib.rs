//! What the scenario, crash and conformance tests share; the tests are in the `tests` folder.

pub mod call;
pub mod machine;
pub mod patience;
pub mod task;
