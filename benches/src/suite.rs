//! Scenarios that are run one after the other, and what is made of what they measure.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::Result;
use crate::place::Place;
use crate::report::{Report, Section};
use crate::targets::{self, Target};

/// What all suites can be told.
#[derive(Debug, Args)]
#[group(id = "suite_options")]
pub(crate) struct Options {
    /// Shorten all and scale it down: less than a minute
    #[arg(long)]
    quick: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Compare the figures with the targets, and exit with 1 if one of a full run is missed
    #[arg(long)]
    check: bool,
    /// Measure in this folder, which must be on a disk [default: the folder for temporary files]
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// One thing to measure.
#[derive(Debug)]
pub(crate) struct Scenario<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Place, &S) -> Result<Section>,
}

/// Scenarios in the order in which they are run, and how much they measure.
#[derive(Debug)]
pub(crate) struct Suite<S: 'static> {
    pub(crate) scenarios: &'static [Scenario<S>],
    pub(crate) full: S,
    pub(crate) quick: S,
    pub(crate) targets: &'static [Target],
}

impl<S> Suite<S> {
    /// What the scenarios are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> + use<S> {
        self.scenarios.iter().map(|scenario| scenario.name)
    }

    /// Runs the scenarios, or `only` one, prints what they measure, and tells whether the targets were reached
    /// if asked to.
    pub(crate) fn run(&self, options: &Options, only: Option<&str>) -> Result<ExitCode> {
        let scale = if options.quick { &self.quick } else { &self.full };
        let folder = options.dir.clone().unwrap_or_else(std::env::temp_dir);
        let place = Place::new(&folder)?;
        let mut report = Report::new(&place, options.quick);
        for scenario in self.scenarios {
            if only.is_none_or(|only| only == scenario.name) {
                report.add((scenario.run)(&place, scale)?);
            }
        }
        if let Some(path) = &options.json {
            report.write_json(path)?;
        }
        let missed = options.check && !targets::check(self.targets, &report).all_reached();
        Ok(if missed && !options.quick { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
