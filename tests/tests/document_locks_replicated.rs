//! Document locks, on a replica set: the same scenarios, but for those whose clock or disk is the test's, or that are about the order of
//! those who wait.

use lockstore_tests::deployment::Deployment;

#[path = "document_locks/basics.rs"]
mod basics;
#[path = "document_locks/fenced.rs"]
mod fenced;
#[path = "document_locks/overlapping.rs"]
mod overlapping;
#[path = "document_locks/truth.rs"]
mod truth;

const DEPLOYMENT: Deployment = Deployment::ReplicaSet;
