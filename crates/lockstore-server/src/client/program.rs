//! Where the program is that serves stores.

use std::env;
use std::path::{Path, PathBuf};

/// Looks for the `lockstore` program: what was named is taken, else the environment's, else one beside this program, else one
/// on the search path.
///
/// # Errors
///
/// Where it was looked for.
pub(super) fn find(named: Option<&Path>) -> Result<PathBuf, Vec<String>> {
    let mut looked = Vec::new();
    let mut look = |at: PathBuf, where_: &str| {
        let found = at.is_file();
        looked.push(format!("{where_} ({})", at.display()));
        found.then_some(at)
    };
    if let Some(named) = named {
        return look(named.to_owned(), "where the options say").ok_or(looked);
    }
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        return look(named.into(), "where LOCKSTORE_PROGRAM says").ok_or(looked);
    }
    if let Ok(this) = env::current_exe()
        && let Some(found) = look(this.with_file_name(NAME), "beside this program")
    {
        return Ok(found);
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join(NAME)).find(|at| at.is_file());
    looked.push("on PATH".to_owned());
    on_path.ok_or(looked)
}

/// Names the program.
const VARIABLE: &str = "LOCKSTORE_PROGRAM";

const NAME: &str = "lockstore";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_named_is_taken_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("any name");
        let looked = find(Some(&program)).unwrap_err();
        assert_eq!(looked, [format!("where the options say ({})", program.display())]);
        std::fs::write(&program, "").unwrap();
        assert_eq!(find(Some(&program)), Ok(program));
    }
}
