//! Drills: parts of a deployment are broken on purpose while buyers use it.
//!
//! Each drill prints a table of what the buyers saw in each phase, the alerts that fired, and what the audit says. The short
//! form, of a few seconds, is a test like any other. `tests/drills` runs the long form, whose figures the documents quote.

mod clocks;
mod databases;
mod disks;
mod instances;
mod keys;
mod queues;
mod restore;
mod stage;
mod upgrade;
