//! Folders of cases.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::case::{Case, CaseError};

/// The cases of one file.
#[derive(Clone, Debug)]
pub struct Area {
    /// The file's name without `.jsonl` and `.gz`.
    pub name: String,
    /// Its cases.
    pub cases: Vec<Case>,
}

/// Why cases cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A folder or file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A folder without cases.
    #[error("{0} holds no case: no line in a file NAME.jsonl or NAME.jsonl.gz")]
    Empty(PathBuf),
    /// A line is no case.
    #[error("{path}, line {line}: {error}")]
    Case {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        error: Box<CaseError>,
    },
}

/// Reads every `NAME.jsonl` and `NAME.jsonl.gz` in a folder, in the order of their names.
///
/// # Errors
///
/// When something cannot be read or is no case, or when there is none at all.
pub fn read_folder(folder: &Path) -> Result<Vec<Area>, CorpusError> {
    let io_error = |error| CorpusError::Io { path: folder.to_owned(), error };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        if let Some(name) = area_name(&path) {
            paths.push((name.to_owned(), path));
        }
    }
    paths.sort();
    let areas: Result<Vec<_>, _> =
        paths.into_iter().map(|(name, path)| Ok(Area { name, cases: read_file(&path)? })).collect();
    let areas = areas?;
    if areas.iter().all(|area| area.cases.is_empty()) {
        return Err(CorpusError::Empty(folder.to_owned()));
    }
    Ok(areas)
}

fn area_name(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".gz").unwrap_or(name).strip_suffix(".jsonl")
}

fn read_file(path: &Path) -> Result<Vec<Case>, CorpusError> {
    let io_error = |error| CorpusError::Io { path: path.to_owned(), error };
    let file = File::open(path).map_err(io_error)?;
    let is_compressed = path.extension() == Some(OsStr::new("gz"));
    let reader: Box<dyn Read> =
        if is_compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut cases = Vec::new();
    for (index, line) in BufReader::new(reader).lines().enumerate() {
        let line = line.map_err(io_error)?;
        let case_error = |error| CorpusError::Case {
            path: path.to_owned(),
            line: index + 1,
            error: Box::new(error),
        };
        cases.push(Case::parse(&line).map_err(case_error)?);
    }
    Ok(cases)
}

#[cfg(test)]
mod tests;
