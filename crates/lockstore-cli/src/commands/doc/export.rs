//! `lockstore doc export`: documents to a file.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use lockstore::Store;
use lockstore::bson::RawDocumentBuf;
use tempfile::NamedTempFile;

use super::collection_args::{CollectionArgs, Documents};
use super::query::Query;
use crate::extended::{Form, text};
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::progress::Progress;
use crate::spool::Spool;
use crate::store_file::{Access, StoreFile};

/// Write documents to a file
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Export {
    #[command(flatten)]
    collection: CollectionArgs,
    /// The file; - is the standard output
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    query: Query,
    /// Write the type of every number and date: nothing is lost when it is read again
    #[arg(long)]
    canonical: bool,
}

impl Export {
    pub(crate) fn execute(self, file: &StoreFile) -> Result<ExitCode, Failure> {
        let Self { collection, file: path, query, canonical } = self;
        collection.names()?;
        let form = Form::lines(canonical);
        if path == Path::new("-") {
            let mut spool = Spool::new(form);
            file.with(Access::Existing, |store| {
                export(store, &collection, query, |document| spool.keep(document))
            })?;
            spool.print()?;
            return Ok(ExitCode::SUCCESS);
        }
        let unwritten = |error: io::Error| unwritten(&path, &error);
        let (new, folder) = new_file(&path)?;
        let mut out = BufWriter::new(new);
        let count = file.with(Access::Existing, |store| {
            export(store, &collection, query, |document| {
                out.write_all(text(document, form)?.as_bytes()).map_err(unwritten)
            })
        })?;
        let new = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
        new.as_file().sync_all().map_err(unwritten)?;
        new.persist(&path).map_err(|error| unwritten(error.error))?;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritten)?;
        print(&format!("exported {count}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Passes on each document, and answers how many there were.
fn export(
    store: &Store,
    collection: &CollectionArgs,
    query: Query,
    mut pass_on: impl FnMut(&RawDocumentBuf) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let documents = collection.within(store)?;
    let progress = Progress::of_documents(total(&documents, &query)?);
    let mut count = 0;
    for document in query.find(&documents).run()? {
        pass_on(&document?)?;
        progress.advance(1);
        count += 1;
    }
    Ok(count)
}

/// How many documents there will be, if that is known beforehand.
fn total(documents: &Documents, query: &Query) -> Result<Option<u64>, Failure> {
    let selection = &query.selection;
    if selection.filter.is_some() {
        return Ok(None);
    }
    let all = documents.estimated_document_count()?.saturating_sub(selection.skip);
    Ok(Some(all.min(selection.limit.unwrap_or(u64::MAX))))
}

/// A file beside `path` that is to take its place when it is complete, and the folder of both.
fn new_file(path: &Path) -> Result<(NamedTempFile, &Path), Failure> {
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let path = path.display();
        return Err(Failure::new(
            Kind::Output,
            format!("{path} is no file; the standard output is -"),
        ));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let new = NamedTempFile::new_in(folder).map_err(|error| unwritten(path, &error))?;
    Ok((new, folder))
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Output, format!("{} cannot be written: {error}", path.display()))
}

const ABOUT: &str = "\
Write documents to a file, one a line in Extended JSON, as `lockstore doc import` and mongoimport read it.

Without --canonical, numbers are plain: 64-bit integers that fit into 32 bits come back as such, and the \
like. Of a file that is there already, the new one takes the place when it is complete, and not before; \
only its owner can read it. Without --sort the documents come in the order of insertion; --sort '{_id: 1}' \
makes exports that can be compared.

Exit codes: 0 exported, 1 MongoDB's language has no such filter, or the like, 2 the command line is wrong, \
4 the store could not be used, or there is none, or the file not be written.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc export shop.orders orders.jsonl --canonical
  lockstore doc export shop.orders --filter '{state: \"new\"}' --sort '{_id: 1}'
  lockstore doc export shop.orders | gzip > orders.jsonl.gz";
