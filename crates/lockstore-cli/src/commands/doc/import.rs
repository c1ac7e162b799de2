//! `lockstore doc import`: documents from a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::collection_args::CollectionArgs;
use crate::event::Events;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::importing::{Importing, Mode, Tally, next_batch};
use crate::lines::{Batch, Reading};
use crate::output::{print, print_json};
use crate::progress::Progress;
use crate::store_file::Access;
use crate::store_place::StorePlace;

/// Insert or replace the documents of a file
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Import {
    #[command(flatten)]
    collection: CollectionArgs,
    /// A document a line, in Extended JSON; - is the standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// What becomes of a document whose _id is there already
    #[arg(long, default_value = "insert")]
    mode: Mode,
    /// Drop the collection first, with its indexes
    #[arg(long)]
    drop: bool,
    /// End at the first line that fails
    #[arg(long)]
    stop_on_error: bool,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Imported {
    lines: u64,
    inserted: u64,
    matched: u64,
    modified: u64,
    failed: u64,
}

impl Import {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        self.collection.names()?;
        let (input, bytes) = open(&self.file)?;
        let events = Events::with_signals(place.clock().clone())?;
        let (mode, stop_on_error) = (self.mode, self.stop_on_error);
        let reading = Reading { documents_max: mode.documents_max(), stop_on_error };
        let batches = reading.start(input)?;
        let progress = Progress::of_bytes(bytes);
        let mut importing = Importing { mode, stop_on_error, progress, tally: Tally::default() };
        let done = self.take_all(place, &mut importing, &batches, &events);
        let Importing { progress, tally, .. } = importing;
        drop(progress);
        done.map_err(|failure| failure.and(&tally.told()))?;
        self.tell(tally)?;
        Ok(ExitCode::from(u8::from(tally.failed > 0)))
    }

    /// Takes in all batches, in turns. Between them the store is closed, and while nothing comes.
    fn take_all(
        &self,
        place: &StorePlace,
        importing: &mut Importing,
        batches: &Receiver<Batch>,
        events: &Events,
    ) -> Result<(), Failure> {
        let mut next = next_batch(batches, events)?;
        if self.drop {
            place.with(Access::OrNew, |store| Ok(self.collection.within(store)?.drop()?))?;
        }
        while let Some(mut batch) = next {
            place.with(Access::OrNew, |store| {
                let collection = self.collection.within(store)?;
                let turn_over = place.now().saturating_add(TURN);
                loop {
                    importing.take(&collection, batch)?;
                    events.check()?;
                    if place.now() >= turn_over {
                        return Ok(());
                    }
                    match batches.recv_timeout(IDLE) {
                        Ok(another) => batch = another,
                        Err(_) => return Ok(()),
                    }
                }
            })?;
            // Who waits for the file looks every 50 ms.
            thread::sleep(BETWEEN_TURNS);
            next = next_batch(batches, events)?;
        }
        Ok(())
    }

    fn tell(&self, tally: Tally) -> Result<(), Failure> {
        let Tally { lines, inserted, matched, modified, failed } = tally;
        if self.json {
            return print_json(&Imported { lines, inserted, matched, modified, failed });
        }
        let of_old = match self.mode {
            Mode::Insert => String::new(),
            Mode::Upsert | Mode::Merge => format!(", matched {matched}, modified {modified}"),
        };
        print(&format!("inserted {inserted}{of_old}, failed {failed}\n"))
    }
}

/// The input, and how many bytes it has, if that is known.
fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (metadata, file) = opened
        .map_err(|error| Failure::store(format!("{} cannot be read: {error}", path.display())))?;
    if metadata.is_dir() {
        let path = path.display();
        return Err(Failure::store(format!("{path} is a folder, where a file was expected")));
    }
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// How long the store is kept while there is something to do, and for how long others have it in between.
const TURN: Duration = Duration::from_secs(1);
const BETWEEN_TURNS: Duration = Duration::from_millis(60);

/// How long a batch is waited for before the store is closed.
const IDLE: Duration = Duration::from_millis(5);

const ABOUT: &str = "\
Insert or replace the documents of a file, and print how many.

Every line has a document in Extended JSON, as `lockstore doc export` or mongoexport writes it; of an \
array, `jq -c '.[]'` makes lines. Empty lines are passed over. A line that fails is told of with its \
number, and left out, unless there is --stop-on-error.

Documents are taken in as they come, many in a commit, each of them whole or not at all. When the import \
ends early, it says which lines are in the store. It can then go on with the others, or be repeated: \
--mode upsert changes nothing where the document is there already. Others have the store in between.

Exit codes: 0 imported, 1 lines failed, 2 the command line is wrong, 4 the store or the file could not be \
used, 128 + N when signal N ended it.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc import shop.orders orders.jsonl
  lockstore doc import shop.orders orders.jsonl --mode upsert --stop-on-error
  mongoexport -d shop -c orders | lockstore doc import shop.orders --drop
  jq -c '.[]' orders.json | lockstore doc import shop.orders -";
