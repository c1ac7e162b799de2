//! Which documents a command is about.

use clap::Args;
use lockstore::Hint;
use lockstore::bson::RawDocumentBuf;
use lockstore::collection::Find;

use super::collection_args::Documents;
use crate::extended::{parse_document, parse_hint};

/// What selects documents.
#[derive(Debug, Args)]
pub(super) struct Selection {
    /// Only documents that match this [default: all]
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    pub(super) filter: Option<RawDocumentBuf>,
    /// Pass over so many documents first
    #[arg(long, value_name = "N", value_parser = parse_skip, default_value = "0")]
    #[arg(hide_default_value = true, allow_hyphen_values = true)]
    pub(super) skip: u64,
    /// So many documents at most [default: all]
    #[arg(long, value_name = "N", value_parser = parse_limit, allow_hyphen_values = true)]
    pub(super) limit: Option<u64>,
    #[command(flatten)]
    pub(super) index: Index,
}

/// Which index is used.
#[derive(Debug, Args)]
pub(super) struct Index {
    /// The index to use, by its name or its keys [default: the best one]
    #[arg(long, value_name = "INDEX", value_parser = parse_hint)]
    pub(super) hint: Option<Hint>,
}

/// A selection of documents in some order.
#[derive(Debug, Args)]
pub(super) struct Query {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// The order, such as {price: -1, name: 1} [default: that of insertion, or of the index]
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    pub(super) sort: Option<RawDocumentBuf>,
    #[command(flatten)]
    pub(super) fields: Fields,
}

/// What of the documents is shown.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// Which fields, such as {name: 1, _id: 0} [default: all]
    #[arg(long, value_name = "DOCUMENT", value_parser = parse_document)]
    pub(super) projection: Option<RawDocumentBuf>,
}

impl Query {
    /// The search, to be run.
    pub(super) fn find(self, documents: &Documents) -> Find<'_, RawDocumentBuf> {
        let Self { selection: Selection { filter, skip, limit, index }, sort, fields } = self;
        let mut find = documents.find(filter.unwrap_or_default()).skip(skip);
        if let Some(limit) = limit {
            find = find.limit(limit);
        }
        if let Some(hint) = index.hint {
            find = find.hint(hint);
        }
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        match fields.projection {
            Some(projection) => find.projection(projection),
            None => find,
        }
    }
}

fn parse_skip(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "a whole number was expected".to_owned())
}

/// To MongoDB, a limit of 0 is none; who writes that here may have meant the opposite.
fn parse_limit(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a whole number from 1 on was expected".to_owned())
}
