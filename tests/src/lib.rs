//! Scenario, crash and conformance tests; see the `tests` folder.
