//! `lockstore completions`: what a shell needs to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::output::print;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "lockstore", &mut script);
        print(&String::from_utf8_lossy(&script))?;
        Ok(ExitCode::SUCCESS)
    }
}

const ABOUT: &str = "\
Print a script that has a shell complete the commands and options of lockstore.";

const EXAMPLES: &str = "\
Examples:
  lockstore completions bash > /etc/bash_completion.d/lockstore
  lockstore completions zsh > \"${fpath[1]}/_lockstore\"
  lockstore completions fish > ~/.config/fish/completions/lockstore.fish";
