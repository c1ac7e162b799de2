//! What was measured: tables for people, figures for programs and for the targets.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::Result;
use crate::place::Place;

/// All that a run has measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    /// Whether all was shortened, so that the targets do not apply.
    pub(crate) quick: bool,
    sections: Vec<Section>,
}

/// Where it was measured.
#[derive(Debug, Serialize)]
struct Machine {
    cores: usize,
    /// How many threads wanted a core in the last minute before the run.
    load: String,
    folder: String,
    file_system: String,
    /// One write and fdatasync of a pre-allocated file, in µs.
    sync_us: f64,
}

/// What one scenario has measured.
#[derive(Debug, Serialize)]
pub(crate) struct Section {
    title: String,
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    /// What targets look up, by name.
    figures: BTreeMap<String, f64>,
}

impl Report {
    /// Begins a report, and prints where it is made.
    pub(crate) fn new(place: &Place, quick: bool) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let machine = Machine {
            cores: thread::available_parallelism().map_or(1, Into::into),
            load: load.split(' ').next().unwrap_or("unknown").to_owned(),
            folder: place.path().display().to_string(),
            file_system: place.file_system.clone(),
            sync_us: place.sync_ns / 1e3,
        };
        let Machine { cores, load, folder, file_system, sync_us } = &machine;
        println!(
            "{cores} cores, load {load}; {folder} on {file_system}, a sync takes {sync_us:.0} µs"
        );
        if quick {
            println!("--quick: shortened and scaled down; the targets apply to a full run only");
        }
        Self { machine, quick, sections: Vec::new() }
    }

    /// Adds and prints what a scenario has measured.
    pub(crate) fn add(&mut self, section: Section) {
        section.print();
        self.sections.push(section);
    }

    /// The figure called `name`, if its scenario was run.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.sections.iter().find_map(|section| section.figures.get(name).copied())
    }

    /// Writes all of it to `path`.
    pub(crate) fn write_json(&self, path: &Path) -> Result {
        fs::write(path, serde_json::to_string_pretty(self)? + "\n")?;
        Ok(())
    }
}

impl Section {
    pub(crate) fn new(title: impl Into<String>, header: &[&'static str]) -> Self {
        Self {
            title: title.into(),
            header: header.to_vec(),
            rows: Vec::new(),
            notes: Vec::new(),
            figures: BTreeMap::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.header.len(), "each column of {:?} has a cell", self.title);
        self.rows.push(cells.into());
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    pub(crate) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.insert(name.into(), value);
    }

    fn print(&self) {
        let mut table = Table::new();
        table.load_preset(ASCII_MARKDOWN).set_header(&self.header).add_rows(&self.rows);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("\n{}\n{table}", self.title);
        for note in &self.notes {
            println!("  {note}");
        }
    }
}

/// A rate, by the second.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{per_second:.0}")
}

/// A time that is given in ns.
pub(crate) fn time(nanos: f64) -> String {
    match nanos {
        _ if nanos < 1e3 => format!("{nanos:.0} ns"),
        _ if nanos < 1e6 => format!("{:.1} µs", nanos / 1e3),
        _ if nanos < 1e9 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", nanos / 1e9),
    }
}

/// How many times as much.
pub(crate) fn ratio(times: f64) -> String {
    format!("{times:.2}x")
}

/// A length in bytes.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.2} MiB", bytes / f64::from(1 << 20))
}

/// A count, with its thousands apart.
pub(crate) fn count(count: usize) -> String {
    let digits = count.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
    groups.collect::<Vec<_>>().join(",")
}
