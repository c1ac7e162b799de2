//! One file and many processes: the server and its clients are killed, stopped and started, and everything goes on.

#![allow(clippy::unwrap_used, reason = "a test may unwrap in its helpers too")]

mod between;
mod client;
mod crowd;
mod full_disk;
mod killed_client;
mod lost_replies;
mod sigkill;
mod work;
