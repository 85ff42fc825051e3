//! End-to-end tests: the real binary as a process of its own, over HTTP, on real databases.
//!
//! Every response of every request is checked against the `OpenAPI` document, and every test ends with an audit of its
//! database.

mod catalog;
mod draw;
mod errors;
mod faults;
mod hostile;
mod idempotency;
mod instances;
mod instances_events;
mod instances_galera;
mod instances_sharing;
mod journey;
mod line_control;
mod money;
mod operations;
mod operations_documents;
mod queue;
mod readme;
mod reads;
mod rush;
mod sessions;
mod stampede;
mod support;
