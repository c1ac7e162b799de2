//! What came out of a run, for people and for programs.

use std::fmt;

use serde::Serialize;

use super::replay::Failure;

/// All areas of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// In the order of their names.
    pub areas: Vec<AreaReport>,
}

/// One area.
#[derive(Clone, Debug)]
pub struct AreaReport {
    /// The name of its file.
    pub name: String,
    /// How many cases were run.
    pub cases: usize,
    /// Those that failed, by id.
    pub failures: Vec<Failure>,
}

impl AreaReport {
    /// How many cases were answered as recorded.
    pub fn passed(&self) -> usize {
        self.cases - self.failures.len()
    }
}

impl Report {
    /// How many cases were answered as recorded.
    pub fn passed(&self) -> usize {
        self.areas.iter().map(AreaReport::passed).sum()
    }

    /// The cases that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.areas.iter().flat_map(|area| &area.failures)
    }

    /// The report for programs.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn write_json(&self, out: impl std::io::Write) -> serde_json::Result<()> {
        let areas = self.areas.iter().map(|area| AreaJson {
            area: &area.name,
            passed: area.passed(),
            failed: area.failures.len(),
            failures: area.failures.iter().map(FailureJson::of).collect(),
        });
        let report = ReportJson {
            passed: self.passed(),
            failed: self.failures().count(),
            areas: areas.collect(),
        };
        serde_json::to_writer_pretty(out, &report)
    }
}

impl fmt::Display for Report {
    /// A line for each area, the ids that fail, and the totals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.areas.iter().map(|area| area.name.len()).max().unwrap_or_default();
        for area in &self.areas {
            let (name, passed, cases) = (&area.name, area.passed(), area.cases);
            writeln!(f, "{name:width$}  {passed:5} of {cases:5}  {}", percent(passed, cases))?;
        }
        if self.failures().next().is_some() {
            writeln!(f, "\nfailed:")?;
        }
        for failure in self.failures() {
            writeln!(f, "{}", failure.id)?;
        }
        write!(f, "\n{} passed, {} failed", self.passed(), self.failures().count())
    }
}

/// Rounded down, so that 100 means all.
fn percent(passed: usize, cases: usize) -> String {
    let tenths = (passed * 1000).checked_div(cases).unwrap_or(1000);
    format!("{:3}.{} %", tenths / 10, tenths % 10)
}

#[derive(Serialize)]
struct ReportJson<'a> {
    passed: usize,
    failed: usize,
    areas: Vec<AreaJson<'a>>,
}

#[derive(Serialize)]
struct AreaJson<'a> {
    area: &'a str,
    passed: usize,
    failed: usize,
    failures: Vec<FailureJson<'a>>,
}

#[derive(Serialize)]
struct FailureJson<'a> {
    id: &'a str,
    step: usize,
    path: &'a str,
    expected: &'a str,
    got: &'a str,
}

impl<'a> FailureJson<'a> {
    fn of(failure: &'a Failure) -> Self {
        let difference = &failure.difference;
        Self {
            id: &failure.id,
            step: failure.step,
            path: &difference.path,
            expected: &difference.expected,
            got: &difference.got,
        }
    }
}

#[cfg(test)]
mod tests;
