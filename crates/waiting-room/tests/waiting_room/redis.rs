//! The waiting room in Redis beyond the contract: several instances, a Redis that is emptied, away or damaged, polls
//! that are answered without it, and what it takes.

mod away;
mod deployments;
mod emptied;
mod instances;
mod keys;
mod polls;
