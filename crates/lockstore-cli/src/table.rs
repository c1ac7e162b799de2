//! Tables for people: columns that line up, and nothing else.

use comfy_table::{ContentArrangement, Table, presets};

use crate::output::printable;

/// The rows below their headings, two spaces between the columns. Nothing is cut or wrapped.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = table.trim_fmt();
    text.push('\n');
    text
}

/// Pairs of a name and a value, one a line, the values lined up.
pub(crate) fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {}\n", printable(value));
    pairs.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["nightly".to_owned(), "1".to_owned()], vec!["a\nb".into(), "22".into()]];
        assert_eq!(table(&["KEY", "TOKEN"], rows), "KEY      TOKEN\nnightly  1\na\\nb     22\n");
    }

    #[test]
    fn values_line_up() {
        let text = pairs([("key", "k".to_owned()), ("holder", "me\u{7}".to_owned())]);
        assert_eq!(text, "key     k\nholder  me\\u{7}\n");
    }
}
