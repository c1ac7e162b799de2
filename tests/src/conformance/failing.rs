//! The recorded list of cases that fail. It may only shrink.

use std::collections::BTreeSet;
use std::fmt;

use super::corpus::Area;
use super::replay::Failure;
use super::report::Report;

/// The ids of cases that are known to fail, a line each, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failing {
    ids: BTreeSet<String>,
}

/// How a run departs from the list.
#[derive(Clone, Debug)]
pub struct Verdict<'a> {
    /// Cases that fail and are not listed.
    pub broken: Vec<&'a Failure>,
    /// Cases that are listed and pass.
    pub repaired: Vec<&'a str>,
    /// Ids that are listed and belong to no case; only a run of the whole corpus finds them.
    pub unknown: Vec<&'a str>,
}

impl Failing {
    /// Reads the list.
    pub fn parse(text: &str) -> Self {
        Self { ids: text.lines().map(str::to_owned).collect() }
    }

    /// Compares a run of `areas` with the list. `is_whole` says whether these are all areas there are.
    pub fn judge<'a>(&'a self, areas: &[Area], report: &'a Report, is_whole: bool) -> Verdict<'a> {
        let run: BTreeSet<&str> =
            areas.iter().flat_map(|area| &area.cases).map(|case| case.id.as_str()).collect();
        let failed: BTreeSet<&str> = report.failures().map(|failure| failure.id.as_str()).collect();
        let listed = || self.ids.iter().map(String::as_str);
        Verdict {
            broken: report.failures().filter(|failure| !self.ids.contains(&failure.id)).collect(),
            repaired: listed().filter(|id| run.contains(id) && !failed.contains(id)).collect(),
            unknown: listed().filter(|id| is_whole && !run.contains(id)).collect(),
        }
    }

    /// The list without what the verdict says need not be there.
    #[must_use]
    pub fn shrunk(&self, verdict: &Verdict<'_>) -> Self {
        let goes = |id: &str| verdict.repaired.contains(&id) || verdict.unknown.contains(&id);
        Self { ids: self.ids.iter().filter(|id| !goes(id)).cloned().collect() }
    }
}

impl Verdict<'_> {
    /// Whether exactly the listed cases fail.
    pub fn is_as_listed(&self) -> bool {
        self.broken.is_empty() && self.repaired.is_empty() && self.unknown.is_empty()
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ids.iter().try_for_each(|id| writeln!(f, "{id}"))
    }
}

impl fmt::Display for Verdict<'_> {
    /// What departs from the list, the first few of each kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        section(f, "fail and are not listed", &self.broken)?;
        section(f, "are listed and pass", &self.repaired)?;
        section(f, "are listed and no case is called so", &self.unknown)
    }
}

fn section(f: &mut fmt::Formatter<'_>, what: &str, cases: &[impl fmt::Display]) -> fmt::Result {
    const SHOWN: usize = 20;
    if cases.is_empty() {
        return Ok(());
    }
    writeln!(f, "{} {what}:", cases.len())?;
    for case in cases.iter().take(SHOWN) {
        writeln!(f, "  {case}")?;
    }
    if cases.len() > SHOWN {
        writeln!(f, "  ...")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
