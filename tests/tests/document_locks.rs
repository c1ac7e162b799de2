//! Document locks, on a store in this process.

use lockstore_tests::deployment::Deployment;

#[path = "document_locks/basics.rs"]
mod basics;
#[path = "document_locks/fenced.rs"]
mod fenced;
#[path = "document_locks/in_order.rs"]
mod in_order;
#[path = "document_locks/leases.rs"]
mod leases;
#[path = "document_locks/model.rs"]
mod model;
#[path = "document_locks/overlapping.rs"]
mod overlapping;
#[path = "document_locks/stalled.rs"]
mod stalled;
#[path = "document_locks/truth.rs"]
mod truth;
#[path = "document_locks/truth_in_time.rs"]
mod truth_in_time;
#[path = "document_locks/waiting.rs"]
mod waiting;

const DEPLOYMENT: Deployment = Deployment::Embedded;
