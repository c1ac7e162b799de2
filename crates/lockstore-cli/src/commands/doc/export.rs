//! `lockstore doc export`: documents to a file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;
use lockstore::Store;
use lockstore::bson::RawDocumentBuf;
use tempfile::{Builder, NamedTempFile};

use super::collection_args::{CollectionArgs, Documents};
use super::query::Query;
use crate::event::Events;
use crate::exit_code::ExitCode;
use crate::extended::{Form, text};
use crate::failure::{Failure, Kind};
use crate::output::print;
use crate::progress::Progress;
use crate::spool::Spool;
use crate::store_file::Access;
use crate::store_place::StorePlace;

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
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, file: path, query, canonical } = self;
        collection.names()?;
        let source = Source { collection, query, form: Form::lines(canonical) };
        if path == Path::new("-") {
            source.print(place)?;
        } else {
            source.write(place, &path)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What is exported.
struct Source {
    collection: CollectionArgs,
    query: Query,
    form: Form,
}

impl Source {
    fn print(self, place: &StorePlace) -> Result<(), Failure> {
        let mut spool = Spool::new(self.form);
        place.with(Access::Existing, |store| self.read(store, |document| spool.keep(document)))?;
        spool.print()
    }

    fn write(self, place: &StorePlace, path: &Path) -> Result<(), Failure> {
        // Caught, so that a file that is half written is taken away.
        let events = Events::with_signals(place.clock().clone())?;
        let form = self.form;
        let unwritten = |error: io::Error| unwritten(path, &error);
        let (new, folder) = new_file(path)?;
        let mut out = BufWriter::new(new);
        let count = place.with(Access::Existing, |store| {
            self.read(store, |document| {
                events.check()?;
                out.write_all(text(document, form)?.as_bytes()).map_err(unwritten)
            })
        })?;
        let new = out.into_inner().map_err(|error| unwritten(error.into_error()))?;
        new.as_file().sync_all().map_err(unwritten)?;
        new.persist(path).map_err(|error| unwritten(error.error))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(unwritten)?;
        print(&format!("exported {count}\n"))
    }

    /// Passes on each document, and answers how many there were.
    fn read(
        self,
        store: &Store,
        mut pass_on: impl FnMut(&RawDocumentBuf) -> Result<(), Failure>,
    ) -> Result<u64, Failure> {
        let documents = self.collection.within(store)?;
        let progress = Progress::of_documents(total(&documents, &self.query)?);
        let mut count = 0;
        for document in self.query.find(&documents).run()? {
            pass_on(&document?)?;
            progress.advance(1);
            count += 1;
        }
        Ok(count)
    }
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
    let Some(name) = path.file_name().filter(|_| folder.is_dir()) else {
        let (path, folder) = (path.display(), folder.display());
        let why = format!("{path} cannot be written: its folder {folder} does not exist");
        return Err(Failure::new(Kind::Output, why));
    };
    // If this program is killed, whoever finds the file shall know what it was to become.
    let mut prefix = name.to_owned();
    prefix.push(".part-");
    let new = Builder::new().prefix(&prefix).tempfile_in(folder);
    Ok((new.map_err(|error| unwritten(path, &error))?, folder))
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
4 the store could not be used, or there is none, or the file not be written, \
128 + N when signal N ended it.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc export shop.orders orders.jsonl --canonical
  lockstore doc export shop.orders --filter '{state: \"new\"}' --sort '{_id: 1}'
  lockstore doc export shop.orders | gzip > orders.jsonl.gz";
