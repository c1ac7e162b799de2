//! `lockstore acquire`: a lock for a script, which releases it later.

use clap::Args;

use crate::event::Events;
use crate::exit_code::ExitCode;
use crate::failure::Failure;
use crate::grant::Grant;
use crate::lock_args::WantedArgs;
use crate::output::{printable, to_json, unwritten, write};
use crate::report::GrantReport;
use crate::store_place::StorePlace;
use crate::times::{Lease, parse_lease};

/// Acquire a lock, and print its token and holder
#[derive(Debug, Args)]
#[command(long_about = ABOUT, after_help = EXAMPLES)]
pub(crate) struct Acquire {
    #[command(flatten)]
    lock: WantedArgs,
    /// After which time it ends by itself unless it is renewed
    #[arg(long, value_name = "TIME", value_parser = parse_lease, default_value = "none")]
    #[arg(allow_hyphen_values = true)]
    ttl: Lease,
    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Acquire {
    pub(crate) fn execute(self, place: &StorePlace) -> Result<ExitCode, Failure> {
        let events = Events::with_signals(place.clock().clone())?;
        let grant = self.lock.wanted(self.ttl).acquire(place, self.lock.wait, &events)?;
        // Nobody but the reader of the output knows how to release the lock.
        let told = events.check().and_then(|()| {
            let text =
                if self.json { to_json(&GrantReport::new(&grant, place)) } else { line(&grant) };
            write(&text).map_err(|error| unwritten(&error))
        });
        match told {
            Ok(()) => Ok(ExitCode::SUCCESS),
            Err(failure) if grant.again => Err(failure),
            Err(failure) => match grant.release(place) {
                Ok(()) => Err(failure.and("the lock was released again")),
                Err(error) => Err(failure.and(&format!("the lock was not released: {error}"))),
            },
        }
    }
}

fn line(grant: &Grant) -> String {
    format!("{}\t{}\n", grant.token, printable(&grant.holder))
}

const ABOUT: &str = "\
Acquire a lock, and print its token and holder.

Prints one line: the fencing token, a tab, and the holder, both of which `release` and `renew` ask for. \
The lock stays when this program has ended, so give it a --ttl unless somebody surely releases it. A \
--holder that has the lock already gets it again: the same grant and token, with a new lease. If that is \
not wanted, leave the holder to this program, which makes up another one each time.

Who waits stands in the queue of the store's server, which is started if there is none: first come, first served, beside \
all commands and programs that wait for the lock there. A holder that has it by a `lockstore run` does not get it again.

Exit codes: 0 acquired, 1 not acquired, 2 the command line is wrong, 4 the store could not be used or the \
output not be written (the lock is then released again), 128 + N when signal N ended the waiting.";

const EXAMPLES: &str = "\
Examples:
  grant=$(lockstore acquire deploy --ttl 10m --wait 1m) || exit
  set -- $grant; token=$1 holder=$2
  ...
  lockstore release deploy --holder \"$holder\" --token \"$token\"

  lockstore acquire deploy --holder ci-17 --ttl 10m --wait 0 --json";
