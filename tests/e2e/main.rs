//! End-to-end tests: the real binary as a process, over HTTP, on real databases.
//!
//! Every answer is checked against the `OpenAPI` document, and every test ends with an audit of its database.

mod audit_log;
#[path = "../browser/mod.rs"]
mod browser;
mod catalog;
mod demo;
mod documents;
mod draw;
mod drills;
mod errors;
mod events;
mod faults;
mod frozen;
mod greedy;
mod guessing;
mod hostile;
mod idempotency;
mod instances;
mod instances_galera;
mod instances_sharing;
mod instances_streams;
mod journey;
mod mail;
mod metrics;
mod money;
mod nginx;
mod operations;
mod outside;
mod outside_stampede;
mod proxies_tls;
mod queue;
mod queue_control;
mod queue_sales;
mod reads;
mod rush;
mod search;
mod sessions;
mod stampede;
mod stripe;
mod support;
mod traces;
mod webhooks;
