//! How the program ended.

use std::process::{self, Termination};

/// The exit code of the program: as the standard library's, but one that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// It did what it was asked to.
    pub const SUCCESS: Self = Self(0);

    /// What it was asked for is not so.
    pub const FAILURE: Self = Self(1);
}

impl From<u8> for ExitCode {
    fn from(code: u8) -> Self {
        Self(code)
    }
}

impl From<ExitCode> for u8 {
    fn from(code: ExitCode) -> Self {
        code.0
    }
}

impl Termination for ExitCode {
    fn report(self) -> process::ExitCode {
        self.0.into()
    }
}
