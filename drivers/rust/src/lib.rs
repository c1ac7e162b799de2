//! Nothing but tests: MongoDB's Rust driver as a client of lockstore.
