//! Arguments that commands about locks have in common.

use clap::Args;
use lockstore::{Holder, Key, Mode, Token};

use crate::names::{own_holder, parse_holder, parse_key, parse_token};
use crate::times::{Lease, Patience, parse_patience};
use crate::wanted::Wanted;

/// A lock that is to be acquired.
#[derive(Debug, Args)]
pub(crate) struct WantedArgs {
    /// The lock: any string of 1 to 1024 bytes
    #[arg(value_parser = parse_key)]
    key: Key,
    /// Who is to hold it [default: user@host:pid-random, another one each time]
    #[arg(long, value_parser = parse_holder)]
    holder: Option<Holder>,
    /// How long to wait for it: a time, 0 to try once, or `forever`
    #[arg(long, value_name = "TIME", value_parser = parse_patience, default_value = "forever")]
    #[arg(allow_hyphen_values = true)]
    pub(crate) wait: Patience,
    /// Hold it beside others that share it
    #[arg(long)]
    shared: bool,
}

/// A grant of a lock.
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    /// The lock
    #[arg(value_parser = parse_key)]
    pub(crate) key: Key,
    /// Who holds it
    #[arg(long, value_parser = parse_holder)]
    pub(crate) holder: Holder,
    /// Only the grant of this token
    #[arg(long, value_parser = parse_token, allow_hyphen_values = true)]
    pub(crate) token: Option<Token>,
}

impl WantedArgs {
    /// What is wanted.
    pub(crate) fn wanted(&self, lease: Lease) -> Wanted {
        Wanted {
            key: self.key.clone(),
            holder: self.holder.clone().unwrap_or_else(own_holder),
            mode: if self.shared { Mode::Shared } else { Mode::Exclusive },
            lease,
        }
    }
}
