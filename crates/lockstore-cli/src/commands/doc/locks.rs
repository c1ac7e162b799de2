//! `lockstore doc locks`: the documents of a collection that are locked.

use clap::Args;
use lockstore::collection::LockedDocument;
use lockstore::{Token, WallTime};
use serde::Serialize;
use serde_json::value::RawValue;

use super::collection_args::CollectionArgs;
use crate::exit_code::ExitCode;
use crate::extended::{json_of_value, text_of_value};
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::store_file::Access;
use crate::store_place::StorePlace;
use crate::table::table;
use crate::times::{after, between, rfc3339, rough};

/// List the documents that are locked, and by whom
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Locks {
    #[command(flatten)]
    collection: CollectionArgs,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listing {
    locks: Vec<Report>,
}

#[derive(Debug, Serialize)]
struct Report {
    _id: Box<RawValue>,
    lock_id: String,
    /// `null` when the document does not say.
    since: Option<String>,
    /// `null` when an update has locked the document.
    token: Option<u64>,
    /// `null` when the lock has no end, and so for the next one.
    expires_at: Option<String>,
    remaining_seconds: Option<f64>,
    /// Whether the lock ends with a session.
    in_session: bool,
}

impl Locks {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let Self { collection, json } = self;
        collection.names()?;
        let locked = place.with(Access::Existing, |store| {
            Ok(collection.within(store)?.locked_documents()?.collect::<Result<Vec<_>, _>>()?)
        })?;
        let now = place.wall();
        if json {
            let locks = locked.into_iter().map(|it| Report::new(it, now));
            print_json(&Listing { locks: locks.collect::<Result<_, _>>()? })?;
        } else if !locked.is_empty() {
            let rows = locked.into_iter().map(|it| row(it, now)).collect::<Result<Vec<_>, _>>()?;
            print(&table(&HEADINGS, rows))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Report {
    fn new(locked: LockedDocument, now: WallTime) -> Result<Self, Failure> {
        let since = since(&locked).map(rfc3339);
        let LockedDocument { id, lock_id, token, session, remaining, .. } = locked;
        Ok(Self {
            _id: json_of_value(id)?,
            lock_id,
            since,
            token: token.map(Token::get),
            expires_at: remaining.map(|left| rfc3339(after(now, left))),
            remaining_seconds: remaining.map(|left| left.as_secs_f64()),
            in_session: session.is_some(),
        })
    }
}

fn row(locked: LockedDocument, now: WallTime) -> Result<Vec<String>, Failure> {
    let held_for = since(&locked).map(|since| rough(between(since, now)));
    let LockedDocument { id, lock_id, token, session, remaining, .. } = locked;
    let left = match (remaining, session) {
        (Some(left), _) => rough(left),
        (None, Some(_)) => "its session".to_owned(),
        (None, None) => "no end".to_owned(),
    };
    Ok(vec![
        text_of_value(id)?,
        lock_id,
        token.map_or_else(|| "none".to_owned(), |token| token.to_string()),
        held_for.unwrap_or_else(|| "unknown".to_owned()),
        left,
    ])
}

/// When it was locked; `None` when it does not say, or says something before 1970.
fn since(locked: &LockedDocument) -> Option<WallTime> {
    let millis = locked.lock_time?.timestamp_millis();
    u64::try_from(millis).ok().map(WallTime::from_millis)
}

const HEADINGS: [&str; 5] = ["_ID", "LOCK ID", "TOKEN", "HELD FOR", "TIME LEFT"];

const ABOUT: &str = "\
List the documents of a collection that are locked: their _id, who has locked them, with which token, since \
when and until when. Prints nothing when there are none.

A document is locked by what stands in its field lock_id. One that an update has locked, and not a lock of \
the store's, has no token and no end.

Exit codes: 0 listed, 2 the command line is wrong, 4 the store could not be used, or there is none.";

const EXAMPLES: &str = "\
Examples:
  lockstore doc locks shop.orders
  lockstore doc locks shop.orders --json | jq -r '.locks[].lock_id'";
