//! What an upsert inserts: the values that the filter asks for, then the update.

use super::replacement::with_id_first;
use super::storage::{TopLevelNames, check_replacement, check_size};
use super::walk::Purpose;
use crate::path::Path;
use crate::{Document, Error, ErrorCode, Filter, Result, Value, Writer};

/// The document of the values that `filter` asks for; only its `_id` where the update replaces the rest.
///
/// # Errors
///
/// The filter asks for two values in one place.
pub(super) fn base(filter: &Filter, only_id: bool) -> Result<Vec<u8>> {
    let mut equalities = filter.equalities();
    equalities.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    if only_id {
        equalities.retain(|(path, _)| path.part(0) == ID);
        if let Some((path, _)) = equalities.iter().find(|(path, _)| path.len() > 1) {
            return Err(Error::new(
                ErrorCode::NOT_EXACT_VALUE_FIELD,
                format!(
                    "the filter asks for '{path}'; a replacement needs the whole '{ID}', or nothing of it"
                ),
            ));
        }
    }
    check_agreement(&equalities)?;
    let mut writer = Writer::new();
    write_fields(&mut writer, &equalities, 0);
    Ok(writer.finish())
}

/// Checks the document that an upsert inserts, and puts its `_id` first.
///
/// # Errors
///
/// It cannot be stored.
pub(super) fn finish(document: Document<'_>) -> Result<Vec<u8>> {
    check_replacement(document, TopLevelNames::Any)?;
    let bytes = with_id_first(document.get(ID), document);
    check_size(bytes.len(), Purpose::Insert)?;
    Ok(bytes)
}

/// Checks that the filter asks for one value in each place.
fn check_agreement(equalities: &[(&Path, Value<'_>)]) -> Result<()> {
    let mut paths: Vec<Vec<&str>> =
        equalities.iter().map(|(path, _)| path.parts().collect()).collect();
    paths.sort_unstable();
    // In this order the paths that lead through another stand right behind it.
    match paths.windows(2).find(|pair| pair[1].starts_with(&pair[0])) {
        None => Ok(()),
        Some(pair) => Err(Error::new(
            ErrorCode::NOT_SINGLE_VALUE_FIELD,
            format!(
                "the filter asks for a value at '{}' and at '{}': an upsert cannot know which is meant",
                pair[0].join("."),
                pair[1].join(".")
            ),
        )),
    }
}

/// Writes the values of `equalities`, which are in order and share their first `depth` parts.
fn write_fields(writer: &mut Writer, equalities: &[(&Path, Value<'_>)], depth: usize) {
    for group in equalities.chunk_by(|(a, _), (b, _)| a.part(depth) == b.part(depth)) {
        let Some((path, value)) = group.first() else {
            continue;
        };
        if path.len() == depth + 1 {
            writer.field(path.part(depth), *value);
        } else {
            writer.open_document(path.part(depth));
            write_fields(writer, group, depth + 1);
            writer.close();
        }
    }
}

const ID: &str = "_id";
