//! The expiry wheel.
