//! The other end of the socket: how a process of this user works with a store that a server has open.
//!
//! [`Transport`] is a store's server as its clients see it: [`finds or starts`](mod@start) it, keeps a [`pool`] of connections for
//! calls that are answered soon, and one [control connection](mod@control) for those that wait.

mod again;
mod call;
mod connect;
mod control;
mod error;
mod lent;
mod limit;
mod link;
mod place;
mod pool;
mod program;
mod simple;
mod start;
mod transport;

pub use connect::{Connect, ConnectOptions, connect};
pub use error::ConnectError;
pub use simple::{Client, ClientError};
pub use transport::Transport;
