//! The official Rust driver, unmodified, as the client of a `lockstore serve`: `cargo xtask test` builds the program, and names it in
//! `LOCKSTORE`.

mod documents;
mod forgetful;
mod served;
mod sessions;
