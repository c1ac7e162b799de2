//! The locks and documents of [lockstore](https://docs.rs/lockstore) on an existing MongoDB replica set.
