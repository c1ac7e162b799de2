//! What crash-recovery tests and fuzzers need: a disk that fails as disks fail, and a clock that a test moves.
//!
//! | a test wants | module |
//! | --- | --- |
//! | power loss, I/O errors and stalls under a redb database, at every operation in turn | [`disk`] |
//! | a process killed at a random moment, and what it had acknowledged by then | [`crash`] |
//! | any commands to the state machine of the locks, and a model that says what is right | [`commands`], [`model`] |
//! | what concurrent clients asked and were told | [`history`] |
//! | whether a correct store could have answered like that | [`linearizability`] |
//! | a store that is used through its commands, as from another process | [`loopback`] |
//! | a MongoDB replica set whose members are killed and stopped | [`replica_set`] |
//! | time that moves only when it is told to, jumps and reboots included | [`clock`] |
//!
//! Everything but real processes is deterministic: what looks random comes from a seed that the test names, and a
//! failure repeats with the same seed.

pub mod clock;
pub mod commands;
pub mod crash;
pub mod disk;
pub mod history;
pub mod linearizability;
pub mod loopback;
pub mod model;
pub mod replica_set;
mod rng;
